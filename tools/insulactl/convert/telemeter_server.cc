// Telemeter's server: the ingest-gateway.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/resources/resource_printer.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/telemeter.h"

namespace insula::insulactl::telemeter {
namespace {

using resources::ResourceDocument;
using resources::ResourceNode;
using Kind = ResourceNode::Kind;

constexpr int kMaxTokens = 10'000;

constexpr char kRing[] =
    "Samples are passed on at once and not kept for a scrape, so instances "
    "need not know each other.";
constexpr char kOidc[] =
    "Upstreams have no credentials yet. Let a proxy beside the store add them.";
constexpr char kOidcSecret[] =
    "Is not taken over and not shown. Put it into a file that only the proxy "
    "which uses it can read.";

constexpr Known kServerFlags[] = {
    {.name = "listen"},
    {.name = "listen-internal"},
    {.name = "tls-crt"},
    {.name = "tls-key"},
    {.name = "internal-tls-crt",
     .instead = "admin.listen_address is plain HTTP: let only the network of "
                "the operators reach it."},
    {.name = "internal-tls-key",
     .instead = "admin.listen_address is plain HTTP: let only the network of "
                "the operators reach it."},
    {.name = "label", .shape = Shape::kTexts},
    {.name = "required-label", .shape = Shape::kTexts},
    {.name = "partition-label",
     .instead = "Clusters are not told apart by a label of the token yet. Give "
                "each cluster a Tenant with that label in enforced_labels."},
    {.name = "shared-key",
     .instead = "Senders show their token with each request; no token is "
                "signed for them."},
    {.name = "token-expire-seconds",
     .instead = "Senders show their token with each request. A Binding ends at "
                "its not_after."},
    {.name = "authorize",
     .instead = "No other service is asked who may send: the Bindings of the "
                "registry say so. Give the tokens by --tokens."},
    {.name = "whitelist", .shape = Shape::kTexts},
    {.name = "whitelist-file"},
    {.name = "elide-label",
     .shape = Shape::kTexts,
     .instead = "Drop it at the senders (write_relabel_configs: labeldrop)."},
    {.name = "limit-bytes"},
    {.name = "limit-receive-bytes"},
    {.name = "ratelimit",
     .instead = "Not requests are limited but samples: samples_per_second of "
                "the Limits of a tenant."},
    {.name = "log-level"},
    {.name = "verbose", .shape = Shape::kSwitch},
    {.name = "v", .shape = Shape::kSwitch},
    {.name = "oidc-issuer", .instead = kOidc},
    {.name = "client-id", .instead = kOidc},
    {.name = "client-secret", .instead = kOidcSecret, .secret = true},
    {.name = "oidc-audience", .instead = kOidc},
    {.name = "tenant-key",
     .instead = "The tenant is that of the Binding; nothing in the token names "
                "it."},
    {.name = "memcached",
     .shape = Shape::kTexts,
     .instead = "Bindings are in memory; nothing needs to be cached."},
    {.name = "memcached-expire",
     .instead = "Bindings are in memory; nothing needs to be cached."},
    {.name = "memcached-interval",
     .instead = "Bindings are in memory; nothing needs to be cached."},
    {.name = "forward-url"},
    {.name = "tenant-id"},
    {.name = "internal.tracing.service-name", .instead = kTracing},
    {.name = "internal.tracing.endpoint", .instead = kTracing},
    {.name = "internal.tracing.sampling-fraction", .instead = kTracing},
    {.name = "internal.tracing.endpoint-type", .instead = kTracing},
    {.name = "listen-cluster", .instead = kRing},
    {.name = "join", .shape = Shape::kTexts, .instead = kRing},
    {.name = "name", .instead = kRing},
    {.name = "ttl", .instead = kRing},
    {.name = "storage-dir", .instead = kRing},
};

// Bindings of the tokens of a file for its authorization server.
absl::Status AddTokens(const InputFile& file, absl::string_view tenant,
                       Draft& draft) {
  const std::string name = resources::Printable(file.name);
  // JSON is YAML.
  ASSIGN_OR_RETURN(const std::vector<ResourceDocument> documents,
                   resources::ParseResourceTrees(file.text, name));
  if (documents.size() != 1 || documents[0].root.kind != Kind::kList ||
      !documents[0].error.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": must be a JSON list of {\"token\": \"...\"}"));
  }
  const ResourceNode& root = documents[0].root;
  if (root.children.size() > kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has ", root.children.size(), " tokens, may have ",
                     kMaxTokens));
  }
  int number = 0;
  for (const ResourceNode& entry : root.children) {
    ++number;
    const ResourceNode* token = nullptr;
    if (entry.kind == Kind::kMap && entry.children.size() == 1 &&
        entry.children[0].key == "token" &&
        entry.children[0].kind == Kind::kScalar) {
      token = &entry.children[0];
    }
    if (token == nullptr || token->scalar.empty()) {
      // What is wrong may be a secret.
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", entry.line, ": entry ", number,
                       " must be {\"token\": \"...\"} and nothing else"));
    }
    v1::Binding& binding = draft.binding(absl::StrCat(kId, "/token-", number));
    binding.set_token_sha256(tenancy::Sha256(token->scalar));
    binding.add_tenant_ids(std::string(tenant));
    binding.add_roles(v1::ROLE_WRITE);
    binding.add_roles(v1::ROLE_FEDERATE);
  }
  draft.ToDo(absl::StrCat(
      "The ", number, " tokens of ", name,
      " are Binding/telemeter/token-N in their order, by their SHA-256. Give "
      "each cluster its own Tenant, and put it into its Binding, if clusters "
      "must not write as each other."));
  return absl::OkStatus();
}

