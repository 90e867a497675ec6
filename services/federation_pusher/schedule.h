// When jobs run. All times are of the wall clock, so that a job keeps its place
// over restarts and on every replica.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::federation_pusher {

struct Timing {
  absl::Duration interval;
  absl::Duration timeout;  // Of a run; at most the interval.
};

// As the job says, or the defaults: every 30 s; the interval as the timeout,
// but no more than 30 s.
Timing TimingOf(const registry::v1::Job& job);

// The job's place in the interval: the same for the same id, and spread evenly
// over many, so that they don't run all at once.
absl::Duration OffsetOf(absl::string_view job_id, absl::Duration interval);

// The first time after `now` that lies `offset` behind a multiple of
// `interval`. `last` is the time of the job's last run by schedule, or
// InfinitePast(): it does not come again, even if a timer fired a little early
// by this clock.
absl::Time NextRun(absl::Time now, absl::Time last, absl::Duration interval,
                   absl::Duration offset);

}  // namespace insula::federation_pusher
