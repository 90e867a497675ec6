// Telemeter: its client, its server, and the metrics-collector made of the
// client.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/resources/resource_printer.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

using resources::ResourceDocument;
using resources::ResourceNode;
using Kind = ResourceNode::Kind;

constexpr char kId[] = "telemeter";
constexpr int kMaxTokens = 10'000;
constexpr int kMaxMatches = 100;

constexpr char kTransform[] =
    "A Job renames, drops and hides no labels yet. Do it with "
    "metric_relabel_configs or a recording rule at the source.";
constexpr char kHidden[] =
    "Labels are not made anonymous yet. Until they are, leave series with such "
    "labels out of the `matches` of the Job.";
constexpr char kTracing[] = "There is no tracing.";
constexpr char kSourceTls[] =
    "A Job shows no certificate to its source yet; let a proxy beside the "
    "source do so.";
constexpr char kUpload[] =
    "The upload API of Telemeter is not spoken: samples go by remote write "
    "through the ingest-gateway to the tenant's Upstream.";
constexpr char kRing[] =
    "Samples are passed on at once and not kept for a scrape, so instances "
    "need not know each other.";
constexpr char kOidc[] =
    "Upstreams have no credentials yet. Let a proxy beside the store add them.";
constexpr char kOidcSecret[] =
    "Is not taken over and not shown. Put it into a file that only the proxy "
    "which uses it can read.";

constexpr Known kClientFlags[] = {
    {.name = "listen"},
    {.name = "from"},
    {.name = "from-token",
     .instead = "Is not taken over and not shown. A Job shows no token to its "
                "source yet; let a proxy beside the source add it.",
     .secret = true},
    {.name = "from-token-file",
     .instead =
         "A Job shows no token to its source yet; let a proxy beside the "
         "source add it."},
    {.name = "from-ca-file"},
    {.name = "tls-cert-file", .instead = kSourceTls},
    {.name = "tls-private-key-file", .instead = kSourceTls},
    {.name = "to", .instead = kUpload},
    {.name = "to-upload"},
    {.name = "to-auth", .instead = kUpload},
    {.name = "to-token", .secret = true},
    {.name = "to-token-file"},
    {.name = "id"},
    {.name = "interval"},
    {.name = "limit-bytes"},
    {.name = "match", .shape = Shape::kTexts},
    {.name = "match-file"},
    {.name = "recordingrule",
     .shape = Shape::kTexts,
     .instead = "Make it a recording rule of the source, or of rule-sync, and "
                "its name one of the `matches` of the Job."},
    {.name = "label", .shape = Shape::kTexts},
    {.name = "rename", .shape = Shape::kTexts, .instead = kTransform},
    {.name = "elide-label", .shape = Shape::kTexts, .instead = kTransform},
    {.name = "anonymize-labels", .shape = Shape::kTexts, .instead = kHidden},
    {.name = "anonymize-salt",
     .instead =
         "Is not taken over and not shown. Labels are not made anonymous "
         "yet.",
     .secret = true},
    {.name = "anonymize-salt-file", .instead = kHidden},
    {.name = "log-level"},
    {.name = "verbose", .shape = Shape::kSwitch},
    {.name = "v", .shape = Shape::kSwitch},
    {.name = "simulated-timeseries-file",
     .instead = "tools/bench makes load; the federation-pusher does not."},
    {.name = "internal.tracing.service-name", .instead = kTracing},
    {.name = "internal.tracing.endpoint", .instead = kTracing},
    {.name = "internal.tracing.sampling-fraction", .instead = kTracing},
    {.name = "internal.tracing.endpoint-type", .instead = kTracing},
    {.name = "SIMULATE", .instead = "tools/bench makes load."},
    {.name = "SIMULATE_METRICS_NUM", .instead = "tools/bench makes load."},
    {.name = "SIMULATE_LABEL_NUM", .instead = "tools/bench makes load."},
    {.name = "STANDALONE",
     .instead = "Nothing needs to be set: no status is written to Kubernetes."},
    {.name = "HTTP_PROXY",
     .instead = "No proxy is asked: sources and the ingest-gateway must be "
                "reachable."},
    {.name = "HTTPS_PROXY",
     .instead = "No proxy is asked: sources and the ingest-gateway must be "
                "reachable."},
    {.name = "NO_PROXY", .instead = "No proxy is asked."},
};

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
    binding.set_token_sha256(Sha256Of(token->scalar));
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

// --label NAME=VALUE.
absl::StatusOr<std::pair<std::string, std::string>> LabelOf(
    const Setting& setting, const Value& value) {
  const size_t equals = value.text.find('=');
  if (equals == std::string::npos || equals + 1 == value.text.size()) {
    return WrongValue(setting, value, "is no NAME=VALUE");
  }
  ASSIGN_OR_RETURN(
      std::string name,
      AsLabelName(setting, {"", value.text.substr(0, equals), value.where}));
  return std::make_pair(std::move(name), value.text.substr(equals + 1));
}

