// The metrics of the federation-pusher.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "libs/metrics/metrics.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {

// Requests to sources and to the ingest-gateway are counted by the HTTP
// library, as clients `source` and `gateway`. Nothing here has a label for the
// job: jobs come and go, and metrics stay. Which job fails is said by ListJobs
// and the log; that one does, by jobs_failing and
// oldest_success_timestamp_seconds. Thread-safe.
struct Metrics {
  explicit Metrics(metrics::Registry* registry)
      : scraped_bytes(registry->AddCounter(
            "federation_pusher_scraped_bytes_total",
            "Bytes of complete answers of sources, decompressed.")),
        scraped_samples(registry->AddCounter(
            "federation_pusher_scraped_samples_total",
            "Samples of scrapes that were read well to their end.")),
        delivered_samples(
            registry->AddCounter("federation_pusher_delivered_samples_total",
                                 "Samples that the ingest-gateway accepted.")),
        refused_samples(registry->AddCounter(
            "federation_pusher_refused_samples_total",
            "Samples that the ingest-gateway refused for good.")),
        push_retries(registry->AddCounter(
            "federation_pusher_push_retries_total",
            "Requests to the ingest-gateway that were sent again.")),
        turns_missed(registry->AddCounter(
            "federation_pusher_turns_missed_total",
            "Runs by schedule that did not take place, because all of "
            "max_parallel_jobs were running.")),
        run_seconds(registry->AddHistogram("federation_pusher_run_seconds",
                                           "Time for a run of a job.")),
        running(registry->AddGauge("federation_pusher_running_jobs",
                                   "Jobs that run at the moment.")),
        jobs(registry->AddGauge("federation_pusher_jobs",
                                "Jobs that the registry has.")),
        jobs_failing(registry->AddGauge("federation_pusher_jobs_failing",
                                        "Jobs whose last run failed.")),
        oldest_success(registry->AddGauge(
            "federation_pusher_oldest_success_timestamp_seconds",
            "When the job that has waited longest for a success had its last "
            "one, or became known. 0 without jobs.")) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      runs_[i] = &registry->AddCounter(
          "federation_pusher_runs_total", "Runs of jobs by how they ended.",
          {{"result", std::string(ResultName(static_cast<Result>(i)))}});
    }
  }

  metrics::Counter& Runs(Result result) {
    return *runs_[static_cast<size_t>(result)];
  }

  metrics::Counter& scraped_bytes;
  metrics::Counter& scraped_samples;
  metrics::Counter& delivered_samples;
  metrics::Counter& refused_samples;
  metrics::Counter& push_retries;
  metrics::Counter& turns_missed;
  metrics::Histogram& run_seconds;
  metrics::Gauge& running;
  metrics::Gauge& jobs;
  metrics::Gauge& jobs_failing;
  metrics::Gauge& oldest_success;

 private:
  std::array<metrics::Counter*, kResultCount> runs_;
};

}  // namespace insula::federation_pusher
