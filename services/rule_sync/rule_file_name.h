// The names of the rule files that rule-sync keeps for a Prometheus.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::rule_sync {

// Whose file it is, and which: unique in a directory of any tenants.
struct RuleFileName {
  std::string uid;   // Of the tenant, 16 bytes.
  std::string stem;  // Of the tenant's file: "api" of "api.yaml".
  friend bool operator==(const RuleFileName&, const RuleFileName&) = default;
};

// "insula-UID-STEM.yaml": the uid in hexadecimal, the stem percent-encoded. The
// same for the same tenant and file for ever, so that a Prometheus that loads
// it again knows its groups and keeps their alerts' `for` running.
std::string FormatRuleFileName(const RuleFileName& name);

// The reverse; nullopt for every other name, which is not ours.
std::optional<RuleFileName> ParseRuleFileName(absl::string_view name);

// Whether a file of that stem can have such a name (a file name has 255 bytes).
bool IsUsableStem(absl::string_view stem);

}  // namespace insula::rule_sync