absl::StatusOr<std::vector<std::string>> SelectorsOf(const Setting& setting) {
  std::vector<std::string> selectors;
  for (const Value& value : setting.values) {
    if (const absl::Status status = CheckSelector(value.text); !status.ok()) {
      return WrongValue(setting, value, status.message());
    }
    selectors.push_back(value.text);
  }
  return selectors;
}

// --log-level, -v and --verbose.
absl::Status LogLevel(const Settings& settings, absl::string_view service,
                      Draft& draft) {
  for (const char* name : {"v", "verbose"}) {
    const Setting* setting = draft.Given(settings, name);
    if (setting == nullptr) continue;
    ASSIGN_OR_RETURN(const bool on, AsBool(*setting));
    if (on) draft.config(service).Set("log_level", "debug");
    draft.Used(*setting, absl::StrCat(service, " log_level"));
  }
  const Setting* setting = draft.Given(settings, "log-level");
  if (setting == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string level, AsLogLevel(*setting));
  draft.config(service).Set("log_level", level);
  draft.Used(*setting, absl::StrCat(service, " log_level"));
  return absl::OkStatus();
}

class Client {
 public:
  Client(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {
    tenant_ = input.tenants.empty() ? kId : input.tenants[0];
  }

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    draft_.tenant(tenant_);
    RETURN_IF_ERROR(AddGivenTenants(input_, draft_));
    RETURN_IF_ERROR(Source());
    RETURN_IF_ERROR(Matches());
    RETURN_IF_ERROR(Target());
    RETURN_IF_ERROR(Token());
    RETURN_IF_ERROR(Service());
    if (const Setting* id = draft_.Given(settings_, "id")) {
      draft_.Changed(*id, absl::StrCat("Tenant/", tenant_),
                     "Who sends is told by the token. For a label of the "
                     "cluster on every series give --label _id=...");
    }
    if (input_.tokens.has_value() || input_.whitelist.has_value()) {
      return absl::InvalidArgumentError(
          "tokens and a whitelist are of the server, --from is a flag of the "
          "client: convert each alone");
    }
    return draft_.Finish(settings_);
  }

 private:
  absl::Status Source() {
    v1::Job& job = draft_.job(kId);
    job.set_tenant_id(tenant_);
    const Setting* from = draft_.Given(settings_, "from");
    if (from == nullptr) {
      return absl::InvalidArgumentError(
          "--from is missing: the Prometheus to take metrics from");
    }
    ASSIGN_OR_RETURN(std::string url, AsUrl(*from));
    const size_t host = url.find("://") + 3;
    const size_t path = url.find('/', host);
    if (path == std::string::npos) {
      absl::StrAppend(&url, "/federate");
    } else if (path + 1 == url.size()) {
      absl::StrAppend(&url, "federate");
    }
    if (absl::StrContains(url, '?')) {
      return WrongSetting(*from, "must have no parameters; use --match");
    }
    job.set_source_url(url);
    draft_.Used(*from, "Job/telemeter source_url");
    int64_t seconds = 270;
    if (const Setting* setting = draft_.Given(settings_, "interval")) {
      ASSIGN_OR_RETURN(
          const absl::Duration interval,
          AsDuration(*setting, absl::Seconds(1), absl::Minutes(59)));
      seconds = absl::ToInt64Seconds(interval);
      draft_.Changed(*setting, "Job/telemeter interval",
                     "After an error the next run is at its usual time, and "
                     "not after a minute.");
    }
    job.mutable_interval()->set_seconds(seconds);
    const Setting* labels = draft_.Given(settings_, "label");
    if (labels == nullptr) return absl::OkStatus();
    for (const Value& value : labels->values) {
      ASSIGN_OR_RETURN(const auto label, LabelOf(*labels, value));
      (*job.mutable_labels())[label.first] = label.second;
    }
    draft_.Used(*labels, "Job/telemeter labels");
    return absl::OkStatus();
  }

  absl::Status Matches() {
    v1::Job& job = draft_.job(kId);
    if (const Setting* setting = draft_.Given(settings_, "match")) {
      ASSIGN_OR_RETURN(const std::vector<std::string> selectors,
                       SelectorsOf(*setting));
      for (const std::string& selector : selectors) job.add_matches(selector);
      draft_.Used(*setting, "Job/telemeter matches");
    }
    if (input_.matches.has_value()) {
      ASSIGN_OR_RETURN(const std::vector<std::string> selectors,
                       ReadSelectors(*input_.matches));
      for (const std::string& selector : selectors) job.add_matches(selector);
    }
    if (const Setting* setting = draft_.Given(settings_, "match-file")) {
      if (!input_.matches.has_value()) {
        return WrongSetting(*setting,
                            "give the file itself, too, so that its selectors "
                            "become those of the Job: insulactl convert "
                            "--match-file FILE");
      }
      draft_.Used(*setting, "Job/telemeter matches");
    }
    if (job.matches().empty()) job.add_matches("{__name__=\"up\"}");
    if (job.matches_size() <= kMaxMatches) return absl::OkStatus();
    // As many as a Job may have, the rest in further ones.
    const v1::Job all = job;
    job.clear_matches();
    for (int i = 0; i < all.matches_size(); ++i) {
      v1::Job& part = draft_.job(
          i < kMaxMatches ? std::string(kId)
                          : absl::StrCat(kId, "-", i / kMaxMatches + 1));
      if (part.source_url().empty()) {
        part = all;
        part.clear_matches();
      }
      part.add_matches(all.matches(i));
    }
    return absl::OkStatus();
  }

