#include "services/federation_pusher/schedule.h"

#include <google/protobuf/duration.pb.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>

namespace insula::federation_pusher {
namespace {

constexpr absl::Duration kDefaultInterval = absl::Seconds(30);
constexpr absl::Duration kMostDefaultTimeout = absl::Seconds(30);

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace

Timing TimingOf(const registry::v1::Job& job) {
  Timing timing{kDefaultInterval, absl::ZeroDuration()};
  if (job.has_interval() &&
      FromProto(job.interval()) >= absl::Milliseconds(1)) {
    timing.interval = FromProto(job.interval());
  }
  timing.timeout = kMostDefaultTimeout;
  if (job.has_timeout() && FromProto(job.timeout()) > absl::ZeroDuration()) {
    timing.timeout = FromProto(job.timeout());
  }
  timing.timeout = std::min(timing.timeout, timing.interval);
  return timing;
}

absl::Duration OffsetOf(absl::string_view job_id, absl::Duration interval) {
  const uint64_t hash = XXH3_64bits(job_id.data(), job_id.size());
  const auto milliseconds =
      static_cast<uint64_t>(absl::ToInt64Milliseconds(interval));
  return absl::Milliseconds(static_cast<int64_t>(hash % milliseconds));
}

absl::Time NextRun(absl::Time now, absl::Time last, absl::Duration interval,
                   absl::Duration offset) {
  absl::Duration rest;
  absl::IDivDuration(now - absl::UnixEpoch() - offset, interval, &rest);
  if (rest < absl::ZeroDuration()) rest += interval;
  const absl::Time next = now - rest + interval;
  if (next <= last && last - now < interval / 10) return next + interval;
  return next;
}

}  // namespace insula::federation_pusher
