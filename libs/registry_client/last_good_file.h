// The last good copy of the registry, on disk.
//
// One file, of which the one before is kept too:
//
//   "INSULAR1"                           magic and version
//   Subscribe                            kinds, revision and epoch
//   WatchResponse of PHASE_SNAPSHOT...   the objects, some at a time
//   WatchResponse of PHASE_SNAPSHOT_END  how many they are
//   SHA-256 of everything before         32 bytes
//
// Each message has its length before it, as a varint. The file holds hashes of
// tokens, so only its owner may read it (0600).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/tenancy/snapshot.h"

namespace insula::registry_client {

// What a file held.
struct LastGood {
  std::shared_ptr<const tenancy::Snapshot> snapshot;
  std::vector<registry::v1::Kind> kinds;  // That the snapshot was asked for.
  int64_t rejected = 0;  // Objects that no longer pass the checks; left out.
  absl::Time saved_at;   // Not in the future.
  std::string warning;   // Why the newest file was not used; usually empty.
};

// Not thread-safe. Everything blocks.
class LastGoodFile {
 public:
  // Files are in `dir`, which is made if it is missing.
  explicit LastGoodFile(std::string dir) : dir_(std::move(dir)) {}

  // The newest file that is whole. One that is not is set aside, with ".bad"
  // appended to its name. NOT_FOUND: there never was one. DATA_LOSS: there are
  // only bad ones.
  absl::StatusOr<LastGood> Load();

  // Replaces the newest file; it is on disk when this returns OK. After an
  // error the files are as they were.
  absl::Status Save(const tenancy::Snapshot& snapshot,
                    const std::vector<registry::v1::Kind>& kinds);

  std::string path() const;
  std::string previous_path() const;

 private:
  const std::string dir_;
};

}  // namespace insula::registry_client
