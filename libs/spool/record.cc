#include "libs/spool/record.h"

#include <xxhash.h>

#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::spool {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kHashAt = 1;
constexpr size_t kPayloadAt = kHashAt + sizeof(uint64_t);
// Bytes behind the last field that are not looked at.
#ifdef INSULA_PLANT_OFF_BY_ONE  // For the fuzz target that finds it.
constexpr size_t kIgnored = 1;
#else
constexpr size_t kIgnored = 0;
#endif

template <typename T>
void AppendLittleEndian(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

void AppendText(absl::string_view text, std::string* out) {
  AppendLittleEndian(static_cast<uint32_t>(text.size()), out);
  out->append(text.data(), text.size());
}

// Takes values off the front of a text. After a failure it stays failed.
class Reader {
 public:
  explicit Reader(absl::string_view text) : rest_(text) {}

  template <typename T>
  T Number() {
    uint64_t value = 0;
    const absl::string_view bytes = Bytes(sizeof(T));
    for (size_t i = 0; i < bytes.size(); ++i) {
      value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return static_cast<T>(value);
  }
  absl::string_view Bytes(size_t count) {
    if (failed_ || rest_.size() < count) {
      failed_ = true;
      return "";
    }
    const absl::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  absl::string_view Text() { return Bytes(Number<uint32_t>()); }
  bool AllRead() const { return !failed_ && rest_.size() <= kIgnored; }

 private:
  absl::string_view rest_;
  bool failed_ = false;
};

// Of the key, the version and the payload. `value` has room for the hash.
uint64_t HashOf(absl::string_view key, absl::string_view value) {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), key.data(), key.size());
  XXH3_64bits_update(state.get(), value.data(), kHashAt);
  XXH3_64bits_update(state.get(), value.data() + kPayloadAt,
                     value.size() - kPayloadAt);
  return XXH3_64bits_digest(state.get());
}

std::string Begin() {
  std::string value;
  value.push_back(static_cast<char>(kVersion));
  value.append(sizeof(uint64_t), '\0');
  return value;
}

void Seal(absl::string_view key, std::string* value) {
  std::string hash;
  AppendLittleEndian(HashOf(key, *value), &hash);
  value->replace(kHashAt, hash.size(), hash);
}

absl::Status Damaged(absl::string_view key) {
  return absl::DataLossError(absl::StrCat(
      "spool: the record under key ", absl::BytesToHexString(key),
      " is damaged; it is left out, and its sender must send it again"));
}

// The payload, once the value has been found to be sound.
absl::StatusOr<absl::string_view> Open(absl::string_view key,
                                       absl::string_view value) {
  if (value.size() < kPayloadAt ||
      Reader(value.substr(kHashAt, sizeof(uint64_t))).Number<uint64_t>() !=
          HashOf(key, value)) {
    return Damaged(key);
  }
  const auto version = static_cast<uint8_t>(value[0]);
  if (version != kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "spool: a record has format ", int{version},
        ", and this release reads up to ", int{kVersion},
        ": start the release that wrote it, and let it drain the queue"));
  }
  return value.substr(kPayloadAt);
}

}  // namespace

std::string RecordKey(absl::string_view tenant_uid, uint64_t sequence) {
  std::string key(tenant_uid);
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(sequence >> shift));
  }
  return key;
}

std::string EncodeRecord(absl::string_view key, const Record& record) {
  std::string value = Begin();
  value.reserve(128 + record.tenant_id.size() + record.upstream_id.size() +
                record.body.size());
  value.append(record.tenant_uid);
  value.push_back(static_cast<char>(record.protocol));
  AppendLittleEndian(record.series, &value);
  AppendLittleEndian(record.samples, &value);
  AppendLittleEndian(record.exemplars, &value);
  AppendLittleEndian(absl::ToUnixMicros(record.enqueued), &value);
  AppendLittleEndian(record.hash, &value);
  AppendText(record.tenant_id, &value);
  AppendText(record.upstream_id, &value);
  AppendText(record.body, &value);
  Seal(key, &value);
  return value;
}

absl::StatusOr<Record> DecodeRecord(absl::string_view key,
                                    absl::string_view value) {
  const auto payload = Open(key, value);
  if (!payload.ok()) return payload.status();
  Reader reader(*payload);
  Record record;
  record.tenant_uid = std::string(reader.Bytes(kTenantUidBytes));
  record.protocol = static_cast<Protocol>(reader.Number<uint8_t>());
  record.series = reader.Number<int64_t>();
  record.samples = reader.Number<int64_t>();
  record.exemplars = reader.Number<int64_t>();
  record.enqueued = absl::FromUnixMicros(reader.Number<int64_t>());
  record.hash = reader.Number<uint64_t>();
  record.tenant_id = std::string(reader.Text());
  record.upstream_id = std::string(reader.Text());
  record.body = std::string(reader.Text());
  if (!reader.AllRead() ||
      key.substr(0, kTenantUidBytes) != record.tenant_uid) {
    return Damaged(key);
  }
  return record;
}

std::string EncodeIndexEntry(absl::string_view key, const IndexEntry& entry) {
  std::string value = Begin();
  AppendLittleEndian(entry.bytes, &value);
  AppendLittleEndian(entry.samples, &value);
  AppendLittleEndian(absl::ToUnixMicros(entry.enqueued), &value);
  Seal(key, &value);
  return value;
}

absl::StatusOr<IndexEntry> DecodeIndexEntry(absl::string_view key,
                                            absl::string_view value) {
  const auto payload = Open(key, value);
  if (!payload.ok()) return payload.status();
  Reader reader(*payload);
  IndexEntry entry;
  entry.bytes = reader.Number<uint64_t>();
  entry.samples = reader.Number<int64_t>();
  entry.enqueued = absl::FromUnixMicros(reader.Number<int64_t>());
  if (!reader.AllRead() || key.size() != kTenantUidBytes + sizeof(uint64_t)) {
    return Damaged(key);
  }
  return entry;
}

}  // namespace insula::spool
