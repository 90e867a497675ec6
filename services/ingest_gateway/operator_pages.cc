#include "services/ingest_gateway/operator_pages.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/http/url.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/promql/parser.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/explain.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = ingest::v1;
using Json = nlohmann::ordered_json;

constexpr int kDefaultTenants = 100;
constexpr int kMaxTenants = 1000;
constexpr size_t kMaxSeriesBytes = 64 << 10;

std::string Print(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

// The parameters of a page; each may come once, and others than these are
// refused.
class PageParams {
 public:
  static absl::StatusOr<PageParams> Parse(
      absl::string_view query, const std::vector<std::string>& known) {
    ASSIGN_OR_RETURN(const http::Params params, http::ParseForm(query, 10));
    PageParams parsed;
    for (const auto& [name, value] : params) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("a parameter is not known; there are: ",
                         absl::StrJoin(known, ", ")));
      }
      if (!parsed.values_.emplace(name, value).second) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ": may be given once"));
      }
    }
    return parsed;
  }

  bool Has(const std::string& name) const { return values_.contains(name); }
  std::string Get(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? std::string() : at->second;
  }

 private:
  std::map<std::string, std::string> values_;
};

// The labels of a series as PromQL writes them: up{job="a"}.
absl::Status ReadSeries(absl::string_view text, v1::WhyRequest* request) {
  if (text.size() > kMaxSeriesBytes || !labels::IsValidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "must be a series of at most ", kMaxSeriesBytes, " bytes of UTF-8"));
  }
  promql::ParseOptions options;
  options.max_bytes = kMaxSeriesBytes;
  ASSIGN_OR_RETURN(const std::vector<labels::Matcher> matchers,
                   promql::ParseMetricSelector(text, options));
  for (const labels::Matcher& matcher : matchers) {
    if (matcher.type() != labels::MatchType::kEqual) {
      return absl::InvalidArgumentError(
          "is no series: write every label as name=\"value\"");
    }
    if (!request->mutable_labels()
             ->insert({matcher.name(), matcher.value()})
             .second) {
      return absl::InvalidArgumentError("has a label twice");
    }
  }
  return absl::OkStatus();
}

Json ToJson(const v1::TenantUsage& usage) {
  Json json = {
      {"tenant", usage.tenant_id()},
      {"requests_per_second", usage.requests_per_second()},
      {"samples_per_second", usage.samples_per_second()},
      {"bytes_per_second", usage.bytes_per_second()},
      {"refused_samples_per_second", usage.refused_samples_per_second()},
      {"requests", usage.requests()},
      {"samples", usage.samples()},
      {"refused_samples", usage.refused_samples()}};
  if (usage.has_active_series()) json["active_series"] = usage.active_series();
  if (usage.has_queued_bytes()) json["queued_bytes"] = usage.queued_bytes();
  if (usage.has_queue_lag_seconds()) {
    json["queue_lag_seconds"] = usage.queue_lag_seconds();
  }
  Json metrics = Json::array();
  for (const auto& metric : usage.top_metrics()) {
    metrics.push_back({{"name", metric.name()}, {"share", metric.share()}});
  }
  json["top_metrics"] = std::move(metrics);
  return json;
}

Json ToJson(const limits::Refusal& refusal) {
  Json json = {{"at", TimeText(refusal.at)},
               {"reason", refusal.reason},
               {"caller", refusal.caller},
               {"series", refusal.count}};
  if (!refusal.example.empty()) json["example"] = refusal.example;
  if (!refusal.detail.empty()) json["detail"] = refusal.detail;
  return json;
}

}  // namespace

OperatorPages::OperatorPages(const WriteConfig& config, Sources sources,
                             const Clock* clock, const Usage* usage,
                             const limits::Refusals* refusals)
    : config_(config),
      sources_(std::move(sources)),
      clock_(clock),
      usage_(usage),
      refusals_(refusals) {}

