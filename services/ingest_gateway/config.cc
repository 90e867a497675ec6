#include "services/ingest_gateway/config.h"

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::ingest_gateway {
namespace {

absl::Status AtLeastOne(absl::string_view key, int64_t value) {
  if (value >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be at least 1, is ", value));
}

}  // namespace

ListenerConfig::ListenerConfig()
    : edge::ListenerConfig("write", "127.0.0.1:19093") {}

void ListenerConfig::Describe(config::Fields& fields) {
  DescribeAs("Where to take writes.", fields);
}

void WriteConfig::Describe(config::Fields& fields) {
  fields.Add("max_body", max_body, "Longest body as received; 413 above it.");
  fields.Add("max_decoded_body", max_decoded_body,
             "Longest body once decompressed; 413 above it.");
  fields.Add("max_buffered", max_buffered,
             "Bodies held by each listener at once; 503 above it.");
  fields.Add("max_series", max_series, "Most series of a request; else 413.");
  fields.Add("max_labels", max_labels,
             "Most labels of all series of a request; else 413.");
  fields.Add("max_samples", max_samples,
             "Most samples and histograms of a request; else 413.");
  fields.Add("utf8_names", utf8_names,
             "Take any UTF-8 in metric and label names, as Prometheus 3 does.");
  fields.Add("timeout", timeout, "Longest time from a request to its answer.");
  fields.Add("max_parallel_parts", max_parallel_parts,
             "Tenants of a request that are delivered at the same time.");
  fields.Add("max_upstream_connections", max_upstream_connections,
             "Open connections to each upstream host.");
  fields.Add("remembered_parts", remembered_parts,
             "Parts kept of requests that must be sent again, for 5 minutes.");
}

absl::Status WriteConfig::Validate() const {
  RETURN_IF_ERROR(AtLeastOne("write.max_body", max_body.value));
  RETURN_IF_ERROR(AtLeastOne("write.max_decoded_body", max_decoded_body.value));
  RETURN_IF_ERROR(AtLeastOne("write.max_series", max_series));
  RETURN_IF_ERROR(AtLeastOne("write.max_labels", max_labels));
  RETURN_IF_ERROR(AtLeastOne("write.max_samples", max_samples));
  RETURN_IF_ERROR(AtLeastOne("write.max_parallel_parts", max_parallel_parts));
  RETURN_IF_ERROR(
      AtLeastOne("write.max_upstream_connections", max_upstream_connections));
  RETURN_IF_ERROR(AtLeastOne("write.remembered_parts", remembered_parts));
  if (max_decoded_body.value > uint64_t{1} << 30) {
    return absl::InvalidArgumentError(
        "write.max_decoded_body: must be at most 1GiB");
  }
  if (max_buffered.value < max_body.value) {
    return absl::InvalidArgumentError(
        "write.max_buffered: must be at least write.max_body");
  }
  if (timeout < absl::Seconds(2)) {
    return absl::InvalidArgumentError("write.timeout: must be at least 2s");
  }
  return absl::OkStatus();
}

http::ServerOptions WriteConfig::ServerLimits() const {
  http::ServerOptions options;
  options.max_body_bytes = max_body.value;
  options.max_buffered_bytes = max_buffered.value;
  // A little more than the handler takes at most.
  options.request_timeout = timeout + absl::Seconds(2);
  return options;
}

http::ClientOptions WriteConfig::ClientOptions() const {
  http::ClientOptions options;
  options.name = "upstream";
  // A store answers a write with a few words.
  options.max_response_bytes = 64 << 10;
  options.max_connections_per_host = max_upstream_connections;
  return options;
}

remote_write::Bounds WriteConfig::SplitBounds() const {
  remote_write::Bounds bounds;
  bounds.max_series = max_series;
  bounds.max_labels = max_labels;
  bounds.max_samples = max_samples;
  bounds.max_output_bytes = 4 * max_decoded_body.value;
  return bounds;
}

remote_write::NameScheme WriteConfig::name_scheme() const {
  return utf8_names ? remote_write::NameScheme::kUtf8
                    : remote_write::NameScheme::kLegacy;
}

void GrpcConfig::Describe(config::Fields& fields) {
  fields.Add("listen_address", listen_address, "Where to serve gRPC.");
}

Config::Config() {
  process.admin_listen_address = "127.0.0.1:9802";
  registry.client_id = registry_client::ClientId("ingest-gateway");
}

void Config::Describe(config::Fields& fields) {
  process.Describe(fields);
  internal.Describe(fields);
  fields.AddGroup("grpc", grpc);
  fields.AddGroup("registry", registry);
  fields.AddGroup("write", write);
  fields.AddList("listeners", listeners, "Where senders connect.");
}

absl::Status Config::Validate() const {
  RETURN_IF_ERROR(process.Validate());
  RETURN_IF_ERROR(write.Validate());
  RETURN_IF_ERROR(edge::ValidateListeners("listeners", edge::Plain(listeners)));
  return internal.Validate({{"grpc.listen_address", grpc.listen_address},
                            {"registry.address", registry.address}});
}

registry_client::Options Config::RegistryOptions() const {
  registry_client::Options options = registry;
  options.tls = internal.client();
  return options;
}

}  // namespace insula::ingest_gateway
