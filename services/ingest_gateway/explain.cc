#include "services/ingest_gateway/explain.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/auth/auth.h"
#include "libs/remote_write/encode.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_macros.h"
#include "services/ingest_gateway/losses.h"
#include "services/ingest_gateway/routing.h"

namespace insula::ingest_gateway {
namespace {

namespace v1 = ingest::v1;
using remote_write::Reason;
using remote_write::WireField;
using remote_write::WireReader;
using remote_write::WireType;

absl::Status CheckRequest(const v1::WhyRequest& request) {
  if (request.binding_id().empty() && request.tenant_id().empty()) {
    return absl::InvalidArgumentError(
        "binding_id: name the sender's binding, or in tenant_id the tenant "
        "that "
        "a trusted header names");
  }
  if (request.labels().empty()) {
    return absl::InvalidArgumentError(
        "labels: must be those of a series, __name__ included");
  }
  return absl::OkStatus();
}

absl::StatusOr<auth::Caller> FindCaller(
    const v1::WhyRequest& request,
    std::shared_ptr<const tenancy::Snapshot> snapshot, absl::Time now) {
  if (request.binding_id().empty()) {
    return auth::CallerWithHeader(std::move(snapshot), request.tenant_id(),
                                  registry::v1::ROLE_WRITE);
  }
  return auth::CallerWithBinding(std::move(snapshot), request.binding_id(),
                                 request.tenant_id(), registry::v1::ROLE_WRITE,
                                 now);
}

// A WriteRequest of the series, with a sample, as Prometheus would send it.
std::string Encode(const v1::WhyRequest& request) {
  const std::map<std::string, std::string> sorted(request.labels().begin(),
                                                  request.labels().end());
  std::string series;
  for (const auto& [name, value] : sorted) {
    remote_write::AppendLabel(name, value, &series);
  }
  remote_write::AppendSample(0, 0, &series);
  std::string message;
  remote_write::AppendSeries(series, &message);
  return message;
}

// The values of the fields `number` of a message.
std::vector<absl::string_view> FieldsOf(absl::string_view message,
                                        uint32_t number) {
  std::vector<absl::string_view> values;
  WireReader reader(message);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == number && field.type == WireType::kBytes) {
      values.push_back(field.bytes);
    }
  }
  return values;
}

absl::string_view FieldOf(absl::string_view message, uint32_t number) {
  const std::vector<absl::string_view> values = FieldsOf(message, number);
  return values.empty() ? absl::string_view() : values.back();
}

void SetLabels(absl::string_view body, v1::WhyResponse* response) {
  for (const absl::string_view series : FieldsOf(body, 1)) {
    for (const absl::string_view label : FieldsOf(series, 1)) {
      (*response->mutable_labels())[std::string(FieldOf(label, 1))] =
          std::string(FieldOf(label, 2));
    }
  }
}

// By which fact the tenant was found; empty if there is none. `claimed`: the
// series names its tenant.
std::string RuleOf(const v1::WhyRequest& request, const Routing& routing,
                   const remote_write::SplitResult& split, bool claimed) {
  const tenancy::ClaimRule* const rule = routing.caller().claim_rule;
  if (rule == nullptr) {
    return request.tenant_id().empty() ? "binding" : "header";
  }
  if (claimed) {
    return absl::StrCat("claim rule ", rule->id, ": label ",
                        routing.plan().claim_label);
  }
  // A default tenant that can't be written is found, too.
  const remote_write::Route& otherwise = routing.plan().otherwise;
  const bool by_default =
      split.routed_series > 0 ||
      (otherwise.reason != Reason::kTenantMissing && !split.refused.empty() &&
       split.refused[0].reason == otherwise.reason);
  return by_default ? absl::StrCat("claim rule ", rule->id, ": default") : "";
}

std::string RefusalOf(const Loss& loss) {
  const std::string limit =
      loss.limit > 0 ? absl::StrCat(" (limit ", loss.limit, ")") : "";
  return absl::StrCat(remote_write::ReasonName(loss.reason), limit, ": ",
                      remote_write::ReasonCure(loss.reason));
}

}  // namespace

absl::StatusOr<v1::WhyResponse> Explain(
    const v1::WhyRequest& request,
    std::shared_ptr<const tenancy::Snapshot> snapshot,
    const WriteConfig& config, absl::Time now) {
  RETURN_IF_ERROR(CheckRequest(request));
  RETURN_IF_ERROR(auth::CheckKnown(snapshot.get()));
  v1::WhyResponse response;
  absl::StatusOr<auth::Caller> caller =
      FindCaller(request, std::move(snapshot), now);
  if (absl::IsNotFound(caller.status())) return caller.status();
  if (!caller.ok()) {
    response.set_refusal(std::string(caller.status().message()));
    return response;
  }

  Routing routing(*std::move(caller), config.name_scheme());
  bool claimed = false;
  remote_write::Plan plan = routing.plan();
  plan.find = [&routing, &claimed](absl::string_view value) {
    claimed = true;
    return routing.plan().find(value);
  };
  const std::string message = Encode(request);
  remote_write::Splitter splitter(config.SplitBounds());
  const absl::StatusOr<remote_write::SplitResult> split =
      splitter.Split(message, plan);
  if (!split.ok()) {
    response.set_refusal(std::string(split.status().message()));
    return response;
  }

  response.set_rule(RuleOf(request, routing, *split, claimed));
  for (const Loss& loss : LossesOf(*split, routing.caller())) {
    response.set_refusal(RefusalOf(loss));
  }
  for (const remote_write::Part& part : split->parts) {
    const Recipient& recipient = Recipient::Of(part.destination);
    response.set_tenant_id(recipient.name);
    response.set_upstream_id(recipient.upstream->id);
    response.set_write_url(recipient.url.ToString());
    SetLabels(part.body, &response);
  }
  return response;
}

}  // namespace insula::ingest_gateway
