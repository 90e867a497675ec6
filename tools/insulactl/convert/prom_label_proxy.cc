// prom-label-proxy: puts a label into queries.
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

constexpr char kId[] = "prom-label-proxy";

constexpr Known kKnown[] = {
    {.name = "insecure-listen-address"},
    {.name = "internal-listen-address"},
    {.name = "upstream"},
    {.name = "label"},
    {.name = "label-value", .shape = Shape::kTexts},
    {.name = "regex-match", .shape = Shape::kSwitch},
    {.name = "query-param"},
    {.name = "header-name"},
    {.name = "header-uses-list-syntax",
     .shape = Shape::kSwitch,
     .instead = "A header names one tenant. For several together make a tenant "
                "that reads them: read_scope ACCESS and an Access that names "
                "them as source_tenant_ids."},
    {.name = "enable-label-apis", .shape = Shape::kSwitch},
    {.name = "error-on-replace",
     .shape = Shape::kSwitch,
     .instead = "A matcher of the query is never replaced: the tenant's stands "
                "beside it, and one that contradicts it finds nothing."},
    {.name = "unsafe-passthrough-paths",
     .instead = "No path goes through unenforced. Let those who need one ask "
                "the store itself."},
    {.name = "rules-with-active-alerts",
     .shape = Shape::kSwitch,
     .instead = "/api/v1/rules and /api/v1/alerts show the rules and alerts of "
                "what the tenant may read, and match[] chooses among rules."},
    {.name = "enable-label-matchers-for-rules-api",
     .shape = Shape::kSwitch,
     .instead = "/api/v1/rules and /api/v1/alerts show the rules and alerts of "
                "what the tenant may read, and match[] chooses among rules."},
    {.name = "enable-promql-duration-expression-parsing",
     .shape = Shape::kSwitch,
     .instead = "Queries are those of Prometheus 2.42; newer syntax is refused "
                "with its place."},
    {.name = "enable-promql-experimental-functions",
     .shape = Shape::kSwitch,
     .instead = "Queries are those of Prometheus 2.42; newer functions are "
                "refused with their place."},
};

class PromLabelProxy {
 public:
  PromLabelProxy(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {}

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    RETURN_IF_ERROR(Service());
    RETURN_IF_ERROR(Store());
    RETURN_IF_ERROR(Label());
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    RETURN_IF_ERROR(Who());
    for (const std::string& id : draft_.tenant_ids()) {
      v1::Tenant& tenant = draft_.tenant(id);
      tenant.set_upstream_id(kId);
      (*tenant.mutable_enforced_labels())[label_] = id;
    }
    return draft_.Finish(settings_);
  }