  absl::Status Target() {
    const Setting* upload = draft_.Given(settings_, "to-upload");
    const bool telemeter = settings_.Find("to") != nullptr ||
                           settings_.Find("to-auth") != nullptr ||
                           settings_.Find("to-token") != nullptr ||
                           settings_.Find("to-token-file") != nullptr;
    std::string url = input_.upstream_url;
    if (upload != nullptr && telemeter) {
      draft_.None(*upload, kUpload);
    } else if (upload != nullptr) {
      ASSIGN_OR_RETURN(url, AsUrl(*upload));
      draft_.Changed(*upload, "Upstream/telemeter write_url",
                     "The ingest-gateway writes there, one tenant's series a "
                     "request, and shows no certificate yet.");
    }
    if (url.empty()) {
      draft_.ToDo(
          "The tenant has no store: convert again with --upstream-url, the URL "
          "that takes its remote writes.");
      return absl::OkStatus();
    }
    v1::Upstream& upstream = draft_.upstream(kId);
    upstream.set_write_url(url);
    upstream.set_isolation(v1::Upstream::ISOLATION_HEADER);
    draft_.tenant(tenant_).set_upstream_id(kId);
    return absl::OkStatus();
  }

  absl::Status Token() {
    std::string token = input_.token;
    if (const Setting* setting = draft_.Given(settings_, "to-token")) {
      if (token.empty()) token = setting->text();
      draft_.Changed(*setting, "Binding/telemeter token_sha256",
                     "Put the token into the file of gateway.token_file; it is "
                     "not shown here.");
    }
    ConfigDraft& config = draft_.config("federation-pusher");
    config.Set("gateway.token_file", "/etc/insula/federation-pusher.token");
    if (const Setting* setting = draft_.Given(settings_, "to-token-file")) {
      config.Set("gateway.token_file", setting->text());
      draft_.Changed(*setting, "federation-pusher gateway.token_file",
                     "The Binding has the SHA-256 of the token in it.");
    }
    if (token.empty()) {
      draft_.ToDo(
          "The federation-pusher shows a token to the ingest-gateway. Convert "
          "again with --token-file, the file of gateway.token_file, for its "
          "Binding.");
      return absl::OkStatus();
    }
    v1::Binding& binding = draft_.binding(kId);
    binding.set_token_sha256(Sha256Of(token));
    binding.add_tenant_ids(tenant_);
    binding.add_roles(v1::ROLE_WRITE);
    return absl::OkStatus();
  }

  absl::Status Service() {
    ConfigDraft& config = draft_.config("federation-pusher");
    RETURN_IF_ERROR(LogLevel(settings_, "federation-pusher", draft_));
    config.Set("admin.listen_address", "127.0.0.1:9002");
    if (const Setting* setting = draft_.Given(settings_, "listen")) {
      ASSIGN_OR_RETURN(const std::string address, AsAddress(*setting));
      config.Set("admin.listen_address", address);
      draft_.Changed(*setting, "federation-pusher admin.listen_address",
                     "It has /metrics and health; what was pushed last is not "
                     "served there.");
    }
    config.Set("scrape.max_body", "200KiB");
    if (const Setting* setting = draft_.Given(settings_, "limit-bytes")) {
      ASSIGN_OR_RETURN(const int64_t bytes,
                       AsInteger(*setting, 1, int64_t{1} << 40));
      config.Set("scrape.max_body", absl::StrCat(bytes));
      draft_.Changed(*setting, "federation-pusher scrape.max_body",
                     "Of what is longer, nothing is sent.");
    }
    if (const Setting* setting = draft_.Given(settings_, "from-ca-file")) {
      config.Set("scrape.ca_file", setting->text());
      draft_.Changed(*setting, "federation-pusher scrape.ca_file",
                     "It stands in place of the system's CAs.");
    }
    return absl::OkStatus();
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kTelemeter};
  std::string tenant_;
};

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

// Only the client has a source.
bool IsFrom(const Argument& argument) {
  absl::string_view word = argument.text;
  return absl::StartsWith(word, "--from") || absl::StartsWith(word, "-from");
}

}  // namespace

std::vector<std::string> TelemeterSettings() {
  std::vector<std::string> names = NamesOf({}, kClientFlags);
  for (std::string& name : NamesOf({}, kServerFlags)) {
    names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<Conversion> ConvertTelemeter(const ConvertInput& input) {
  const bool client =
      std::any_of(input.flags.begin(), input.flags.end(), IsFrom);
  Settings settings(client ? "telemeter-client" : "telemeter-server", {},
                    client ? absl::MakeConstSpan(kClientFlags)
                           : absl::MakeConstSpan(kServerFlags));
  RETURN_IF_ERROR(settings.ReadFlags(input.flags));
  return client ? Client(input, settings).Run() : Server(input, settings).Run();
}

}  // namespace insula::insulactl
