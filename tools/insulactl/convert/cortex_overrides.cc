// The runtime configuration of a Cortex: limits of tenants.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"
#include "tools/insulactl/convert/systems.h"

namespace insula::insulactl {
namespace {

using resources::ResourceNode;
using Kind = ResourceNode::Kind;

constexpr char kId[] = "cortex";
constexpr size_t kMaxTenants = 100'000;
constexpr size_t kMaxErrors = 20;
constexpr size_t kShownTenants = 5;

constexpr Known kKnown[] = {
    {.name = "overrides", .shape = Shape::kTree},
    {.name = "multi_kv_config",
     .shape = Shape::kTree,
     .instead = "Is about the rings of Cortex; leave it there."},
    {.name = "ingester_stream_chunks_when_using_blocks",
     .instead = "Is about the ingesters of Cortex; leave it there."},
    {.name = "ingester_limits",
     .shape = Shape::kTree,
     .instead = "Is about each ingester of Cortex; leave it there."},
    {.name = "distributor_limits",
     .shape = Shape::kTree,
     .instead = "Is about each distributor of Cortex; leave it there."},
    {.name = "hard_overrides",
     .shape = Shape::kTree,
     .instead = "Bounds what tenants may set by Cortex' API; here limits are "
                "set in the registry only."},
    {.name = "api_allowed_limits",
     .shape = Shape::kTree,
     .instead = "Bounds what tenants may set by Cortex' API; here limits are "
                "set in the registry only."},
};

// Limits of a tenant, and why one has no counterpart.
struct KnownLimit {
  absl::string_view name;
  absl::string_view instead;  // Empty: see Convert.
};

constexpr char kStore[] = "Stays a limit of the store; leave it there.";
constexpr char kQuery[] =
    "Stays a limit of the store's queriers; leave it there.";
constexpr char kRuler[] = "Stays a limit of the ruler; leave it there.";
constexpr char kAlertmanager[] =
    "Stays a limit of the Alertmanager; leave it there.";
constexpr char kDedup[] =
    "The ingest-gateway does not yet choose among replicas; the store goes on "
    "doing so.";

constexpr KnownLimit kLimits[] = {
    {"ingestion_rate", ""},
    {"ingestion_burst_size", ""},
    {"max_label_name_length", ""},
    {"max_label_value_length", ""},
    {"max_label_names_per_series", ""},
    {"max_query_expression_size_bytes", ""},
    {"ingestion_rate_strategy",
     "Each ingest-gateway counts for itself, as with `local`: with several of "
     "them divide the rate by their number."},
    {"native_histogram_ingestion_rate", kStore},
    {"native_histogram_ingestion_burst_size", kStore},
    {"accept_ha_samples", kDedup},
    {"accept_mixed_ha_samples", kDedup},
    {"ha_cluster_label", kDedup},
    {"ha_replica_label", kDedup},
    {"ha_max_clusters", kDedup},
    {"drop_labels",
     "Drop them at the sender (write_relabel_configs: labeldrop)."},
    {"metric_relabel_configs",
     "Relabel at the sender (write_relabel_configs), or leave it to the "
     "store."},
    {"max_labels_size_bytes",
     "Is bounded by max_label_names times the longest name and value; a limit "
     "of the sum stays with the store."},
    {"max_metadata_length", kStore},
    {"reject_old_samples", kStore},
    {"reject_old_samples_max_age", kStore},
    {"creation_grace_period", kStore},
    {"enforce_metadata_metric_name", kStore},
    {"enforce_metric_name", "Series without a name are always refused."},
    {"ingestion_tenant_shard_size", kStore},
    {"max_native_histogram_buckets", kStore},
    {"promote_resource_attributes", kStore},
    {"max_series_per_query", kQuery},
    {"max_samples_per_query", kQuery},
    {"max_series_per_user", kStore},
    {"max_series_per_metric", kStore},
    {"max_global_series_per_user", kStore},
    {"max_global_series_per_metric", kStore},
    {"limits_per_label_set", kStore},
    {"max_metadata_per_user", kStore},
    {"max_metadata_per_metric", kStore},
    {"max_global_metadata_per_user", kStore},
    {"max_global_metadata_per_metric", kStore},
    {"out_of_order_time_window", kStore},
    {"max_exemplars", kStore},
    {"min_chunk_length", kStore},
    {"max_chunks_per_query", kQuery},
    {"max_fetched_chunks_per_query", kQuery},
    {"max_fetched_series_per_query", kQuery},
    {"max_fetched_chunk_bytes_per_query", kQuery},
    {"max_fetched_data_bytes_per_query", kQuery},
    {"max_query_lookback", kQuery},
    {"max_query_length", kQuery},
    {"max_query_parallelism", kQuery},
    {"max_query_response_size", kQuery},
    {"max_cache_freshness", kQuery},
    {"max_queriers_per_tenant", kQuery},
    {"max_outstanding_requests_per_tenant", kQuery},
    {"query_vertical_shard_size", kQuery},
    {"query_partial_data", kQuery},
    {"query_priority", kQuery},
    {"query_rejection", kQuery},
    {"cardinality_limit", kQuery},
    {"ruler_evaluation_delay_duration", kRuler},
    {"ruler_tenant_shard_size", kRuler},
    {"ruler_max_rules_per_rule_group", kRuler},
    {"ruler_max_rule_groups_per_tenant", kRuler},
    {"ruler_query_offset", kRuler},
    {"ruler_external_labels", kRuler},
    {"rules_partial_data", kRuler},
    {"disabled_rule_groups", kRuler},
    {"store_gateway_tenant_shard_size", kStore},
    {"max_downloaded_bytes_per_request", kStore},
    {"compactor_blocks_retention_period", kStore},
    {"compactor_tenant_shard_size", kStore},
    {"compactor_partition_index_size_bytes", kStore},
    {"compactor_partition_series_count", kStore},
    {"parquet_converter_enabled", kStore},
    {"parquet_converter_tenant_shard_size", kStore},
    {"s3_sse_type", kStore},
    {"s3_sse_kms_key_id", kStore},
    {"s3_sse_kms_encryption_context", kStore},
    {"alertmanager_receivers_firewall_block_cidr_networks", kAlertmanager},
    {"alertmanager_receivers_firewall_block_private_addresses", kAlertmanager},
    {"alertmanager_notification_rate_limit", kAlertmanager},
    {"alertmanager_notification_rate_limit_per_integration", kAlertmanager},
    {"alertmanager_max_config_size_bytes", kAlertmanager},
    {"alertmanager_max_templates_count", kAlertmanager},
    {"alertmanager_max_template_size_bytes", kAlertmanager},
    {"alertmanager_max_dispatcher_aggregation_groups", kAlertmanager},
    {"alertmanager_max_alerts_count", kAlertmanager},
    {"alertmanager_max_alerts_size_bytes", kAlertmanager},
    {"alertmanager_max_silences_count", kAlertmanager},
    {"alertmanager_max_silences_size_bytes", kAlertmanager},
};

// Who has a limit, and where the first one stands.
struct Users {
  std::string where;
  std::vector<std::string> shown;
  size_t count = 0;
};

class CortexOverrides {
 public:
  CortexOverrides(const ConvertInput& input, const Settings& settings)
      : input_(input), settings_(settings) {}

