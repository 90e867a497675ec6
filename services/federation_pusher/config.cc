#include "services/federation_pusher/config.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::federation_pusher {
namespace {

absl::Status AtLeastOne(absl::string_view key, int64_t value) {
  if (value >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be at least 1, is ", value));
}

absl::Status AtMost(absl::string_view key, config::Bytes value,
                    config::Bytes most) {
  if (value.value <= most.value) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be at most ", config::FormatBytes(most)));
}

}  // namespace

void ScrapeConfig::Describe(config::Fields& fields) {
  fields.Add("max_body", max_body,
             "Longest answer of a source, decompressed. Each job that runs may "
             "hold so much, and a little more.");
  fields.Add("max_line", max_line, "Longest line of an answer.");
  fields.Add("max_samples", max_samples, "Most samples of an answer.");
  fields.Add("refused_networks", refused_networks,
             "Addresses and networks (10.1.0.0/16) that no source may have.");
  fields.Add("ca_file", ca_file,
             "CA of https sources, PEM. Empty: the system's.");
}

absl::Status ScrapeConfig::Validate() const {
  RETURN_IF_ERROR(AtLeastOne("scrape.max_body", max_body.value));
  RETURN_IF_ERROR(AtLeastOne("scrape.max_line", max_line.value));
  RETURN_IF_ERROR(AtLeastOne("scrape.max_samples", max_samples));
  RETURN_IF_ERROR(AtMost("scrape.max_body", max_body, config::Bytes{1 << 30}));
  RETURN_IF_ERROR(AtMost("scrape.max_line", max_line, config::Bytes{16 << 20}));
  return Annotate(http::Networks::Parse(refused_networks).status(),
                  "scrape.refused_networks");
}

void GatewayConfig::Describe(config::Fields& fields) {
  fields.Add("write_url", write_url,
             "Where the ingest-gateway takes remote write.");
  fields.Add("token_file", token_file,
             "File with the bearer token to show there, read for each request. "
             "Empty: none is shown.");
  fields.Add("ca_file", ca_file,
             "CA of its certificate, PEM. Empty: the system's.");
}

absl::Status GatewayConfig::Validate() const {
  return Annotate(http::Url::Parse(write_url).status(), "gateway.write_url");
}

void PushConfig::Describe(config::Fields& fields) {
  fields.Add("max_series", max_series, "Most series of a request.");
  fields.Add("max_body", max_body,
             "A request is closed when it has reached this size, before "
             "compression. Stay below write.max_decoded_body of the "
             "ingest-gateway.");
  fields.Add("timeout", timeout,
             "Longest wait for the answer to a request; then it is sent again, "
             "within the timeout of the job.");
}

absl::Status PushConfig::Validate() const {
  RETURN_IF_ERROR(AtLeastOne("push.max_series", max_series));
  RETURN_IF_ERROR(AtLeastOne("push.max_body", max_body.value));
  RETURN_IF_ERROR(AtMost("push.max_body", max_body, config::Bytes{256 << 20}));
  if (timeout < absl::Milliseconds(100)) {
    return absl::InvalidArgumentError("push.timeout: must be at least 100ms");
  }
  return absl::OkStatus();
}

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

Config::Config() {
  process.admin_listen_address = "127.0.0.1:9805";
  registry.client_id = registry_client::ClientId("federation-pusher");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("registry", registry);
  fields.AddGroup("scrape", scrape);
  fields.AddGroup("gateway", gateway);
  fields.AddGroup("push", push);
  fields.Add("max_parallel_jobs", max_parallel_jobs,
             "Jobs that run at the same time; further ones wait.");
  fields.AddGroup("audit", audit);
  fields.AddList("credentials", credentials,
                 "What sources and the gateway are shown.");
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  if (!absl::StartsWith(grpc.listen_address, "unix:")) {
    RETURN_IF_ERROR(Annotate(config::CheckAddress(grpc.listen_address),
                             "grpc.listen_address"));
  }
  RETURN_IF_ERROR(scrape.Validate());
  RETURN_IF_ERROR(gateway.Validate());
  RETURN_IF_ERROR(push.Validate());
  RETURN_IF_ERROR(audit.Validate());
  RETURN_IF_ERROR(outbound::ValidateCredentials("credentials", credentials));
  const outbound::CredentialConfig* const at_gateway = outbound::FindCredential(
      credentials, http::Url::Parse(gateway.write_url).value());
  if (!gateway.token_file.empty() && at_gateway != nullptr &&
      at_gateway->has_authorization()) {
    return absl::InvalidArgumentError(
        absl::StrCat("gateway.token_file: the credential of ", at_gateway->url,
                     " is for gateway.write_url, too: keep one of them"));
  }
  RETURN_IF_ERROR(AtLeastOne("max_parallel_jobs", max_parallel_jobs));
  return internal.Validate({{"grpc.listen_address", grpc.listen_address},
                            {"registry.address", registry.address}});
}

registry_client::Options Config::RegistryOptions() const {
  registry_client::Options options = registry;
  options.tls = internal.client();
  return options;
}

}  // namespace insula::federation_pusher
