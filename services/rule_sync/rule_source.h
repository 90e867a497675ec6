// The rule files of tenants, in a directory.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/files/settled_file.h"
#include "services/rule_sync/file_owners.h"

namespace insula::rule_sync {

// A rule file of a tenant.
struct SourceFile {
  std::string name;  // "api.yaml"
  std::string stem;  // "api"; no two files of a tenant share it.
  // Null: refused.
  std::shared_ptr<const std::string> text;
  // Why it is refused; or, with a text, why that is not the newest one.
  std::string error;
  friend bool operator==(const SourceFile&, const SourceFile&) = default;
};

struct SourceTenant {
  std::string uid;                // Whose files they are.
  std::vector<SourceFile> files;  // By name.
  // False: there may be further files, or newer ones, that can't be read now.
  // Nothing may be taken for vanished.
  bool complete = true;
  friend bool operator==(const SourceTenant&, const SourceTenant&) = default;
};

// What the directory holds at a moment.
struct SourceView {
  std::map<std::string, SourceTenant> tenants;  // By id.
  // Directories of the name of a tenant id that no tenant has.
  std::set<std::string> unknown;
  // All that is wrong: "red/api.yaml: what, cure".
  std::vector<std::string> errors;
  // False: somebody is writing a file; look again in a moment.
  bool settled = true;
  friend bool operator==(const SourceView&, const SourceView&) = default;
};

struct SourceOptions {
  std::string directory;
  size_t max_file_bytes = 1 << 20;
  size_t max_tenant_bytes = 8 << 20;  // Of all files of a tenant.
  size_t max_files = 100;             // Of a tenant.
};

// Reads `directory`: a directory for each tenant, named by its id, and rule
// files (*.yaml, *.yml) in it. Other files there, and those whose name begins
// with a dot, are nobody's business. Symbolic links are refused: who may write
// into one tenant's directory must not name files elsewhere.
//
// A file is of the tenant that has the directory's id when it is first read,
// and of no other one: a tenant that is made again under that id has those
// files only that were written anew since.
class RuleSource {
 public:
  explicit RuleSource(SourceOptions options, FileOwners owners = FileOwners())
      : options_(std::move(options)), owners_(std::move(owners)) {}

  // The uid of the tenant of an id; nullopt if there is none.
  using FindUid =
      std::function<std::optional<std::string>(absl::string_view id)>;

  // Looks at everything, and reads what has changed. Returns the same pointer
  // if nothing has changed. If the directory itself can't be read, which is an
  // error, the view before stays good; an empty one is never made up. Blocks.
  // One caller at a time.
  absl::StatusOr<std::shared_ptr<const SourceView>> Scan(
      const FindUid& find_uid, absl::Time now);

  // Whether the last scan could make durable whose the files are. If not, the
  // next one tries again.
  const absl::Status& owners_saved() const { return owners_saved_; }

 private:
  struct Known {
    files::FileStamp stamp;
    std::shared_ptr<const std::string> text;
  };
  using KnownFiles = std::map<std::string, Known>;  // By name.

  void ScanTenant(const std::string& id, const std::string& uid, absl::Time now,
                  SourceView* view);
  // Adds the file, unless it is gone again.
  void ScanFile(const std::string& id, const std::string& name,
                KnownFiles* known, absl::Time now, SourceTenant* tenant,
                SourceView* view);

  const SourceOptions options_;
  FileOwners owners_;
  absl::Status owners_saved_;
  std::map<std::string, KnownFiles> known_;  // By tenant id.
  std::shared_ptr<const SourceView> last_;
};

}  // namespace insula::rule_sync
