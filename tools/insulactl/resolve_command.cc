// resolve.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/input_file.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/table.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

std::string Labels(const google::protobuf::Map<std::string, std::string>& map) {
  std::vector<std::string> labels;
  for (const auto& [name, value] : map) {
    labels.push_back(absl::StrCat(name, "=", value));
  }
  std::sort(labels.begin(), labels.end());
  return absl::StrJoin(labels, ",");
}

class Resolve final : public Command {
 public:
  absl::string_view details() const override {
    return "Ask by a token, a binding or a tenant. A token is read from a file "
           "or from stdin, as all can see a command line; only its SHA-256 is "
           "sent.";
  }
  void Declare(Options* options) override {
    options->Text("--token-file", "FILE", &token_file_,
                  "The file that holds the token.");
    options->Flag("--token-stdin", &token_stdin_, "Read the token from stdin.");
    options->Text("--binding", "ID", &binding_, "A Binding.");
    options->Text("--tenant", "ID", &tenant_,
                  "A tenant, as one that may do all that its state permits.");
    options->Number("--max-tenants", "N", &max_tenants_,
                    "Show at most so many tenants of a binding, up to 1000.");
  }
  ExitCode Run(const Session& session) override {
    const auto request = Request();
    if (!request.ok()) return session.Unusable(request.status());
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    const auto answer = (*client)->Resolve(*request);
    if (!answer.ok()) return session.Refused(answer.status());
    if (session.globals.output == "table") {
      Print(session, *answer);
    } else {
      session.console.Out(MessageText(*answer, session.globals.output));
    }
    return ExitCode::kOk;
  }

 private:
  absl::StatusOr<v1::ResolveRequest> Request() const {
    const int subjects = (token_file_.empty() ? 0 : 1) +
                         (token_stdin_ ? 1 : 0) + (binding_.empty() ? 0 : 1) +
                         (tenant_.empty() ? 0 : 1);
    if (subjects != 1) {
      return absl::InvalidArgumentError(
          "give one of --token-file, --token-stdin, --binding and --tenant");
    }
    if (max_tenants_ < 1 || max_tenants_ > 1000) {
      return absl::InvalidArgumentError("--max-tenants must be 1 to 1000");
    }
    v1::ResolveRequest request;
    request.set_max_tenants(static_cast<int32_t>(max_tenants_));
    if (!binding_.empty()) request.set_binding_id(binding_);
    if (!tenant_.empty()) request.set_tenant_id(tenant_);
    if (token_stdin_ || !token_file_.empty()) {
      ASSIGN_OR_RETURN(const std::string token,
                       ReadToken(token_stdin_ ? "-" : token_file_, &std::cin));
      request.set_token_sha256(tenancy::Sha256(token));
    }
    return request;
  }

  static void Print(const Session& session, const v1::ResolveResponse& answer) {
    if (!answer.binding_id().empty()) {
      Table binding({"BINDING", "ROLES", "TENANTS", "CLAIM-RULE", "NOT-AFTER"});
      binding.Add({answer.binding_id(), RoleWords(answer.roles()),
                   answer.every_tenant() ? "every"
                                         : absl::StrCat(answer.tenant_count()),
                   answer.claim_rule_id(),
                   answer.has_not_after() ? TimeText(answer.not_after()) : ""});
      session.console.Out(binding.Text());
      if (answer.expired()) {
        session.console.OutLine(session.console.Colored(
            Color::kRed, "It is void since its not_after."));
      }
      session.console.OutLine("");
    }
    if (answer.tenants().empty()) return;
    Table tenants({"TENANT", "STATE", "READ", "WRITE", "ORG-ID", "LABELS",
                   "UPSTREAM", "RULE-TARGET"});
    for (const v1::ResolvedTenant& tenant : answer.tenants()) {
      tenants.Add(
          {tenant.id(),
           EnumWord(v1::Tenant::State_Name(tenant.state()), "STATE_", "ACTIVE"),
           tenant.may_read() ? "yes" : "no", tenant.may_write() ? "yes" : "no",
           tenant.org_id(), Labels(tenant.enforced_labels()),
           tenant.upstream_id(), tenant.rule_target_id()});
    }
    session.console.Out(tenants.Text());
    if (answer.tenant_count() > answer.tenants_size()) {
      session.console.OutLine(absl::StrCat(
          "and ", answer.tenant_count() - answer.tenants_size(), " more"));
    }
    for (const v1::ResolvedTenant& tenant : answer.tenants()) {
      PrintTenant(session, tenant);
    }
  }

  static void PrintTenant(const Session& session,
                          const v1::ResolvedTenant& tenant) {
    auto line = [&session](absl::string_view what, absl::string_view value) {
      if (value.empty()) return;
      session.console.OutLine(
          absl::StrCat("  ", what, resources::Printable(value)));
    };
    session.console.OutLine(
        absl::StrCat("\n", resources::Printable(tenant.id()), ":"));
    for (const std::string& refusal : tenant.refusals()) {
      line("refused:  ", refusal);
    }
    line("writes:   ", tenant.write_url());
    line("queries:  ", tenant.query_url());
    for (const std::string& selector : tenant.visible()) {
      line("sees:     ", selector);
    }
    line("accesses: ", absl::StrJoin(tenant.access_ids(), ", "));
    if (tenant.has_limits()) {
      line("limits:   ", resources::MessageToJson(tenant.limits()));
    }
  }

  std::string token_file_;
  bool token_stdin_ = false;
  std::string binding_;
  std::string tenant_;
  int64_t max_tenants_ = 100;
};

}  // namespace

std::unique_ptr<Command> MakeResolve() { return std::make_unique<Resolve>(); }

}  // namespace insula::insulactl
