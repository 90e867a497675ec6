// One run of a job from its scrape to its delivery.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "absl/status/status.h"
#include "libs/tenancy/snapshot.h"
#include "services/federation_pusher/config.h"
#include "services/federation_pusher/metrics.h"
#include "services/federation_pusher/push.h"
#include "services/federation_pusher/run.h"
#include "services/federation_pusher/scrape.h"

namespace insula::federation_pusher {

// Thread-safe.
class JobRun {
 public:
  // All outlive this.
  JobRun(const Config* config, const Scraper* scraper, const Pusher* pusher,
         Metrics* metrics);

  // Scrapes, converts and pushes, all within the job's timeout from
  // `run->started_at` on; fills the counts of `*run` as it goes. Nothing is
  // sent unless the whole scrape was read and parsed. OK, or a Failure() of
  // run.h. The caller runs on a strand; `run` outlives the call.
  boost::asio::awaitable<absl::Status> Execute(
      std::shared_ptr<const tenancy::Snapshot> snapshot,
      std::shared_ptr<const tenancy::Job> job, RunReport* run) const;

 private:
  const Config* const config_;
  const Scraper* const scraper_;
  const Pusher* const pusher_;
  Metrics* const metrics_;
};

}  // namespace insula::federation_pusher
