#include "services/federation_pusher/job_run.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/convert.h"
#include "services/federation_pusher/schedule.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;

absl::Status CheckTenant(const tenancy::Snapshot& snapshot,
                         const std::string& id) {
  const tenancy::Tenant* const tenant = snapshot.FindTenant(id);
  if (tenant == nullptr) {
    return Failure(Result::kTenant,
                   absl::StrCat("tenant '", id,
                                "' does not exist: create it in the registry, "
                                "or change spec.tenant_id"));
  }
  if (!tenant->may_write()) {
    return Failure(Result::kTenant,
                   absl::StrCat("tenant '", id,
                                "' is read-only or suspended: set it active, "
                                "or delete the job"));
  }
  return absl::OkStatus();
}

ConvertOptions OptionsOf(const Config& config, const registry::v1::Job& job,
                         absl::Time scraped_at) {
  ConvertOptions options;
  for (const auto& [name, value] : job.labels()) {
    options.labels.emplace_back(name, value);
  }
  options.scraped_at = scraped_at;
  options.max_series = static_cast<size_t>(config.push.max_series);
  options.max_body_bytes = config.push.max_body.value;
  options.max_samples = config.scrape.max_samples;
  options.max_line_bytes = config.scrape.max_line.value;
  return options;
}

}  // namespace

JobRun::JobRun(const Config* config, const Scraper* scraper,
               const Pusher* pusher, Metrics* metrics)
    : config_(config), scraper_(scraper), pusher_(pusher), metrics_(metrics) {}

asio::awaitable<absl::Status> JobRun::Execute(
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    std::shared_ptr<const tenancy::Job> job, RunReport* run) const {
  const absl::Time deadline = run->started_at + TimingOf(job->spec).timeout;
  CO_RETURN_IF_ERROR(CheckTenant(*snapshot, job->spec.tenant_id()));
  snapshot = nullptr;  // It may be large, and the rest take long.
  CO_ASSIGN_OR_RETURN(std::string text,
                      co_await scraper_->Scrape(&job->spec, deadline));
  run->scraped_bytes = static_cast<int64_t>(text.size());
  metrics_->scraped_bytes.Increment(static_cast<double>(text.size()));
  const ConvertOptions options =
      OptionsOf(*config_, job->spec, run->started_at);
  CO_ASSIGN_OR_RETURN(const Converted converted,
                      co_await Convert(std::move(text), &options));
  run->scraped_samples = converted.samples;
  metrics_->scraped_samples.Increment(static_cast<double>(converted.samples));
  co_return co_await pusher_->Push(job->spec.tenant_id(), &converted.batches,
                                   deadline, &run->delivered_samples);
}

}  // namespace insula::federation_pusher
