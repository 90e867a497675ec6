// Which series a tenant may read.
//
// The one answer to that question. A query is confined to the clauses before it
// is sent, and series that come back are held against Allows(), which finds its
// answer by another way: not from the clauses, but from the objects.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "libs/tenancy/access.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {

// The most clauses of a tenant.
inline constexpr size_t kMaxReadClauses = 1000;

// Of one tenant, at the store of its upstream. Immutable, thread-safe.
//
// A tenant reads, unless its read_scope is READ_SCOPE_ACCESS, its own series:
// those with its enforced labels. Beside them, for each Access of it and each
// source tenant, the series that have the source's enforced labels and all of
// the label_selectors, and that one of the selectors selects; with
// every_source, the same of the store as a whole, whatever is known of its
// tenants. Nothing else, and nothing at all while its state, its upstream or
// the isolation of that is not clear.
//
// One query asks one store, as one tenant of it. So a source drops out, and
// notes() name it, which
// - is not there, or may not be read in its state;
// - has another upstream than the tenant; or the upstream isolates by header
//   and the source has another org id there. every_source names a whole store,
//   which no tenant can ask that isolates by header;
// - has no enforced label at a store that isolates by label.
class ReadPolicy {
 public:
  // The value of a label of a series, "" for one that it does not have.
  using LabelValue = absl::FunctionRef<absl::string_view(absl::string_view)>;

  // The union of these is what the tenant reads. None: nothing. Each holds a
  // matcher that the empty string does not match, so that it can stand as a
  // selector; but a clause without matchers, which comes alone, stands for all
  // series of a store that isolates by header. Few: clauses that differ in one
  // label are united, so that names and expressions on names are one matcher,
  // and the values of sources that are told apart by one label another.
  const std::vector<Clause>& clauses() const { return clauses_; }
  bool reads_nothing() const { return clauses_.empty(); }
  bool reads_whole_store() const {
    return clauses_.size() == 1 && clauses_[0].empty();
  }

  // Whether the tenant may read a series.
  bool Allows(LabelValue label) const;
  // Whether there may be a series it may read that has this label and value.
  bool AllowsValue(absl::string_view name, absl::string_view value) const;

  // What it does not read though an object says so, with the cure, and why it
  // reads nothing. For people; at most 20 lines.
  const std::vector<std::string>& notes() const { return notes_; }
  // The Access objects that grant something, in the order of their ids.
  const std::vector<std::string>& access_ids() const { return access_ids_; }

 private:
  friend class ReadPolicyCompiler;
  friend std::shared_ptr<const ReadPolicy> ReadPolicyOf(
      const Snapshot& snapshot, const Tenant& tenant);

  using Equalities = std::vector<std::pair<std::string, std::string>>;

  // Sources whose enforced labels have the same names.
  struct Sources {
    std::vector<std::string> names;
    std::vector<std::string> values;  // Joined, of each source; sorted.
  };
  struct Grant {
    std::shared_ptr<const Access> access;
    Equalities label_selectors;
    bool every_source = false;
    std::vector<Sources> sources;
  };

  static std::string Join(const std::vector<absl::string_view>& values);
  static bool Grants(const Grant& grant, LabelValue label);
  // Whether it would be made of the same objects in `snapshot`.
  bool IsCurrent(const Snapshot& snapshot) const;

  std::vector<Clause> clauses_;
  bool reads_own_ = false;
  Equalities own_;
  std::vector<Grant> grants_;
  std::vector<std::string> notes_;
  std::vector<std::string> access_ids_;

  // What it was made of, beside what keeps it (the accesses; the tenant, if it
  // has none): the tenant's upstream, itself and its sources, with null for
  // those that are not there.
  std::shared_ptr<const Upstream> upstream_;
  std::string upstream_id_;
  std::vector<std::pair<std::string, std::shared_ptr<const Tenant>>> tenants_;
};

// The policy of `tenant`, which is one of `snapshot`. Costs little: it is made
// when it is first asked for and kept until one of the objects changes that it
// is made of, over as many snapshots as that may be. Thread-safe.
std::shared_ptr<const ReadPolicy> ReadPolicyOf(const Snapshot& snapshot,
                                               const Tenant& tenant);

}  // namespace insula::tenancy
