// The check of a ClaimRule by itself.
#include <algorithm>
#include <cstddef>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/access.h"
#include "libs/tenancy/object_checks.h"

namespace insula::tenancy::internal {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr int kMaxLabels = 16;  // Of each of labels, and values.
// A sender chooses how many series are to be held against them.
constexpr int kMaxSelections = 100;
constexpr size_t kMaxSelectedLabels = 16;
constexpr size_t kMaxValues = 10'000;  // Of a rule, together.
constexpr size_t kMaxValueBytes = 2048;
constexpr size_t kMaxSelectorBytes = 64 << 10;  // Of a rule, together.

using Names = std::set<absl::string_view>;

absl::Status CheckNumber(absl::string_view field, int size, int most) {
  if (size <= most) return absl::OkStatus();
  return Wrong(field, absl::StrCat("has ", size, " entries, may have ", most));
}

// A label name that is in no other place of the rule.
absl::Status CheckLabel(absl::string_view field, const std::string& label,
                        Names* seen) {
  RETURN_IF_ERROR(CheckLabelName(field, label));
  if (seen->insert(label).second) return absl::OkStatus();
  return Wrong(field, absl::StrCat("'", label,
                                   "' is looked at twice: name each label "
                                   "once in label, labels and values"));
}

absl::Status CheckTenantLabels(const v1::ClaimRule& rule, Names* seen) {
  if (!rule.label().empty()) {
    RETURN_IF_ERROR(CheckLabel("spec.label", rule.label(), seen));
  }
  RETURN_IF_ERROR(CheckNumber("spec.labels", rule.labels_size(), kMaxLabels));
  for (int i = 0; i < rule.labels_size(); ++i) {
    RETURN_IF_ERROR(
        CheckLabel(absl::StrCat("spec.labels[", i, "]"), rule.labels(i), seen));
  }
  if (!seen->empty()) return absl::OkStatus();
  if (rule.remove_label()) {
    return Wrong("spec.remove_label", "needs spec.label or spec.labels");
  }
  if (!rule.allowed_tenant_ids().empty()) {
    return Wrong("spec.allowed_tenant_ids",
                 "needs spec.label or spec.labels: it is about the tenants "
                 "that they name");
  }
  return absl::OkStatus();
}

absl::Status CheckValue(absl::string_view field, const std::string& value,
                        const std::string& tenant_id) {
  if (value.empty() || value.size() > kMaxValueBytes ||
      !labels::IsValidUtf8(value)) {
    return Wrong(field, absl::StrCat("must be a value of 1 to ", kMaxValueBytes,
                                     " bytes of UTF-8"));
  }
  return tenant_id.empty() ? absl::OkStatus() : CheckTenantId(field, tenant_id);
}

absl::Status CheckValues(const v1::ClaimRule& rule, Names* seen) {
  RETURN_IF_ERROR(CheckNumber("spec.values", rule.values_size(), kMaxLabels));
  size_t total = 0;
  for (int i = 0; i < rule.values_size(); ++i) {
    const v1::ClaimRule::Values& values = rule.values(i);
    const std::string field = absl::StrCat("spec.values[", i, "]");
    RETURN_IF_ERROR(
        CheckLabel(absl::StrCat(field, ".label"), values.label(), seen));
    if (values.tenant_ids().empty()) {
      return Wrong(absl::StrCat(field, ".tenant_ids"),
                   "must have a value and its tenant");
    }
    total += values.tenant_ids().size();
    if (total > kMaxValues) {
      return Wrong(absl::StrCat(field, ".tenant_ids"),
                   absl::StrCat("all values together may be ", kMaxValues,
                                ": split the rule"));
    }
    for (const auto& [value, tenant_id] : values.tenant_ids()) {
      RETURN_IF_ERROR(
          CheckValue(absl::StrCat(field, ".tenant_ids[", Shown(value), "]"),
                     value, tenant_id));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSelections(const v1::ClaimRule& rule) {
  RETURN_IF_ERROR(
      CheckNumber("spec.selections", rule.selections_size(), kMaxSelections));
  size_t bytes = 0;
  size_t budget = kMaxAccessRegexCost;
  std::set<std::string> names;
  for (int i = 0; i < rule.selections_size(); ++i) {
    const v1::ClaimRule::Selection& selection = rule.selections(i);
    const std::string field = absl::StrCat("spec.selections[", i, "]");
    const std::string selector = absl::StrCat(field, ".selector");
    bytes += selection.selector().size();
    if (bytes > kMaxSelectorBytes) {
      return Wrong(selector, absl::StrCat("all of them may have at most ",
                                          kMaxSelectorBytes, " bytes"));
    }
    const auto clause = ParseSeriesSelector(selection.selector(), budget);
    if (!clause.ok()) return Annotate(clause.status(), selector);
    for (const labels::Matcher& matcher : *clause) {
      budget -= std::min(budget, matcher.regex_cost());
      names.insert(matcher.name());
    }
    if (names.size() > kMaxSelectedLabels) {
      return Wrong(selector,
                   absl::StrCat("all of them may name at most ",
                                kMaxSelectedLabels, " different labels"));
    }
    RETURN_IF_ERROR(CheckTenantIds(absl::StrCat(field, ".tenant_ids"),
                                   selection.tenant_ids()));
  }
  return absl::OkStatus();
}

absl::Status CheckDefaults(const v1::ClaimRule& rule) {
  if (!rule.default_tenant_id().empty()) {
    RETURN_IF_ERROR(
        CheckTenantId("spec.default_tenant_id", rule.default_tenant_id()));
  }
  RETURN_IF_ERROR(
      CheckTenantIds("spec.default_tenant_ids", rule.default_tenant_ids()));
  if (std::find(rule.default_tenant_ids().begin(),
                rule.default_tenant_ids().end(),
                rule.default_tenant_id()) != rule.default_tenant_ids().end()) {
    return Wrong("spec.default_tenant_ids",
                 absl::StrCat("'", rule.default_tenant_id(),
                              "' is spec.default_tenant_id already"));
  }
  if (rule.full_replication() && rule.default_tenant_id().empty() &&
      rule.default_tenant_ids().empty()) {
    return Wrong("spec.full_replication",
                 "needs spec.default_tenant_id or spec.default_tenant_ids: "
                 "every series goes to those");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckClaimRule(const v1::ClaimRule& rule) {
  if (rule.label().empty() && rule.labels().empty() && rule.values().empty() &&
      rule.selections().empty() && rule.default_tenant_id().empty() &&
      rule.default_tenant_ids().empty()) {
    return Wrong("spec.label",
                 "must be set, or spec.values, spec.selections or "
                 "spec.default_tenant_id: else every series would be refused");
  }
  Names seen;
  RETURN_IF_ERROR(CheckTenantLabels(rule, &seen));
  RETURN_IF_ERROR(CheckValues(rule, &seen));
  RETURN_IF_ERROR(CheckSelections(rule));
  RETURN_IF_ERROR(CheckDefaults(rule));
  return CheckTenantIds("spec.allowed_tenant_ids", rule.allowed_tenant_ids());
}

}  // namespace insula::tenancy::internal
