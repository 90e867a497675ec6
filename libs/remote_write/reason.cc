#include "libs/remote_write/reason.h"

#include <array>
#include <cstddef>

namespace insula::remote_write {
namespace {

struct Text {
  absl::string_view name;
  absl::string_view cure;
};

// One of a new kind goes at the end of Reason and here.
static_assert(static_cast<int>(Reason::kQueueFull) + 1 == kReasonCount);

constexpr std::array<Text, kReasonCount> kTexts = {{
    {"missing_metric_name", "give each series a label __name__"},
    {"metric_name_invalid", "metric names are [a-zA-Z_:][a-zA-Z0-9_:]*"},
    {"max_label_names_per_series", "drop labels, or raise max_label_names"},
    {"label_invalid", "label names are [a-zA-Z_][a-zA-Z0-9_]*"},
    {"label_name_too_long", "shorten it, or raise max_label_name_bytes"},
    {"label_value_empty", "leave empty labels out"},
    {"label_value_invalid", "label values are UTF-8"},
    {"label_value_too_long", "shorten it, or raise max_label_value_bytes"},
    {"duplicate_label_names", "a label may be there once"},
    {"labels_not_sorted", "sort labels by name"},
    {"foreign_label", "leave the tenant's own labels out, or as they must be"},
    {"label_refs_invalid",
     "labels_refs are pairs of numbers of symbols of the request"},
    {"no_samples", "give each series samples or histograms"},
    {"samples_and_histograms", "a series has samples or histograms, not both"},
    {"native_histogram_invalid",
     "spans, buckets and count of a histogram must agree"},
    {"native_histogram_invalid_schema", "schemas are -4 to 8, and -53"},
    {"exemplar_invalid",
     "labels_refs of exemplars are pairs of numbers of symbols"},
    {"metadata_invalid", "help_ref and unit_ref are numbers of symbols"},
    {"tenant_missing", "set the label that names the tenant"},
    {"tenant_id_invalid", "tenant ids are 1 to 150 of [A-Za-z0-9!_.*'()-]"},
    {"tenant_not_allowed", "ask for a binding to this tenant"},
    {"tenant_unknown", "declare the tenant in the tenant-registry"},
    {"tenant_suspended", "the tenant is suspended"},
    {"tenant_read_only", "the tenant takes no writes at present"},
    {"no_upstream", "give the tenant an upstream with a write_url"},
    {"no_enforced_labels", "give the tenant enforced_labels"},
    {"per_user_series_limit", "send fewer series, or raise max_active_series"},
    {"max_series_per_write",
     "send smaller requests, or raise max_series_per_write"},
    {"request_rate_limited",
     "send fewer and larger requests, or raise write_requests_per_second"},
    {"bytes_rate_limited", "send less, or raise write_bytes_per_second"},
    {"rate_limited", "send less, or raise samples_per_second"},
    {"burst_exceeded",
     "send smaller requests, or raise the burst of that rate"},
    {"upstream_refused", "see the store's answer"},
    {"upstream_unavailable", "send it again later"},
    {"queue_full", "send it again later, or raise max_queue_bytes"},
}};

}  // namespace

absl::string_view ReasonName(Reason reason) {
  return kTexts[static_cast<size_t>(reason)].name;
}

absl::string_view ReasonCure(Reason reason) {
  return kTexts[static_cast<size_t>(reason)].cure;
}

bool IsOverRate(Reason reason) {
  return reason == Reason::kRateLimited ||
         reason == Reason::kRequestRateLimited ||
         reason == Reason::kBytesRateLimited;
}

bool IsForbidden(Reason reason) {
  switch (reason) {
    case Reason::kTenantNotAllowed:
    case Reason::kTenantUnknown:
    case Reason::kTenantSuspended:
    case Reason::kTenantReadOnly:
      return true;
    default:
      return false;
  }
}

}  // namespace insula::remote_write
