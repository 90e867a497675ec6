#include "tools/insulactl/convert/draft.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::insulactl {
namespace {

// More of them in one binding are refused.
constexpr size_t kMaxTenantsOfABinding = 4096;
constexpr size_t kMaxSelectors = 1000;
constexpr size_t kMaxIdBytes = 200;

}  // namespace

v1::Object& Draft::object(v1::Kind kind, absl::string_view id) {
  const auto [it, fresh] =
      index_.emplace(std::make_pair(kind, std::string(id)), objects_.size());
  if (fresh) {
    v1::Object& object = objects_.emplace_back();
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(std::string(id));
  }
  return objects_[it->second];
}

v1::Tenant& Draft::tenant(absl::string_view id) {
  return *object(v1::KIND_TENANT, id).mutable_tenant();
}
v1::Binding& Draft::binding(absl::string_view id) {
  return *object(v1::KIND_BINDING, id).mutable_binding();
}
v1::Access& Draft::access(absl::string_view id) {
  return *object(v1::KIND_ACCESS, id).mutable_access();
}
v1::Upstream& Draft::upstream(absl::string_view id) {
  return *object(v1::KIND_UPSTREAM, id).mutable_upstream();
}
v1::ClaimRule& Draft::claim_rule(absl::string_view id) {
  return *object(v1::KIND_CLAIM_RULE, id).mutable_claim_rule();
}
v1::Limits& Draft::limits(absl::string_view id) {
  return *object(v1::KIND_LIMITS, id).mutable_limits();
}
v1::Policy& Draft::policy(absl::string_view id) {
  return *object(v1::KIND_POLICY, id).mutable_policy();
}
v1::RuleTarget& Draft::rule_target(absl::string_view id) {
  return *object(v1::KIND_RULE_TARGET, id).mutable_rule_target();
}
v1::Job& Draft::job(absl::string_view id) {
  return *object(v1::KIND_JOB, id).mutable_job();
}

std::vector<std::string> Draft::tenant_ids() const {
  std::vector<std::string> ids;
  for (const v1::Object& object : objects_) {
    if (object.has_tenant()) ids.push_back(object.meta().id());
  }
  return ids;
}

bool Draft::has_claim_rule(absl::string_view id) const {
  return index_.contains({v1::KIND_CLAIM_RULE, std::string(id)});
}

ConfigDraft& Draft::config(absl::string_view service) {
  for (auto& [name, config] : configs_) {
    if (name == service) return config;
  }
  ConfigDraft& config =
      configs_.emplace_back(std::string(service), ConfigDraft()).second;
  config.Set("registry.address", "127.0.0.1:9701");
  config.Set("registry.state_dir", absl::StrCat("/var/lib/insula/", service));
  return config;
}

void Draft::Tell(Note::Kind kind, const Setting& setting, std::string text) {
  told_.insert(setting.name);
  notes_.push_back({kind, setting.name, setting.where, std::move(text)});
}

void Draft::Used(const Setting& setting, absl::string_view became) {
  Tell(Note::Kind::kUsed, setting, std::string(became));
}

void Draft::Changed(const Setting& setting, absl::string_view became,
                    absl::string_view difference) {
  Tell(Note::Kind::kChanged, setting,
       absl::StrCat(became, became.empty() ? "" : ". ", difference));
}

void Draft::None(const Setting& setting, absl::string_view instead) {
  Tell(Note::Kind::kNone, setting, std::string(instead));
}

void Draft::ToDo(absl::string_view text) {
  notes_.push_back({Note::Kind::kToDo, "", "", std::string(text)});
}

const Setting* Draft::Given(const Settings& settings, absl::string_view name) {
  const Setting* setting = settings.Find(name);
  if (setting == nullptr) return nullptr;
  const bool empty =
      std::all_of(setting->values.begin(), setting->values.end(),
                  [](const Value& value) { return value.text.empty(); });
  if (!empty) return setting;
  Used(*setting, "Empty: the same as left out.");
  return nullptr;
}

void Draft::NoneOfKnown(const Settings& settings) {
  for (const Setting& setting : settings.all()) {
    if (!setting.known->instead.empty()) None(setting, setting.known->instead);
  }
}