class Server {
 public:
  Server(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {
    tenant_ = input.tenants.empty() ? kId : input.tenants[0];
  }

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    draft_.tenant(tenant_);
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    RETURN_IF_ERROR(Service());
    RETURN_IF_ERROR(Store());
    RETURN_IF_ERROR(Labels("label"));
    RETURN_IF_ERROR(Labels("required-label"));
    RETURN_IF_ERROR(Whitelist());
    if (input_.tokens.has_value()) {
      RETURN_IF_ERROR(AddTokens(*input_.tokens, tenant_, draft_));
    } else {
      draft_.ToDo(
          "Nobody can write yet: give the tokens of the senders by --tokens, "
          "as "
          "the JSON file that the authorization server reads.");
    }
    draft_.ToDo(
        "Senders of remote write use /api/v1/receive in place of "
        "/metrics/v1/receive, and show the plain token. /authorize, /upload "
        "and /federate are not served.");
    return draft_.Finish(settings_);
  }

 private:
  absl::Status Service() {
    ConfigDraft& config = draft_.config("ingest-gateway");
    RETURN_IF_ERROR(LogLevel(settings_, "ingest-gateway", draft_));
    config.Set("listeners[0].listen_address", "0.0.0.0:9003");
    config.Set("admin.listen_address", "127.0.0.1:9004");
    if (const Setting* setting = draft_.Given(settings_, "listen")) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("listeners[0].listen_address", address);
      draft_.Used(*setting, "ingest-gateway listeners[0].listen_address");
    }
    if (const Setting* setting = draft_.Given(settings_, "listen-internal")) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("admin.listen_address", address);
      draft_.Changed(*setting, "ingest-gateway admin.listen_address",
                     "It has /metrics and health, and no /federate.");
    }
    const Setting* cert = draft_.Given(settings_, "tls-crt");
    const Setting* key = draft_.Given(settings_, "tls-key");
    if ((cert == nullptr) != (key == nullptr)) {
      return absl::InvalidArgumentError(
          "--tls-crt and --tls-key go together: give both or neither");
    }
    if (cert != nullptr) {
      config.Set("listeners[0].tls_cert_file", cert->text());
      config.Set("listeners[0].tls_key_file", key->text());
      draft_.Used(*cert, "ingest-gateway listeners[0].tls_cert_file");
      draft_.Used(*key, "ingest-gateway listeners[0].tls_key_file");
    }
    constexpr int64_t kMostBytes = int64_t{1} << 30;
    if (const Setting* setting = draft_.Given(settings_, "limit-bytes")) {
      ASSIGN_OR_RETURN(const int64_t bytes, AsInteger(*setting, 1, kMostBytes));
      config.Set("write.max_decoded_body", absl::StrCat(bytes));
      draft_.Used(*setting, "ingest-gateway write.max_decoded_body");
    }
    if (const Setting* setting =
            draft_.Given(settings_, "limit-receive-bytes")) {
      // No more than write.max_buffered is by default.
      ASSIGN_OR_RETURN(const int64_t bytes,
                       AsInteger(*setting, 1, int64_t{256} << 20));
      config.Set("write.max_body", absl::StrCat(bytes));
      draft_.Used(*setting, "ingest-gateway write.max_body");
    }
    return absl::OkStatus();
  }

  absl::Status Store() {
    std::string url = input_.upstream_url;
    if (const Setting* setting = draft_.Given(settings_, "forward-url")) {
      ASSIGN_OR_RETURN(url, AsUrl(*setting));
      draft_.Used(*setting, "Upstream/telemeter write_url");
    }
    if (const Setting* setting = draft_.Given(settings_, "tenant-id")) {
      ASSIGN_OR_RETURN(const std::string id,
                       AsTenantId(*setting, setting->values[0]));
      draft_.tenant(tenant_).set_org_id(id);
      draft_.Used(*setting, absl::StrCat("Tenant/", tenant_, " org_id"));
    }
    if (url.empty()) {
      draft_.ToDo(
          "The tenant has no store. Samples are not kept for a scrape: convert "
          "again with --upstream-url, the URL that takes remote writes.");
      return absl::OkStatus();
    }
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_write_url(url);
    upstream.set_isolation(v1::Upstream::ISOLATION_HEADER);
    upstream.set_tenant_header("THANOS-TENANT");
    upstream.mutable_timeout()->set_seconds(5);
    for (const std::string& id : draft_.tenant_ids()) {
      draft_.tenant(id).set_upstream_id(kId);
    }
    return absl::OkStatus();
  }

  absl::Status Labels(const char* name) {
    const Setting* setting = draft_.Given(settings_, name);
    if (setting == nullptr) return absl::OkStatus();
    for (const Value& value : setting->values) {
      ASSIGN_OR_RETURN(const auto label, LabelOf(*setting, value));
      for (const std::string& id : draft_.tenant_ids()) {
        (*draft_.tenant(id).mutable_enforced_labels())[label.first] =
            label.second;
      }
    }
    draft_.Changed(*setting, "Tenant enforced_labels",
                   "It is added where it lacks; a series that has another "
                   "value is refused, and only series with it are read.");
    return absl::OkStatus();
  }

  absl::Status Whitelist() {
    std::vector<std::string> selectors;
    const Setting* setting = draft_.Given(settings_, "whitelist");
    if (setting != nullptr) {
      ASSIGN_OR_RETURN(selectors, SelectorsOf(*setting));
    }
    const Setting* file = draft_.Given(settings_, "whitelist-file");
    if (file != nullptr && !input_.whitelist.has_value()) {
      return WrongSetting(*file,
                          "give the file itself, too: insulactl convert "
                          "--whitelist FILE");
    }
    if (input_.whitelist.has_value()) {
      ASSIGN_OR_RETURN(const std::vector<std::string> more,
                       ReadSelectors(*input_.whitelist));
      selectors.insert(selectors.end(), more.begin(), more.end());
    }
    constexpr char kDifference[] =
        "It says what is read of the tenant, and not what is written: series "
        "that no selector selects are stored, too. To store less, drop them at "
        "the senders.";
    if (setting != nullptr) {
      draft_.Changed(*setting, "Access/telemeter selectors", kDifference);
    }
    if (file != nullptr) {
      draft_.Changed(*file, "Access/telemeter selectors", kDifference);
    } else if (setting == nullptr && input_.whitelist.has_value()) {
      draft_.ToDo(
          absl::StrCat("The whitelist is Access/telemeter. ", kDifference));
    }
    if (selectors.empty()) return absl::OkStatus();
    draft_.tenant(tenant_).set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    v1::Access& access = draft_.access(kId);
    access.set_tenant_id(tenant_);
    access.add_source_tenant_ids(tenant_);
    for (const std::string& selector : selectors) {
      access.add_selectors(selector);
    }
    return absl::OkStatus();
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kTelemeter};
  std::string tenant_;
};

}  // namespace

absl::Span<const Known> ServerFlags() { return kServerFlags; }

absl::StatusOr<Conversion> ConvertServer(const ConvertInput& input,
                                         const Settings& settings) {
  return Server(input, settings).Run();
}

}  // namespace insula::insulactl::telemeter
