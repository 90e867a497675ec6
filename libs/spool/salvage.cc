#include "libs/spool/salvage.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "libs/status/status_macros.h"

namespace insula::spool {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeyBytes = kTenantUidBytes + sizeof(uint64_t);

using Found = std::function<absl::Status(
    absl::string_view key, absl::string_view value, const Record& record)>;

// True if there was a record.
absl::StatusOr<bool> Offer(absl::string_view key, absl::string_view value,
                           const Found& found) {
  const auto record = DecodeRecord(key, value);
  if (!record.ok()) return false;
  RETURN_IF_ERROR(found(key, value, *record));
  return true;
}

uint64_t Number(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

// A blob file is a header of 30 bytes and then records: sizes of key and value,
// 8 bytes each, 16 bytes more, the key, the value.
absl::Status SalvageBlobs(absl::string_view file, const Found& found) {
  constexpr size_t kHeader = 32;
  static constexpr char kKeySize[8] = {kKeyBytes};
  const absl::string_view mark(kKeySize, sizeof(kKeySize));
  size_t at = 0;
  while ((at = file.find(mark, at)) != absl::string_view::npos) {
    const absl::string_view rest = file.substr(at);
    if (rest.size() < kHeader + kKeyBytes) break;
    const uint64_t size = Number(rest.substr(8, 8));
    if (size > rest.size() - kHeader - kKeyBytes) {
      ++at;
      continue;
    }
    ASSIGN_OR_RETURN(const bool sound,
                     Offer(rest.substr(kHeader, kKeyBytes),
                           rest.substr(kHeader + kKeyBytes, size), found));
    at += sound ? kHeader + kKeyBytes + size : 1;
  }
  return absl::OkStatus();
}

// Takes values off the front of a batch. After a failure it stays failed.
class BatchReader {
 public:
  explicit BatchReader(absl::string_view batch) : rest_(batch) {}
  bool done() const { return failed_ || rest_.empty(); }

  absl::string_view Bytes(uint64_t count) {
    if (failed_ || rest_.size() < count) {
      failed_ = true;
      return "";
    }
    const absl::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  uint32_t Varint() {
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const absl::string_view byte = Bytes(1);
      if (byte.empty()) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      value |= static_cast<uint32_t>(bits & 0x7f) << shift;
      if (bits < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  absl::string_view Text() { return Bytes(Varint()); }
  void Fail() { failed_ = true; }

 private:
  absl::string_view rest_;
  bool failed_ = false;
};

// A batch is a header of 12 bytes, and then operations with a tag each.
absl::Status SalvageBatch(absl::string_view batch, const Found& found) {
  BatchReader reader(batch);
  reader.Bytes(12);
  while (!reader.done()) {
    const int tag = reader.Bytes(1)[0];
    // Those of a column family of its own name it first.
    const bool of_family = tag == 5 || tag == 4 || tag == 8 || tag == 14;
    if (of_family) reader.Varint();
    switch (tag) {
      case 1:
      case 5: {  // Put.
        const absl::string_view key = reader.Text();
        const absl::string_view value = reader.Text();
        RETURN_IF_ERROR(Offer(key, value, found).status());
        break;
      }
      case 14:
      case 15:  // Removal of a range.
        reader.Text();
        reader.Text();
        break;
      case 0:
      case 4:
      case 7:
      case 8:  // Removal.
      case 3:  // A note.
        reader.Text();
        break;
      case 13:  // Nothing.
        break;
      default:
        reader.Fail();
    }
  }
  return absl::OkStatus();
}

// A log is blocks of 32 KiB, and those are pieces of batches: a checksum, 4
// bytes, the size, 2 bytes, and whether it is whole, or the first, a middle or
// the last piece.
absl::Status SalvageLog(absl::string_view file, const Found& found) {
  constexpr size_t kBlock = 32 << 10;
  constexpr size_t kHeader = 7;
  enum { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };
  std::string batch;
  size_t at = 0;
  while (at + kHeader <= file.size()) {
    const size_t left = std::min(kBlock - at % kBlock, file.size() - at);
    const uint64_t size =
        left < kHeader ? left : Number(file.substr(at + 4, 2));
    const int type = left < kHeader ? 0 : file[at + 6];
    if (left < kHeader + size || type < kWhole || type > kLast) {
      batch.clear();
      at += kBlock - at % kBlock;  // On with the next block.
      continue;
    }
    const absl::string_view piece = file.substr(at + kHeader, size);
    if (type == kWhole || type == kFirst) batch.clear();
    batch.append(piece.data(), piece.size());
    if (type == kWhole || type == kLast) {
      RETURN_IF_ERROR(SalvageBatch(batch, found));
      batch.clear();
    }
    at += kHeader + size;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Salvage(const std::string& path, const Found& found) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = it->path().extension().string();
    if (extension != ".blob" && extension != ".log") continue;
    std::ifstream stream(it->path(), std::ios::binary);
    const std::string file(std::istreambuf_iterator<char>(stream), {});
    RETURN_IF_ERROR(extension == ".blob" ? SalvageBlobs(file, found)
                                         : SalvageLog(file, found));
  }
  return absl::OkStatus();
}

}  // namespace insula::spool