absl::StatusOr<Conversion> Draft::Finish(const Settings& settings) {
  for (const Setting& setting : settings.all()) {
    if (!told_.contains(setting.name)) {
      return absl::InternalError(
          absl::StrCat(setting.where, ": ", setting.name,
                       ": nothing became of it; this is a fault of insulactl"));
    }
  }
  Conversion conversion;
  conversion.system = system_;
  std::stable_sort(objects_.begin(), objects_.end(),
                   [](const v1::Object& a, const v1::Object& b) {
                     return resources::ReferenceRank(a.meta().kind()) <
                            resources::ReferenceRank(b.meta().kind());
                   });
  std::vector<resources::Resource> found;
  for (const v1::Object& object : objects_) {
    RETURN_IF_ERROR(Annotate(
        tenancy::CheckObject(object),
        absl::StrCat("what ", settings.system(), " becomes is not valid")));
    found.push_back({object, std::string(settings.system())});
  }
  const std::vector<std::string> errors = resources::CheckTogether(
      found,
      [](const resources::ObjectKey&) -> const v1::Object* { return nullptr; });
  if (!errors.empty()) return absl::InvalidArgumentError(errors.front());
  conversion.objects.assign(std::make_move_iterator(objects_.begin()),
                            std::make_move_iterator(objects_.end()));
  for (const auto& [service, config] : configs_) {
    conversion.configs.push_back({service, config.Yaml()});
  }
  conversion.notes = std::move(notes_);
  return conversion;
}

std::string IdLike(absl::string_view text) {
  std::string id;
  for (const char c : text.substr(0, kMaxIdBytes)) {
    const bool legal = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                       c == '.' || c == '_' || c == '-';
    id.push_back(legal ? c : '-');
  }
  const bool dots = id.find_first_not_of('.') == std::string::npos;
  return dots ? "x" + id : id;
}

absl::Status CheckSelector(absl::string_view selector) {
  ASSIGN_OR_RETURN(const std::vector<labels::Matcher> matchers,
                   promql::ParseMetricSelector(selector));
  if (std::all_of(
          matchers.begin(), matchers.end(),
          [](const labels::Matcher& matcher) { return matcher.Matches(""); })) {
    return absl::InvalidArgumentError(
        "selects every series; at least one matcher must not match the empty "
        "string");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadSelectors(const InputFile& file) {
  std::vector<std::string> selectors;
  int line = 0;
  for (absl::string_view text : absl::StrSplit(file.text, '\n')) {
    ++line;
    text = absl::StripAsciiWhitespace(text);
    if (text.empty() || text[0] == '#') continue;
    const std::string where =
        absl::StrCat(resources::Printable(file.name), ":", line);
    RETURN_IF_ERROR(Annotate(CheckSelector(text), where));
    if (selectors.size() >= kMaxSelectors) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": has more than ", kMaxSelectors, " selectors"));
    }
    selectors.emplace_back(text);
  }
  return selectors;
}

absl::Status AddGivenTenants(const ConvertInput& input, Draft& draft) {
  for (const std::string& id : input.tenants) {
    RETURN_IF_ERROR(
        Annotate(tenancy::TenantId::Parse(id).status(), "the tenants given"));
    draft.tenant(id);
  }
  return absl::OkStatus();
}

void SetTenants(const std::vector<std::string>& tenant_ids,
                absl::string_view id, v1::Binding& binding, Draft& draft) {
  binding.clear_tenant_ids();
  if (tenant_ids.size() <= kMaxTenantsOfABinding) {
    for (const std::string& tenant : tenant_ids) binding.add_tenant_ids(tenant);
    return;
  }
  binding.set_every_tenant(true);
  draft.ToDo(absl::StrCat("Binding/", id, " would name ", tenant_ids.size(),
                          " tenants and may name ", kMaxTenantsOfABinding,
                          ", so it is for every tenant. Give its senders "
                          "tokens of their own if that is too much."));
}

void AddSender(const ConvertInput& input, absl::string_view id,
               const std::vector<std::string>& tenant_ids, bool every_tenant,
               absl::string_view claim_rule_id, Draft& draft) {
  if (input.token.empty()) {
    draft.ToDo(absl::StrCat(
        "Senders prove who they are, here by a token. Make one (openssl rand "
        "-hex 16), put it into a file and convert again with --token-file: "
        "there will be a Binding/",
        id, " that uses ClaimRule/", claim_rule_id, "."));
    return;
  }
  if (!every_tenant && tenant_ids.empty()) {
    draft.ToDo(absl::StrCat("There is no tenant that Binding/", id,
                            " could be for: name yours with --tenant."));
    return;
  }
  v1::Binding& binding = draft.binding(id);
  binding.set_token_sha256(tenancy::Sha256(input.token));
  binding.add_roles(v1::ROLE_WRITE);
  binding.set_claim_rule_id(std::string(claim_rule_id));
  binding.set_every_tenant(every_tenant);
  if (!every_tenant) SetTenants(tenant_ids, id, binding, draft);
  if (every_tenant) {
    draft.ToDo(absl::StrCat("Binding/", id,
                            " is for every tenant of the registry, as nothing "
                            "bounds whose series are written there. Name "
                            "tenant_ids if its senders shall not write for "
                            "all."));
  }
  draft.ToDo(
      "Senders show the token as `authorization: {credentials_file: FILE}` of "
      "their remote_write.");
}

}  // namespace insula::insulactl
