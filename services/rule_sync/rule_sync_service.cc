#include "services/rule_sync/rule_sync_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/labels/validity.h"
#include "libs/rules/write.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;
namespace v1 = ::insula::rules::v1;

// Proto strings are UTF-8; names in files need not be.
std::string Utf8(const std::string& text) {
  return labels::IsValidUtf8(text) ? text : absl::CHexEscape(text);
}

void Fill(const rules::Problem& problem, v1::Problem* out) {
  out->set_line(problem.position.line);
  out->set_column(problem.position.column);
  out->set_group(Utf8(problem.group));
  out->set_rule(problem.rule);
  out->set_rule_name(Utf8(problem.rule_name));
  out->set_message(Utf8(problem.message));
}

void Fill(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t nanos = absl::ToUnixNanos(time);
  out->set_seconds(nanos / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

v1::RuleGroup::State StateOf(const GroupOutcome& outcome) {
  switch (outcome.state) {
    case GroupOutcome::State::kActive:
      return v1::RuleGroup::STATE_ACTIVE;
    case GroupOutcome::State::kFailed:
      return v1::RuleGroup::STATE_FAILED;
    case GroupOutcome::State::kPending:
      break;
  }
  return v1::RuleGroup::STATE_PENDING;
}

void Fill(const ListedGroup& listed, v1::RuleGroup* out) {
  out->set_source(Utf8(listed.file->source));
  if (listed.refused != nullptr) {
    out->set_name(Utf8(listed.refused->name));
    out->set_state(v1::RuleGroup::STATE_REFUSED);
    for (const rules::Problem& problem : listed.refused->problems) {
      Fill(problem, out->add_problems());
    }
    return;
  }
  const rules::Group& group = listed.group->group;
  out->set_name(Utf8(group.name));
  out->set_rules(static_cast<int32_t>(group.rules.size()));
  out->set_state(StateOf(listed.progress.outcome));
  out->set_last_error(Utf8(listed.progress.outcome.error));
  if (listed.progress.synced_at != absl::InfinitePast()) {
    Fill(listed.progress.synced_at, out->mutable_last_synced_at());
  }
}

}  // namespace

grpc::ServerUnaryReactor* RuleSyncService::Validate(
    grpc::CallbackServerContext* context, const v1::ValidateRequest* request,
    v1::ValidateResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleValidate(request, response));
}

asio::awaitable<absl::Status> RuleSyncService::HandleValidate(
    const v1::ValidateRequest* request, v1::ValidateResponse* response) {
  if (request->content().size() > options_.max_file_bytes) {
    co_return absl::InvalidArgumentError(absl::StrCat(
        "the file has ", request->content().size(), " bytes, more than the ",
        options_.max_file_bytes, " of rules.max_file, split it"));
  }
  CO_ASSIGN_OR_RETURN(const auto snapshot, snapshot_());
  const tenancy::Tenant* tenant = nullptr;
  if (!request->tenant_id().empty()) {
    tenant = snapshot->FindTenant(request->tenant_id());
    if (tenant == nullptr) {
      co_return absl::NotFoundError(
          absl::StrCat("there is no tenant ", request->tenant_id()));
    }
  }
  CheckedFile checked;
  const auto check = [&] {
    const absl::StatusOr<Treatment> treatment =
        TreatmentOf(*snapshot, tenant, options_);
    checked = treatment.ok() ? CheckRuleFile(request->content(), *treatment)
                             : RefusedFile(treatment.status().message());
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await blocking_.Run(check));
  std::vector<rules::Group> groups;
  for (CheckedGroup& group : checked.groups) {
    groups.push_back(std::move(group.group));
  }
  for (const RefusedGroup& refused : checked.refused) {
    for (const rules::Problem& problem : refused.problems) {
      Fill(problem, response->add_problems());
    }
  }
  if (!groups.empty()) response->set_confined(rules::Write(groups));
  co_return absl::OkStatus();
}

grpc::ServerUnaryReactor* RuleSyncService::ListRules(
    grpc::CallbackServerContext* context, const v1::ListRulesRequest* request,
    v1::ListRulesResponse* response) {
  return rpc::Serve(context, request, executor_,
                    HandleListRules(request, response));
}

asio::awaitable<absl::Status> RuleSyncService::HandleListRules(
    const v1::ListRulesRequest* request, v1::ListRulesResponse* response) {
  CO_ASSIGN_OR_RETURN(const auto snapshot, snapshot_());
  if (snapshot->FindTenant(request->tenant_id()) == nullptr) {
    co_return absl::NotFoundError(
        absl::StrCat("there is no tenant ", request->tenant_id()));
  }
  const std::optional<ListedRules> listed =
      co_await reconciler_.List(request->tenant_id());
  if (!listed.has_value()) {
    co_return absl::UnavailableError(
        "the rule directory has not been read yet, try again in a moment");
  }
  for (const ListedGroup& group : listed->groups) {
    v1::RuleGroup* const out = response->add_groups();
    out->set_rule_target_id(listed->target_id);
    Fill(group, out);
  }
  co_return absl::OkStatus();
}

}  // namespace insula::rule_sync