absl::StatusOr<v1::UsageResponse> OperatorPages::TellUsage(
    const v1::UsageRequest& request) const {
  if (request.max_tenants() < 0 || request.max_tenants() > kMaxTenants) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tenants: must be 1 to ", kMaxTenants, ", or 0 for ",
                     kDefaultTenants, "; got ", request.max_tenants()));
  }
  const int most =
      request.max_tenants() == 0 ? kDefaultTenants : request.max_tenants();
  v1::UsageResponse response;
  for (const Usage::Report& report : usage_->Reports(
           static_cast<size_t>(most), request.tenant_id(), clock_->Now())) {
    v1::TenantUsage* const usage = response.add_tenants();
    const auto rate = [&report](int64_t count) {
      return static_cast<double>(count) / report.seconds;
    };
    usage->set_tenant_id(report.tenant);
    usage->set_requests_per_second(rate(report.recent.requests));
    usage->set_samples_per_second(rate(report.recent.samples));
    usage->set_bytes_per_second(rate(report.recent.bytes));
    usage->set_refused_samples_per_second(rate(report.recent.refused_samples));
    usage->set_requests(report.total.requests);
    usage->set_samples(report.total.samples);
    usage->set_refused_samples(report.total.refused_samples);
    for (const auto& [name, share] : report.top_metrics) {
      auto* const metric = usage->add_top_metrics();
      metric->set_name(name);
      metric->set_share(share);
    }
    if (!sources_.state) continue;
    const TenantState state = sources_.state(report.uid);
    if (state.active_series) usage->set_active_series(*state.active_series);
    if (state.queued_bytes) usage->set_queued_bytes(*state.queued_bytes);
    if (state.queue_lag) {
      usage->set_queue_lag_seconds(absl::ToDoubleSeconds(*state.queue_lag));
    }
  }
  return response;
}

absl::StatusOr<std::string> OperatorPages::Tenants(
    absl::string_view query) const {
  ASSIGN_OR_RETURN(const PageParams params,
                   PageParams::Parse(query, {"tenant"}));
  v1::UsageRequest request;
  request.set_tenant_id(params.Get("tenant"));
  ASSIGN_OR_RETURN(const v1::UsageResponse usage, TellUsage(request));
  Json tenants = Json::array();
  for (const v1::TenantUsage& tenant : usage.tenants()) {
    tenants.push_back(ToJson(tenant));
  }
  return Print({{"tenants", std::move(tenants)}});
}

absl::StatusOr<std::string> OperatorPages::Rejected(
    absl::string_view query) const {
  ASSIGN_OR_RETURN(const PageParams params,
                   PageParams::Parse(query, {"tenant"}));
  if (!params.Has("tenant")) {
    Json tenants = Json::array();
    for (const auto& tenant : refusals_->Tenants(kMaxTenants)) {
      tenants.push_back({{"tenant", tenant.tenant},
                         {"refusals", tenant.refusals},
                         {"last", TimeText(tenant.last)}});
    }
    return Print({{"tenants", std::move(tenants)}});
  }
  Json refusals = Json::array();
  for (const limits::Refusal& refusal : refusals_->Of(params.Get("tenant"))) {
    refusals.push_back(ToJson(refusal));
  }
  return Print(
      {{"tenant", params.Get("tenant")}, {"refusals", std::move(refusals)}});
}

absl::StatusOr<std::string> OperatorPages::Why(absl::string_view query) const {
  ASSIGN_OR_RETURN(const PageParams params,
                   PageParams::Parse(query, {"binding", "tenant", "series"}));
  v1::WhyRequest request;
  request.set_binding_id(params.Get("binding"));
  request.set_tenant_id(params.Get("tenant"));
  RETURN_IF_ERROR(
      Annotate(ReadSeries(params.Get("series"), &request), "series"));
  ASSIGN_OR_RETURN(
      const v1::WhyResponse response,
      Explain(request, sources_.snapshots(), config_, clock_->Now()));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(response, &json, options);
  if (!status.ok()) {
    return absl::InternalError("the answer can't be written as JSON");
  }
  return json;
}

void OperatorPages::AddTo(runtime::Process* process) const {
  process->AddDebugPage("/debug/tenants", [this](absl::string_view query) {
    return Tenants(query);
  });
  process->AddDebugPage("/debug/rejected", [this](absl::string_view query) {
    return Rejected(query);
  });
  process->AddDebugPage("/debug/why",
                        [this](absl::string_view query) { return Why(query); });
}

}  // namespace insula::ingest_gateway
