// What evaluators must have: the rules of the tenants, checked and confined, by
// the evaluator that the registry names.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/rules/confine.h"
#include "libs/rules/group.h"
#include "libs/tenancy/snapshot.h"
#include "services/rule_sync/rule_check.h"
#include "services/rule_sync/rule_source.h"

namespace insula::rule_sync {

// A place that is kept in step as one: the directory of a Prometheus, or one
// ruler tenant.
struct UnitSpec {
  enum class Type { kPrometheus, kRuler };
  Type type = Type::kPrometheus;
  std::string target_id;
  std::string url;
  absl::Duration timeout = absl::Seconds(30);
  // Of a ruler: the header that names the ruler tenant, and its value. Both are
  // empty where tenants are kept apart by labels.
  std::string header;
  std::string org_id;

  // Tells places apart. A Prometheus that moves to another address is still the
  // one whose directory that is; a ruler at another address is another one, and
  // the same one under whatever id of a target.
  std::string Id() const;
  friend bool operator==(const UnitSpec&, const UnitSpec&) = default;
};

// A rule file as an evaluator gets it.
struct DesiredFile {
  std::string source;  // "api.yaml"
  std::string stem;    // "api"
  CheckedFile checked;
  std::string text;  // A rule file of all groups; "" if there are none.
};

// A tenant that may have rules there.
struct DesiredTenant {
  std::string id;
  std::string uid;
  // None: rules are not confined there.
  std::optional<rules::Confinement> confinement;
  bool complete = true;  // Of SourceTenant.
  std::vector<std::shared_ptr<const DesiredFile>> files;
};

struct DesiredUnit {
  UnitSpec spec;
  std::map<std::string, DesiredTenant> tenants;  // By uid.
  // No file names it: to be looked at only if something may be there.
  bool idle = true;
};

// What is known of the rules of one tenant.
struct TenantRules {
  std::string uid;
  std::string target_id;
  std::string unit_id;  // "" if all of them are kept out; the files say why.
  std::vector<std::shared_ptr<const DesiredFile>> files;
};

struct Desired {
  std::map<std::string, std::shared_ptr<const DesiredUnit>> units;  // By Id().
  // By id; those that have files, or could have.
  std::map<std::string, TenantRules> tenants;
};

struct CompilerOptions {
  size_t max_file_bytes = 1 << 20;
  rules::Dialect rule_files_dialect;
  rules::Dialect rulers_dialect;
  bool rule_files = true;  // Whether there is a directory for Prometheus.
};

// How the rules of `tenant` are treated by its evaluator. Null: those of nobody
// in particular, which are not confined. FAILED_PRECONDITION if the tenant may
// have no rules, with the reason and the cure.
//
// Rules of a tenant read its own series; with READ_SCOPE_ACCESS, those that its
// queries read (tenancy/read_policy.h), for which its upstream must isolate as
// the target does. What a tenant with READ_SCOPE_OWN is granted changes nothing
// about its rules.
absl::StatusOr<Treatment> TreatmentOf(const tenancy::Snapshot& snapshot,
                                      const tenancy::Tenant* tenant,
                                      const CompilerOptions& options);

// Makes Desired. Remembers the files that it has checked. One caller at a time.
class Compiler {
 public:
  explicit Compiler(CompilerOptions options) : options_(std::move(options)) {}

  // Takes as long as checking the files that are new to it.
  std::shared_ptr<const Desired> Compile(const tenancy::Snapshot& snapshot,
                                         const SourceView& view);

 private:
  struct Checked {
    std::shared_ptr<const std::string> text;  // What it was made from,
    std::string error;                        // and how.
    bool prometheus = false;
    std::optional<rules::Confinement> confinement;
    std::shared_ptr<const DesiredFile> file;
  };
  using Cache = std::map<std::pair<std::string, std::string>, Checked>;

  // Adds what the registry and the directory say of one tenant.
  void Add(const tenancy::Snapshot& snapshot, const tenancy::Tenant& tenant,
           const SourceTenant* source, Desired* desired,
           std::map<std::string, DesiredUnit>* units, Cache* next);
  std::shared_ptr<const DesiredFile> Check(const std::string& tenant_id,
                                           const SourceFile& source,
                                           bool prometheus,
                                           const Treatment& treatment,
                                           Cache* next);

  const CompilerOptions options_;
  Cache cache_;  // By tenant id and file name.
};

}  // namespace insula::rule_sync