  absl::StatusOr<Conversion> Run() {
    draft_.NoneOfKnown(settings_);
    const Setting* overrides = settings_.Find("overrides");
    if (overrides != nullptr) RETURN_IF_ERROR(Tenants(*overrides));
    if (!input_.upstream_url.empty()) {
      v1::Upstream& upstream = draft_.upstream(kId);
      upstream.set_isolation(v1::Upstream::ISOLATION_HEADER);
      upstream.set_write_url(input_.upstream_url);
      for (const std::string& id : draft_.tenant_ids()) {
        draft_.tenant(id).set_upstream_id(kId);
      }
    } else if (overrides != nullptr) {
      draft_.ToDo(
          "The tenants have no store here: give them an upstream_id, or "
          "convert "
          "again with --upstream-url, the URL that takes their writes. If they "
          "are in your resource files already, add limits_id to them there.");
    }
    ASSIGN_OR_RETURN(Conversion conversion, draft_.Finish(settings_));
    AddLimitNotes(conversion);
    return conversion;
  }

 private:
  static std::string Where(const Setting& setting, int line) {
    return absl::StrCat(setting.where.substr(0, setting.where.rfind(':') + 1),
                        line);
  }

  void Wrong(const Setting& setting, int line, absl::string_view path,
             absl::string_view what) {
    if (errors_.size() >= kMaxErrors) return;
    errors_.push_back(absl::StrCat(Where(setting, line), ": overrides.",
                                   resources::Printable(path.substr(0, 300)),
                                   ": ", what));
  }

