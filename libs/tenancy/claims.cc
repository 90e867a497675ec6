#include "libs/tenancy/claims.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/tenancy/access.h"

namespace insula::tenancy {

namespace v1 = ::insula::registry::v1;

namespace {

void Add(Claim claim, std::vector<Claim>* claims) {
  for (Claim& known : *claims) {
    if (known.tenant_id != claim.tenant_id) continue;
    if (!known.allowed && claim.allowed) known = claim;
    return;
  }
  claims->push_back(claim);
}

}  // namespace

Claims::Claims(const v1::ClaimRule& rule)
    : defaults_(rule.default_tenant_ids().begin(),
                rule.default_tenant_ids().end()),
      full_replication_(rule.full_replication()),
      allowed_(rule.allowed_tenant_ids().begin(),
               rule.allowed_tenant_ids().end()) {
  std::sort(allowed_.begin(), allowed_.end());
  if (!rule.default_tenant_id().empty()) {
    defaults_.insert(defaults_.begin(), rule.default_tenant_id());
  }
  const auto add_label = [this, &rule](const std::string& label) {
    labels_.push_back(IndexOf(label));
    if (rule.remove_label()) removed_.push_back(label);
  };
  if (!rule.label().empty()) add_label(rule.label());
  for (const std::string& label : rule.labels()) add_label(label);
  for (const v1::ClaimRule::Values& values : rule.values()) {
    values_.push_back(
        {IndexOf(values.label()),
         {values.tenant_ids().begin(), values.tenant_ids().end()}});
  }
  for (const v1::ClaimRule::Selection& selection : rule.selections()) {
    if (AddSelection(selection)) continue;
    // What it selects must not become another tenant's.
    defaults_.clear();
  }
}

size_t Claims::IndexOf(absl::string_view label) {
  const auto at = std::find(deciding_.begin(), deciding_.end(), label);
  if (at != deciding_.end()) return static_cast<size_t>(at - deciding_.begin());
  deciding_.emplace_back(label);
  return deciding_.size() - 1;
}

bool Claims::AddSelection(const v1::ClaimRule::Selection& selection) {
  const auto clause = ParseSeriesSelector(selection.selector());
  if (!clause.ok()) return false;
  Selection& made = selections_.emplace_back();
  made.text = selection.selector();
  made.tenant_ids = {selection.tenant_ids().begin(),
                     selection.tenant_ids().end()};
  for (const labels::Matcher& matcher : *clause) {
    made.matchers.emplace_back(IndexOf(matcher.name()), matcher);
  }
  return true;
}

bool Claims::Selects(const Selection& selection,
                     absl::Span<const absl::string_view> values) {
  return std::all_of(selection.matchers.begin(), selection.matchers.end(),
                     [values](const auto& matcher) {
                       return matcher.second.Matches(values[matcher.first]);
                     });
}

bool Claims::MayBeNamed(absl::string_view tenant_id) const {
  return allowed_.empty() ||
         std::binary_search(allowed_.begin(), allowed_.end(), tenant_id);
}

void Claims::Find(absl::Span<const absl::string_view> values,
                  std::vector<Claim>* claims) const {
  claims->clear();
  bool spoken_of = false;
  for (size_t i = 0; i < labels_.size(); ++i) {
    const absl::string_view id = values[labels_[i]];
    if (id.empty()) continue;
    spoken_of = true;
    Add({id, Claim::Source::kLabel, i, MayBeNamed(id)}, claims);
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    const auto at = values_[i].tenant_ids.find(values[values_[i].label]);
    if (at == values_[i].tenant_ids.end()) continue;
    spoken_of = true;
    if (at->second.empty()) continue;
    Add({at->second, Claim::Source::kValues, i, true}, claims);
  }
  for (size_t i = 0; i < selections_.size(); ++i) {
    if (!Selects(selections_[i], values)) continue;
    spoken_of = true;
    for (const std::string& id : selections_[i].tenant_ids) {
      Add({id, Claim::Source::kSelection, i, true}, claims);
    }
  }
  if (spoken_of && !full_replication_) return;
  for (const std::string& id : defaults_) {
    Add({id, Claim::Source::kDefault, 0, true}, claims);
  }
}

std::string Claims::SourceText(const Claim& claim) const {
  switch (claim.source) {
    case Claim::Source::kLabel:
      return absl::StrCat("label ", deciding_[labels_[claim.index]]);
    case Claim::Source::kValues:
      return absl::StrCat("value of ", deciding_[values_[claim.index].label]);
    case Claim::Source::kSelection:
      return absl::StrCat("selection ", selections_[claim.index].text);
    case Claim::Source::kDefault:
      break;
  }
  return "default";
}

const Claims& LazyClaims::Get(const v1::ClaimRule& rule) const {
  std::call_once(made_, [&] { claims_.emplace(rule); });
  return *claims_;
}

}  // namespace insula::tenancy
