// What waits on disk: a part of a write, and how it is told from a damaged one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::spool {

inline constexpr size_t kTenantUidBytes = 16;

// How the body is encoded.
enum class Protocol : uint8_t {
  kRemoteWrite1 = 1,  // A WriteRequest of remote write 1.0 in a snappy block.
  kRemoteWrite2 = 2,  // A Request of remote write 2.0 in a snappy block.
};

struct Record {
  std::string tenant_uid;   // kTenantUidBytes.
  std::string tenant_id;    // As it was called when the part came.
  std::string upstream_id;  // That of the tenant then; to read, not to route.
  Protocol protocol = Protocol::kRemoteWrite1;
  int64_t series = 0;
  int64_t samples = 0;  // Histograms count.
  int64_t exemplars = 0;
  absl::Time enqueued;
  uint64_t hash = 0;  // Of the body, by which a retry is known.
  std::string body;
};

// The key of a record: the tenant's uid and the place in its queue, such that
// keys sort by both.
std::string RecordKey(absl::string_view tenant_uid, uint64_t sequence);

// The value that stands under `key`. Its first byte is the version of the
// format; an XXH3 follows, of the key and all the rest.
std::string EncodeRecord(absl::string_view key, const Record& record);

// DATA_LOSS: the value is not, to the bit, what was written under `key`.
// FAILED_PRECONDITION: it is sound, but of a version that only a later release
// of Insula can read.
absl::StatusOr<Record> DecodeRecord(absl::string_view key,
                                    absl::string_view value);

// What the index of a spool keeps of a record, under the same key.
struct IndexEntry {
  uint64_t bytes = 0;  // Of the value.
  int64_t samples = 0;
  absl::Time enqueued;
};

std::string EncodeIndexEntry(absl::string_view key, const IndexEntry& entry);
// Errors as of DecodeRecord().
absl::StatusOr<IndexEntry> DecodeIndexEntry(absl::string_view key,
                                            absl::string_view value);

}  // namespace insula::spool
