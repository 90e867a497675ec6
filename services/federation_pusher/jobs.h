// The runner of jobs with all that it needs, wired together.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "libs/http/client.h"
#include "libs/runtime/process.h"
#include "services/federation_pusher/config.h"
#include "services/federation_pusher/job_run.h"
#include "services/federation_pusher/job_runner.h"
#include "services/federation_pusher/metrics.h"
#include "services/federation_pusher/push.h"
#include "services/federation_pusher/scrape.h"

namespace insula::federation_pusher {

class Jobs {
 public:
  // Both outlive the result. INVALID_ARGUMENT if the environment names proxies
  // that make no sense.
  static absl::StatusOr<std::unique_ptr<Jobs>> Create(
      const Config* config, runtime::Process* process);

  JobRunner& runner() { return runner_; }

 private:
  Jobs(const Config* config, http::ClientOptions sources,
       http::ClientOptions gateway, runtime::Process* process);

  Metrics metrics_;
  http::Client sources_;
  http::Client gateway_;
  const Scraper scraper_;
  const Pusher pusher_;
  const JobRun run_;
  JobRunner runner_;
};

}  // namespace insula::federation_pusher
