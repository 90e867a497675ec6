#include "services/ingest_gateway/metrics.h"

namespace insula::ingest_gateway {
namespace {

using remote_write::Reason;

const std::vector<double>& SplitBuckets() {
  static const auto* const buckets = new std::vector<double>{
      0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25};
  return *buckets;
}

metrics::Counter& AddFallbacks(metrics::Registry* registry,
                               const char* reason) {
  return registry->AddCounter(
      "ingest_gateway_protocol_fallbacks_total",
      "Parts for stores of remote write 2.0 that were sent as 1.0, by reason: "
      "the store answered 415, or 2xx without saying what it wrote, or 2.0 has "
      "no place for something in them.",
      {{"reason", reason}});
}

}  // namespace

Metrics::Metrics(metrics::Registry* registry)
    : samples_received(registry->AddCounter(
          "ingest_gateway_samples_received_total",
          "Samples and histograms of well-formed writes.")),
      metadata_dropped(registry->AddCounter(
          "ingest_gateway_metadata_dropped_total",
          "Metadata that belongs to no tenant or is invalid.")),
      fields_dropped(registry->AddCounter(
          "ingest_gateway_unknown_fields_dropped_total",
          "Fields of requests that remote write does not have.")),
      exemplars_joined(registry->AddCounter(
          "ingest_gateway_exemplars_joined_total",
          "Exemplars of remote write 2.0 that came without samples and were "
          "joined to the series of the same labels.")),
      fallbacks_unsupported(AddFallbacks(registry, "unsupported")),
      fallbacks_unconfirmed(AddFallbacks(registry, "unconfirmed")),
      fallbacks_no_place(AddFallbacks(registry, "no_place")),
      requests_malformed(registry->AddCounter(
          "ingest_gateway_requests_malformed_total",
          "Writes that could not be decoded, or were too large.")),
      requests_passed_through(registry->AddCounter(
          "ingest_gateway_requests_passed_through_total",
          "Writes that were forwarded as they were received.")),
      series_known(registry->AddCounter(
          "ingest_gateway_series_known_total",
          "Series that were neither read nor checked, as they were known.")),
      retries_received(
          registry->AddCounter("ingest_gateway_retries_received_total",
                               "Writes that the sender marks as a retry.")),
      parts_skipped(registry->AddCounter(
          "ingest_gateway_parts_skipped_total",
          "Parts of retries that had been kept the time before.")),
      parts_forgotten(registry->AddCounter(
          "ingest_gateway_parts_forgotten_total",
          "Kept parts that were forgotten early, for want of room; their "
          "retries are delivered twice.")),
      split_seconds(registry->AddHistogram(
          "ingest_gateway_split_seconds",
          "Time to decode, check, split and encode a write.", {},
          SplitBuckets())),
      upstream_seconds(
          registry->AddHistogram("ingest_gateway_upstream_seconds",
                                 "Time until an upstream took a part.")),
      registry_(registry) {
  for (int i = 0; i < remote_write::kReasonCount; ++i) {
    refused_[i] = &registry->AddCounter(
        "ingest_gateway_samples_refused_total",
        "Samples that were not taken, by reason.",
        {{"reason",
          std::string(remote_write::ReasonName(static_cast<Reason>(i)))}});
  }
  for (const char* code : {"2xx", "3xx", "4xx", "429", "5xx", "error"}) {
    upstream_[code] = &registry->AddCounter(
        "ingest_gateway_upstream_requests_total",
        "Parts sent to upstreams, by class of the answer.", {{"code", code}});
  }
}

metrics::Counter& Metrics::SamplesAccepted(absl::string_view tenant) {
  sync::MutexLock lock(&mutex_);
  metrics::Counter*& counter = accepted_[tenant];
  if (counter == nullptr) {
    counter = &registry_->AddCounter("ingest_gateway_samples_accepted_total",
                                     "Samples that a tenant's store took.",
                                     {{"tenant", std::string(tenant)}});
  }
  return *counter;
}

metrics::Counter& Metrics::SamplesQueued(absl::string_view tenant) {
  sync::MutexLock lock(&mutex_);
  metrics::Counter*& counter = queued_[tenant];
  if (counter == nullptr) {
    counter = &registry_->AddCounter(
        "ingest_gateway_samples_queued_total",
        "Samples that were queued on disk for a tenant's store.",
        {{"tenant", std::string(tenant)}});
  }
  return *counter;
}

metrics::Counter& Metrics::SamplesRefused(Reason reason) {
  return *refused_[static_cast<size_t>(reason)];
}

metrics::Counter& Metrics::UpstreamRequests(absl::string_view code) {
  return *upstream_.at(code);
}

}  // namespace insula::ingest_gateway
