// Telemeter's client, and the metrics-collector made of it: Jobs of the
// federation-pusher.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/telemeter.h"

namespace insula::insulactl::telemeter {
namespace {

constexpr int kMaxMatches = 100;

constexpr char kTransform[] =
    "A Job renames, drops and hides no labels yet. Do it with "
    "metric_relabel_configs or a recording rule at the source.";
constexpr char kHidden[] =
    "Labels are not made anonymous yet. Until they are, leave series with such "
    "labels out of the `matches` of the Job.";
constexpr char kSourceTls[] =
    "A Job shows no certificate to its source yet; let a proxy beside the "
    "source do so.";
constexpr char kUpload[] =
    "The upload API of Telemeter is not spoken: samples go by remote write "
    "through the ingest-gateway to the tenant's Upstream.";

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
    binding.set_token_sha256(tenancy::Sha256(token));
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

}  // namespace

absl::Span<const Known> ClientFlags() { return kClientFlags; }

absl::StatusOr<Conversion> ConvertClient(const ConvertInput& input,
                                         const Settings& settings) {
  return Client(input, settings).Run();
}

}  // namespace insula::insulactl::telemeter
