#include "services/rule_sync/ledger.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/files/replace_file.h"
#include "libs/files/settled_file.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr char kPrometheus[] = "prometheus";
constexpr char kRuler[] = "ruler";

json ToJson(const UnitSpec& spec) {
  return {{"type", spec.type == UnitSpec::Type::kRuler ? kRuler : kPrometheus},
          {"target_id", spec.target_id},
          {"url", spec.url},
          {"header", spec.header},
          {"org_id", spec.org_id},
          {"timeout_ms", absl::ToInt64Milliseconds(spec.timeout)}};
}

bool Read(const json& object, const char* name, std::string* value) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) return false;
  *value = it->get<std::string>();
  return true;
}

bool FromJson(const json& object, UnitSpec* spec) {
  std::string type;
  if (!object.is_object() || !Read(object, "type", &type) ||
      !Read(object, "target_id", &spec->target_id) ||
      !Read(object, "url", &spec->url) ||
      !Read(object, "header", &spec->header) ||
      !Read(object, "org_id", &spec->org_id)) {
    return false;
  }
  const auto timeout = object.find("timeout_ms");
  if (timeout == object.end() || !timeout->is_number_integer()) return false;
  spec->timeout = absl::Milliseconds(timeout->get<int64_t>());
  spec->type =
      type == kRuler ? UnitSpec::Type::kRuler : UnitSpec::Type::kPrometheus;
  return type == kRuler || type == kPrometheus;
}

}  // namespace

absl::StatusOr<Ledger> Ledger::Open(std::string path) {
  Ledger ledger(std::move(path));
  if (ledger.path_.empty()) return ledger;
  files::SettledFileOptions options;
  options.max_bytes = kMaxBytes;
  // Nobody else writes it.
  const absl::StatusOr<files::SettledFile> file = files::ReadSettledFile(
      ledger.path_, std::nullopt, options, absl::InfiniteFuture());
  if (absl::IsNotFound(file.status())) return ledger;
  RETURN_IF_ERROR(file.status());
  const json document = json::parse(file->text.value_or(""), nullptr,
                                    /*allow_exceptions=*/false);
  const absl::Status damaged = absl::DataLossError(
      absl::StrCat(ledger.path_,
                   ": is damaged; restore it, or remove it and look for rules "
                   "of tenants that are gone at the targets by hand"));
  if (!document.is_object() || !document.contains("units") ||
      !document["units"].is_array()) {
    return damaged;
  }
  for (const json& object : document["units"]) {
    UnitSpec spec;
    if (!FromJson(object, &spec)) return damaged;
    const std::string id = spec.Id();
    ledger.units_[id] = std::move(spec);
  }
  return ledger;
}

absl::Status Ledger::Change(const std::vector<UnitSpec>& added,
                            const std::vector<std::string>& forgotten_ids) {
  std::map<std::string, UnitSpec> next = units_;
  for (const std::string& id : forgotten_ids) next.erase(id);
  for (const UnitSpec& spec : added) next[spec.Id()] = spec;
  if (next == units_) return absl::OkStatus();
  if (!path_.empty()) {
    json units = json::array();
    for (const auto& [id, spec] : next) units.push_back(ToJson(spec));
    const json document = {{"version", 1}, {"units", std::move(units)}};
    RETURN_IF_ERROR(files::ReplaceFile(
        path_, document.dump(-1, ' ', false, json::error_handler_t::replace)));
  }
  units_ = std::move(next);
  return absl::OkStatus();
}

}  // namespace insula::rule_sync