 private:
  absl::Status Service() {
    ConfigDraft& config = draft_.config("query-frontend");
    config.Set("listeners[0].listen_address", "127.0.0.1:8080");
    if (const Setting* setting =
            draft_.Given(settings_, "insecure-listen-address")) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("listeners[0].listen_address", address);
      draft_.Used(*setting, "query-frontend listeners[0].listen_address");
    }
    if (const Setting* setting =
            draft_.Given(settings_, "internal-listen-address")) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("admin.listen_address", address);
      draft_.Changed(*setting, "query-frontend admin.listen_address",
                     "It has /metrics, /livez, /readyz and /config; there is "
                     "no pprof.");
    }
    if (const Setting* setting = draft_.Given(settings_, "enable-label-apis")) {
      draft_.Used(*setting, "Nothing: they are always there, confined.");
    }
    return absl::OkStatus();
  }

  absl::Status Store() {
    const Setting* setting = draft_.Given(settings_, "upstream");
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_isolation(v1::Upstream::ISOLATION_LABEL);
    if (setting == nullptr) {
      return absl::InvalidArgumentError(
          "--upstream is missing: the URL of the store");
    }
    ASSIGN_OR_RETURN(*upstream.mutable_query_url(), AsUrl(*setting));
    draft_.Used(*setting, "Upstream/prom-label-proxy query_url");
    draft_.ToDo(
        "Upstream/prom-label-proxy is only read. If the tenants shall write "
        "through the ingest-gateway, give it a write_url; the label is then "
        "added to what they write.");
    return absl::OkStatus();
  }

  absl::Status Label() {
    const Setting* setting = draft_.Given(settings_, "label");
    if (setting == nullptr) {
      return absl::InvalidArgumentError(
          "--label is missing: the label that tells tenants apart");
    }
    ASSIGN_OR_RETURN(label_, AsLabelName(*setting, setting->values[0]));
    draft_.Used(*setting, "Tenant enforced_labels");
    return absl::OkStatus();
  }

  // Who asks: always the same ones, or whom a header or parameter names.
  absl::Status Who() {
    bool regex = false;
    if (const Setting* setting = draft_.Given(settings_, "regex-match")) {
      ASSIGN_OR_RETURN(regex, AsBool(*setting));
      draft_.Changed(*setting, "Access/prom-label-proxy selectors",
                     "Of a header or parameter, a tenant is never taken for a "
                     "regular expression.");
    }
    const Setting* values = draft_.Given(settings_, "label-value");
    const Setting* header = draft_.Given(settings_, "header-name");
    const Setting* param = draft_.Given(settings_, "query-param");
    if ((values != nullptr) + (header != nullptr) + (param != nullptr) > 1) {
      return absl::InvalidArgumentError(
          "--label-value, --header-name and --query-param exclude each other; "
          "keep one");
    }
    if (values != nullptr) return Fixed(*values, regex);
    if (header != nullptr) {
      ConfigDraft& config = draft_.config("query-frontend");
      config.Set("listeners[0].trusted_header", header->text());
      config.SetList("listeners[0].trusted_addresses", {"127.0.0.1", "::1"});
      draft_.Changed(*header, "query-frontend listeners[0].trusted_header",
                     "It is believed of listeners[0].trusted_addresses only: "
                     "put the addresses of the proxy there that authenticates "
                     "and sets it.");
    } else if (param != nullptr) {
      draft_.None(*param, kNoParameter);
    } else {
      draft_.ToDo(absl::StrCat("The parameter ", label_, " named the tenant. ",
                               kNoParameter));
    }
    if (draft_.tenant_ids().empty()) {
      draft_.ToDo(
          "prom-label-proxy knows no tenants: name yours with --tenant.");
    }
    return absl::OkStatus();
  }

  // Every request reads the series of these values, together.
  absl::Status Fixed(const Setting& values, bool regex) {
    if (!regex && values.values.size() == 1) {
      ASSIGN_OR_RETURN(const std::string id,
                       AsTenantId(values, values.values[0]));
      draft_.tenant(id);
      draft_.Used(values, absl::StrCat("Tenant/", id));
      Reader(id);
      return absl::OkStatus();
    }
    v1::Access& access = draft_.access(kId);
    access.set_tenant_id(kId);
    std::string selector = absl::StrCat("{", label_, "!=\"\"}");
    if (regex) {
      if (values.values.size() != 1) {
        return WrongSetting(values, "of a regular expression, give one");
      }
      selector =
          absl::StrCat("{", label_, "=~", resources::Quote(values.text()), "}");
      if (const absl::Status status = CheckSelector(selector); !status.ok()) {
        return WrongSetting(values, status.message());
      }
      access.set_every_source(true);
    } else {
      for (const Value& value : values.values) {
        ASSIGN_OR_RETURN(const std::string id, AsTenantId(values, value));
        draft_.tenant(id);
        access.add_source_tenant_ids(id);
      }
    }
    access.add_selectors(selector);
    v1::Tenant& reader = draft_.tenant(kId);
    reader.set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    reader.set_display_name("Reads what Access/prom-label-proxy grants");
    draft_.Changed(values, "Access/prom-label-proxy, Tenant/prom-label-proxy",
                   "The tenant has no series of its own: it reads those of "
                   "the others.");
    Reader(kId);
    return absl::OkStatus();
  }

  void Reader(absl::string_view tenant) {
    if (input_.token.empty()) {
      draft_.ToDo(absl::StrCat(
          "Readers prove who they are, here by a token. Make one (openssl rand "
          "-hex 16), put it into a file and convert again with --token-file: "
          "there will be a Binding/prom-label-proxy for ",
          tenant, "."));
      return;
    }
    v1::Binding& binding = draft_.binding(kId);
    binding.set_token_sha256(tenancy::Sha256(input_.token));
    binding.add_tenant_ids(std::string(tenant));
    binding.add_roles(v1::ROLE_READ);
  }

  static constexpr char kNoParameter[] =
      "A parameter that everybody can write proves nothing. Give each reader a "
      "token with a Binding, or let the proxy that authenticates them set a "
      "header (listeners[].trusted_header).";

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kPromLabelProxy};
  std::string label_;
};

}  // namespace

std::vector<std::string> PromLabelProxySettings() {
  return NamesOf({}, kKnown);
}

absl::StatusOr<Conversion> ConvertPromLabelProxy(const ConvertInput& input) {
  Settings settings(SystemName(System::kPromLabelProxy), {}, kKnown);
  RETURN_IF_ERROR(settings.ReadFlags(input.flags));
  return PromLabelProxy(input, settings).Run();
}

}  // namespace insula::insulactl
