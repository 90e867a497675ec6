#include "services/ingest_gateway/explain.h"

#include <google/protobuf/map.h>

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

void SetLabels(absl::string_view body,
               google::protobuf::Map<std::string, std::string>* labels) {
  for (const absl::string_view series : FieldsOf(body, 1)) {
    for (const absl::string_view label : FieldsOf(series, 1)) {
      (*labels)[std::string(FieldOf(label, 1))] =
          std::string(FieldOf(label, 2));
    }
  }
}

std::string RefusalOf(Reason reason, double limit) {
  return absl::StrCat(remote_write::ReasonName(reason),
                      limit > 0 ? absl::StrCat(" (limit ", limit, ")") : "",
                      ": ", remote_write::ReasonCure(reason));
}

// What decides about the series, as the splitter finds it.
std::vector<absl::string_view> DecidingValues(const v1::WhyRequest& request,
                                              const remote_write::Plan& plan) {
  std::vector<absl::string_view> values;
  for (const std::string& name : plan.deciding_labels) {
    const auto at = request.labels().find(name);
    values.push_back(at == request.labels().end() ? absl::string_view()
                                                  : at->second);
  }
  return values;
}

// By which fact the tenant was found.
std::string RuleOf(const v1::WhyRequest& request, const auth::Caller& caller,
                   const Routing::Decision& decision) {
  if (caller.claim_rule != nullptr) {
    return absl::StrCat("claim rule ", caller.claim_rule->id, ": ",
                        decision.source);
  }
  return request.tenant_id().empty() ? "binding" : "header";
}

// What the split did with the series for one tenant.
void Describe(const Routing::Decision& decision,
              const remote_write::SplitResult& split,
              v1::WhyDestination* destination) {
  destination->set_tenant_id(decision.tenant_id);
  const Recipient* const recipient = decision.recipient;
  if (recipient == nullptr) {
    destination->set_refusal(RefusalOf(decision.reason, 0));
    return;
  }
  *destination->mutable_limits() = *recipient->tenant_limits;
  destination->set_upstream_id(recipient->upstream->id);
  for (const remote_write::Part& part : split.parts) {
    if (part.destination != recipient) continue;
    destination->set_write_url(recipient->url.ToString());
    SetLabels(part.body, destination->mutable_labels());
    return;
  }
  for (const remote_write::Refused& refused : split.refused) {
    if (refused.destination != nullptr && refused.destination != recipient) {
      continue;
    }
    destination->set_refusal(
        RefusalOf(refused.reason, LimitOf(refused.reason, recipient)));
  }
}

// For those who ask about one tenant: the first that takes the series.
void DescribeFirst(v1::WhyResponse* response) {
  if (response->destinations().empty()) return;
  response->set_rule(response->destinations(0).rule());
  for (const v1::WhyDestination& destination : response->destinations()) {
    if (!destination.refusal().empty()) continue;
    response->set_tenant_id(destination.tenant_id());
    response->set_rule(destination.rule());
    *response->mutable_labels() = destination.labels();
    response->set_upstream_id(destination.upstream_id());
    response->set_write_url(destination.write_url());
    return;
  }
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
  const std::string message = Encode(request);
  remote_write::Splitter splitter(config.SplitBounds());
  const absl::StatusOr<remote_write::SplitResult> split =
      splitter.Split(message, routing.plan());
  if (!split.ok()) {
    response.set_refusal(std::string(split.status().message()));
    return response;
  }

  for (const Routing::Decision& decision :
       routing.Decide(DecidingValues(request, routing.plan()))) {
    v1::WhyDestination* const destination = response.add_destinations();
    destination->set_rule(RuleOf(request, routing.caller(), decision));
    Describe(decision, *split, destination);
  }
  for (const Loss& loss : LossesOf(*split, routing.caller())) {
    response.set_refusal(RefusalOf(loss.reason, loss.limit));
  }
  DescribeFirst(&response);
  return response;
}

}  // namespace insula::ingest_gateway
