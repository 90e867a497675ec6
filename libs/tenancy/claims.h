// Whose the series of a shared sender are: a ClaimRule, ready to be asked.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/labels/matcher.h"

namespace insula::tenancy {

// A tenant that a series goes to by a claim rule, or would go to.
struct Claim {
  enum class Source { kLabel, kValues, kSelection, kDefault };

  // As the series or the rule has it: what a label says may be no tenant id at
  // all. A view of either.
  absl::string_view tenant_id;
  Source source = Source::kDefault;
  size_t index = 0;  // Of the label, the values or the selection.
  // False: a label names a tenant that allowed_tenant_ids does not have.
  bool allowed = true;
};

// What a claim rule says, by the values of a few labels. A series goes to
//
//   - the tenants that the values of `label` and `labels` name,
//   - those that stand for a value in `values`,
//   - those of each of the `selections` that select it,
//   - the default tenants, if nothing of the above speaks of it, or with
//     full_replication,
//
// to each of them once. An empty label is no label. A value of `values` without
// a tenant, and a selection without one, speak of a series and give it to
// nobody: so its default does not take over what was a deleted tenant's. A
// label that names a tenant which may not be written speaks of its series as
// well.
//
// Immutable and thread-safe.
class Claims {
 public:
  // Of a rule that CheckObject() has let pass; of another one, whose selectors
  // can't be read, a part of the series finds no tenant. Keeps no reference.
  explicit Claims(const registry::v1::ClaimRule& rule);

  // The labels whose values decide, none twice; may have __name__.
  const std::vector<std::string>& deciding_labels() const { return deciding_; }
  // The labels that a series loses on its way.
  const std::vector<std::string>& removed_labels() const { return removed_; }

  // Sets `claims` to those on a series whose deciding labels have these values,
  // each in its place, empty for those that it lacks. No tenant comes twice; a
  // claim that is allowed stands for one that is not.
  void Find(absl::Span<const absl::string_view> values,
            std::vector<Claim>* claims) const;

  // "label team", "value of namespace", "selection up{job=\"a\"}", "default".
  std::string SourceText(const Claim& claim) const;

 private:
  struct Values {
    size_t label = 0;  // In deciding_.
    absl::flat_hash_map<std::string, std::string> tenant_ids;
  };
  struct Selection {
    std::string text;
    std::vector<std::pair<size_t, labels::Matcher>> matchers;
    std::vector<std::string> tenant_ids;
  };

  size_t IndexOf(absl::string_view label);
  bool AddSelection(const registry::v1::ClaimRule::Selection& selection);
  static bool Selects(const Selection& selection,
                      absl::Span<const absl::string_view> values);
  bool MayBeNamed(absl::string_view tenant_id) const;

  std::vector<std::string> deciding_;
  std::vector<std::string> removed_;
  std::vector<size_t> labels_;  // In deciding_.
  std::vector<Values> values_;
  std::vector<Selection> selections_;
  std::vector<std::string> defaults_;
  bool full_replication_ = false;
  std::vector<std::string> allowed_;  // Sorted. Empty: all.
};

// The Claims of one rule, made when somebody wants them: once for each version
// of the rule, whatever else changes. Thread-safe.
class LazyClaims {
 public:
  // Of `rule`, always the same one.
  const Claims& Get(const registry::v1::ClaimRule& rule) const;

 private:
  mutable std::once_flag made_;
  mutable std::optional<Claims> claims_;
};

}  // namespace insula::tenancy
