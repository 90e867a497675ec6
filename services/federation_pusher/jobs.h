// The runner of jobs with all that it needs, wired together.
#pragma once

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
  // Both outlive this.
  Jobs(const Config* config, runtime::Process* process);

  JobRunner& runner() { return runner_; }

 private:
  Metrics metrics_;
  http::Client sources_;
  http::Client gateway_;
  const Scraper scraper_;
  const Pusher pusher_;
  const JobRun run_;
  JobRunner runner_;
};

}  // namespace insula::federation_pusher
