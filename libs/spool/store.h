// RocksDB as the spool uses it. No exception and no type of RocksDB gets out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::spool {

// Thread-safe. Everything blocks.
//
// Codes: DATA_LOSS what is on disk is damaged, RESOURCE_EXHAUSTED the disk or
// quota is full, UNAVAILABLE any other failure of input and output. After a
// failed Write() nothing can be written until the store is opened anew; what is
// there can still be read.
class Store {
 public:
  struct Put {
    std::string key;
    std::string record;
    std::string index;
  };
  // Keys from `first` on, before `limit`.
  struct Range {
    std::string first;
    std::string limit;
  };

  // Opens the store in `path`, or makes it. What a crash cut off is left out.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Removes, then adds, all or nothing. With `sync`, it is on the disk when
  // this returns OK. Ranges cost later reads more than keys do.
  struct Batch {
    std::vector<std::string> removed_keys = {};
    std::vector<Range> removed_ranges = {};
    std::vector<Put> puts = {};
  };
  absl::Status Write(const Batch& changes, bool sync);

  // NOT_FOUND if there is none.
  absl::StatusOr<std::string> Read(absl::string_view key);

  // Every entry of the index, in the order of keys.
  absl::Status ScanIndex(
      const std::function<void(absl::string_view key, absl::string_view value)>&
          visit);

  // Drops whole files of what was removed from `range`. Cheap.
  void DropFiles(const Range& range);
  // Gives back the space of all that was removed. Takes long; reads and writes
  // go on meanwhile.
  absl::Status Reclaim();

  // Ends a Reclaim() that runs, and keeps others from beginning.
  void Interrupt();

  // Writes and syncs a trifle.
  absl::Status Probe();

  // Bytes of its files.
  uint64_t DiskBytes();

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace insula::spool
