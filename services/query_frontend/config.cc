#include "services/query_frontend/config.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {
namespace {

absl::Status Between(absl::string_view key, uint64_t value, uint64_t least,
                     uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be ", least, " to ", most, ", is ", value));
}

absl::Status Positive(absl::string_view key, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be more than 0s"));
}

absl::Status Together(absl::string_view key, const std::string& value,
                      absl::string_view other_key, const std::string& other) {
  if (value.empty() == other.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": set ", other_key, " with it, or neither"));
}

}  // namespace

ListenerConfig::ListenerConfig()
    : edge::ListenerConfig("http", "127.0.0.1:8080") {}

void ListenerConfig::Describe(config::Fields& fields) {
  DescribeAs("Where to take queries.", fields);
}

void ApiConfig::Describe(config::Fields& fields) {
  fields.Add("max_body", max_body, "Longest body of a request; 413 above it.");
  fields.Add("max_head", max_head,
             "Longest request line and headers together; 431 above it.");
  fields.Add("max_buffered", max_buffered,
             "Bodies held by each listener at once; 503 above it.");
  fields.Add("timeout", timeout, "Longest time from a request to its answer.");
  fields.Add("metadata_help", answers.metadata_help,
             "Show help texts of metrics. At a store that isolates by label "
             "they may be of another tenant that has metrics of that name.");
  fields.Add("federate", answers.federate,
             "Open /federate to tenants. Only a Prometheus has it.");
  fields.Add("remote_read", answers.remote_read,
             "Open /api/v1/read to tenants.");
  fields.Add("target_details", answers.target_details,
             "Show where targets are scraped, what they were discovered as, "
             "and the errors of scrapes and rules.");
  fields.Add("request_log", book.request_log,
             "Log a line for each request, without what it asks for. They are "
             "logged at log_level debug in any case.");
  fields.Add("slow_query", book.slow_query,
             "Queries that take so long are logged with their text, and are on "
             "/debug/queries. 0: none are.");
}

absl::Status ApiConfig::Validate() const {
  RETURN_IF_ERROR(Between("api.max_body", max_body.value, 1024, 64 << 20));
  RETURN_IF_ERROR(Between("api.max_head", max_head.value, 4096, 4 << 20));
  RETURN_IF_ERROR(Between("api.max_buffered", max_buffered.value,
                          max_body.value, uint64_t{1} << 40));
  if (timeout < absl::Seconds(1)) {
    return absl::InvalidArgumentError("api.timeout: must be at least 1s");
  }
  if (book.slow_query < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("api.slow_query: must not be negative");
  }
  return absl::OkStatus();
}

http::ServerOptions ApiConfig::ServerLimits() const {
  http::ServerOptions options;
  options.max_header_bytes = max_head.value;
  options.max_body_bytes = max_body.value;
  options.max_buffered_bytes = max_buffered.value;
  options.request_timeout = timeout;
  return options;
}

void UpstreamConfig::Describe(config::Fields& fields) {
  fields.Add("max_response", max_response,
             "Longest answer of a store that is held as a whole, decoded; 422 "
             "above it. Results that pass through are not.");
  fields.Add("max_connections", max_connections,
             "Open connections to each store's host; further requests wait.");
  fields.Add("connect_timeout", connect_timeout,
             "Longest wait for a connection to a store.");
  fields.Add("tls_ca_file", tls_ca_file,
             "CA of the stores' certificates, PEM. Empty: the system's.");
  fields.Add("tls_cert_file", tls_cert_file,
             "Certificate to show to stores, PEM.");
  fields.Add("tls_key_file", tls_key_file, "Its private key, PEM.");
  fields.Add("refused_networks", refused_networks,
             "Addresses and networks (10.1.0.0/16) that no store may have.");
  pools.Describe(fields);
}

absl::Status UpstreamConfig::Validate() const {
  // simdjson takes documents of up to 4 GiB.
  RETURN_IF_ERROR(Between("upstream.max_response", max_response.value, 1024,
                          uint64_t{1} << 30));
  RETURN_IF_ERROR(Between("upstream.max_connections",
                          static_cast<uint64_t>(max_connections), 1, 1 << 16));
  RETURN_IF_ERROR(Positive("upstream.connect_timeout", connect_timeout));
  RETURN_IF_ERROR(Annotate(http::Networks::Parse(refused_networks).status(),
                           "upstream.refused_networks"));
  RETURN_IF_ERROR(pools.Validate());
  return Together("upstream.tls_cert_file", tls_cert_file,
                  "upstream.tls_key_file", tls_key_file);
}

http::ClientOptions UpstreamConfig::ClientOptions() const {
  http::ClientOptions options;
  options.name = "upstream";
  options.max_response_bytes = max_response.value;
  options.max_connections_per_host = max_connections;
  options.connect_timeout = connect_timeout;
  // Validate() has parsed them.
  options.refused_networks = http::Networks::Parse(refused_networks).value();
  if (!tls_ca_file.empty() || !tls_cert_file.empty()) {
    http::ClientTls& tls = options.tls.emplace();
    tls.ca_file = tls_ca_file;
    tls.cert_file = tls_cert_file;
    tls.key_file = tls_key_file;
  }
  return options;
}

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

Config::Config() {
  process.admin_listen_address = "127.0.0.1:9803";
  registry.client_id = registry_client::ClientId("query-frontend");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("registry", registry);
  fields.AddGroup("api", api);
  fields.AddGroup("upstream", upstream);
  fields.AddGroup("queue", queue);
  fields.AddGroup("cache", cache);
  fields.AddGroup("kubernetes", kubernetes);
  fields.AddGroup("audit", audit);
  fields.AddList("credentials", credentials, "What stores are shown.");
  fields.AddList("listeners", listeners, "Where clients connect.");
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  RETURN_IF_ERROR(audit.Validate());
  RETURN_IF_ERROR(api.Validate());
  RETURN_IF_ERROR(upstream.Validate());
  RETURN_IF_ERROR(queue.Validate());
  RETURN_IF_ERROR(cache.Validate());
  RETURN_IF_ERROR(outbound::ValidateCredentials("credentials", credentials));
  RETURN_IF_ERROR(edge::ValidateListeners("listeners", edge::Plain(listeners)));
  return internal.Validate({{"grpc.listen_address", grpc.listen_address},
                            {"registry.address", registry.address}});
}

registry_client::Options Config::RegistryOptions() const {
  registry_client::Options options = registry;
  options.tls = internal.client();
  return options;
}

}  // namespace insula::query_frontend