  absl::Status Tenants(const Setting& overrides) {
    draft_.Used(overrides, "Tenant and Limits of each tenant");
    const ResourceNode& node = *overrides.tree;
    if (node.kind == Kind::kNull) return absl::OkStatus();
    if (node.kind != Kind::kMap || node.children.size() > kMaxTenants) {
      return WrongSetting(
          overrides,
          absl::StrCat("must be a map of tenants, at most ", kMaxTenants));
    }
    for (const ResourceNode& child : node.children) {
      const absl::Status id = tenancy::TenantId::Parse(child.key).status();
      if (!id.ok()) {
        Wrong(overrides, child.line, child.key, id.message());
      } else if (child.kind == Kind::kMap) {
        Tenant(overrides, child);
      } else if (child.kind == Kind::kNull) {
        draft_.tenant(child.key);
      } else {
        Wrong(overrides, child.line, child.key, "must be a map of limits");
      }
    }
    if (errors_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
  }

  // "cortex/acme"; tenants whose ids differ in what an object id can't have get
  // a number.
  std::string LimitsId(absl::string_view tenant) {
    const std::string base = absl::StrCat(kId, "/", IdLike(tenant));
    std::string id = base;
    // Counting goes on where it ended: many ids may look alike.
    int& number = numbers_[base];
    while (!limits_ids_.insert(id).second) {
      id = absl::StrCat(base, "-", std::max(++number, 2));
    }
    return id;
  }

  void Tenant(const Setting& overrides, const ResourceNode& node) {
    v1::Tenant& tenant = draft_.tenant(node.key);
    v1::Limits limits;
    bool limited = false;
    for (const ResourceNode& child : node.children) {
      const std::string path = absl::StrCat(node.key, ".", child.key);
      const auto* known = std::find_if(std::begin(kLimits), std::end(kLimits),
                                       [&child](const KnownLimit& limit) {
                                         return limit.name == child.key;
                                       });
      if (known == std::end(kLimits)) {
        Wrong(overrides, child.line, path, "Cortex has no such limit");
        continue;
      }
      Users& users = users_[known->name];
      if (users.count++ == 0) users.where = Where(overrides, child.line);
      if (users.count <= kShownTenants) users.shown.push_back(node.key);
      if (!known->instead.empty()) continue;
      if (child.kind != Kind::kScalar) {
        Wrong(overrides, child.line, path, "must be a number");
        continue;
      }
      const std::string error = SetLimit(child, limits, tenant);
      if (!error.empty()) Wrong(overrides, child.line, path, error);
      limited = true;
    }
    if (limits.samples_per_second() == 0) limits.clear_samples_burst();
    if (!limited) return;
    const std::string id = LimitsId(node.key);
    draft_.limits(id) = limits;
    tenant.set_limits_id(id);
  }

  // What is wrong; empty: nothing.
  static std::string SetLimit(const ResourceNode& node, v1::Limits& limits,
                              v1::Tenant& tenant) {
    constexpr double kMostSamples = 1e12;
    double number = 0;
    if (!absl::SimpleAtod(node.scalar, &number) || !(number >= 0) ||
        number > kMostSamples) {
      return "must be a number from 0 to 1e12";
    }
    if (node.key == "ingestion_rate") {
      // 0 lets nothing in there, and is no limit here.
      if (number == 0) tenant.set_state(v1::Tenant::STATE_READ_ONLY);
      limits.set_samples_per_second(number);
      return "";
    }
    if (node.key == "ingestion_burst_size") {
      limits.set_samples_burst(number);
      return "";
    }
    uint32_t most = 1 << 20;
    if (node.key == "max_label_names_per_series") most = 1000;
    uint32_t whole = 0;
    if (!absl::SimpleAtoi(node.scalar, &whole) || whole > most) {
      return absl::StrCat("must be a whole number up to ", most);
    }
    if (whole == 0 && node.key != "max_query_expression_size_bytes") {
      return "0 refuses every series there, and is the default here: suspend "
             "the tenant instead, or give a number";
    }
    if (node.key == "max_label_names_per_series") {
      limits.set_max_label_names(whole);
    } else if (node.key == "max_label_name_length") {
      limits.set_max_label_name_bytes(whole);
    } else if (node.key == "max_label_value_length") {
      limits.set_max_label_value_bytes(whole);
    } else {
      limits.set_max_query_bytes(whole);
    }
    return "";
  }

  static std::string Became(absl::string_view limit) {
    static const auto* const fields =
        new std::map<absl::string_view, absl::string_view>{
            {"ingestion_rate",
             "Limits samples_per_second. 0 makes the tenant STATE_READ_ONLY"},
            {"ingestion_burst_size",
             "Limits samples_burst, with an ingestion_rate; alone it has no "
             "counterpart"},
            {"max_label_name_length", "Limits max_label_name_bytes"},
            {"max_label_value_length", "Limits max_label_value_bytes"},
            {"max_label_names_per_series", "Limits max_label_names"},
            {"max_query_expression_size_bytes",
             "Limits max_query_bytes; 0 is the default, 256 KiB"},
        };
    return std::string(fields->at(limit));
  }

  // One for each limit, and not for each tenant that has it.
  void AddLimitNotes(Conversion& conversion) const {
    for (const KnownLimit& limit : kLimits) {
      const auto it = users_.find(limit.name);
      if (it == users_.end()) continue;
      const Users& users = it->second;
      std::string who = absl::StrJoin(users.shown, ", ");
      if (users.count > users.shown.size()) {
        absl::StrAppend(&who, " and ", users.count - users.shown.size(),
                        " more");
      }
      const bool used = limit.instead.empty();
      const std::string text =
          used ? Became(limit.name) : std::string(limit.instead);
      conversion.notes.push_back(
          {used ? Note::Kind::kUsed : Note::Kind::kNone,
           absl::StrCat("overrides.*.", limit.name), users.where,
           absl::StrCat(text, used ? "" : " ", used ? ". Of " : "Of ", who,
                        ".")});
    }
  }

  const ConvertInput& input_;
  const Settings& settings_;
  Draft draft_{System::kCortexOverrides};
  std::map<absl::string_view, Users> users_;
  std::set<std::string> limits_ids_;
  std::map<std::string, int> numbers_;  // By what ids look like.
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> CortexOverridesSettings() {
  std::vector<std::string> names = NamesOf(kKnown, {});
  for (const KnownLimit& limit : kLimits) {
    names.push_back(absl::StrCat("overrides.*.", limit.name));
  }
  return names;
}

absl::StatusOr<Conversion> ConvertCortexOverrides(const ConvertInput& input) {
  Settings settings(SystemName(System::kCortexOverrides), kKnown, {});
  if (!input.file.has_value()) {
    return absl::InvalidArgumentError(
        "cortex-overrides is a file, that of -runtime-config.file: give it");
  }
  RETURN_IF_ERROR(settings.ReadYaml(*input.file));
  return CortexOverrides(input, settings).Run();
}

}  // namespace insula::insulactl
