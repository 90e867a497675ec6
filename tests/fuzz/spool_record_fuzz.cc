// Records of the queue on disk. Whatever bytes stand under a key, they are
// refused, or are to the bit what the record they are read as is written as. A
// record that was altered, or stands under another key, is refused.

#include <xxhash.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/spool/record.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using spool::kTenantUidBytes;

constexpr size_t kHashAt = 1;
constexpr size_t kPayloadAt = 9;

// The value with the hash that belongs to it, computed in one piece.
std::string Sealed(absl::string_view key, std::string value) {
  if (value.size() < kPayloadAt) return value;
  std::string hashed(key);
  hashed.append(value, 0, kHashAt);
  hashed.append(value, kPayloadAt);
  const uint64_t hash = XXH3_64bits(hashed.data(), hashed.size());
  for (size_t i = 0; i < 8; ++i) {
    value[kHashAt + i] = static_cast<char>(hash >> (8 * i));
  }
  return value;
}

// Whether a payload is a record of the tenant of `key`.
bool IsRecord(absl::string_view key, absl::string_view payload) {
  constexpr size_t kTextsAt = kTenantUidBytes + 1 + 5 * 8;
  if (payload.size() < kTextsAt) return false;
  if (key.substr(0, kTenantUidBytes) != payload.substr(0, kTenantUidBytes)) {
    return false;
  }
  payload.remove_prefix(kTextsAt);
  for (int text = 0; text < 3; ++text) {
    if (payload.size() < 4) return false;
    uint64_t size = 0;
    for (size_t i = 0; i < 4; ++i) {
      size |= uint64_t{static_cast<unsigned char>(payload[i])} << (8 * i);
    }
    payload.remove_prefix(4);
    if (payload.size() < size) return false;
    payload.remove_prefix(size);
  }
  return payload.empty();
}

bool IsIndexEntry(absl::string_view key, absl::string_view payload) {
  return payload.size() == 3 * 8 && key.size() == kTenantUidBytes + 8;
}

void CheckRefusal(const absl::Status& status, absl::string_view value) {
  FUZZ_CHECK(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status),
             value);
}

// Any bytes under any key.
void CheckBytes(absl::string_view key, absl::string_view bytes) {
  // In a block of its own, so that its end is guarded.
  const auto blocks = fuzz::Pieces(bytes, bytes.size());
  absl::string_view value;
  if (!blocks.empty()) value = {blocks[0].data(), blocks[0].size()};
  const auto record = spool::DecodeRecord(key, value);
  const auto entry = spool::DecodeIndexEntry(key, value);
  if (record.ok()) {
    FUZZ_CHECK(spool::EncodeRecord(key, *record) == value, value);
  } else {
    CheckRefusal(record.status(), value);
  }
  if (entry.ok()) {
    FUZZ_CHECK(spool::EncodeIndexEntry(key, *entry) == value, value);
  } else {
    CheckRefusal(entry.status(), value);
  }
  if (value.size() < kPayloadAt || Sealed(key, std::string(value)) != value) {
    FUZZ_CHECK(absl::IsDataLoss(record.status()), value);
    FUZZ_CHECK(absl::IsDataLoss(entry.status()), value);
    return;
  }
  const bool later = value[0] != 1;
  FUZZ_CHECK(absl::IsFailedPrecondition(record.status()) == later, value);
  FUZZ_CHECK(absl::IsFailedPrecondition(entry.status()) == later, value);
  if (later) return;
  const absl::string_view payload = value.substr(kPayloadAt);
  FUZZ_CHECK(record.ok() == IsRecord(key, payload), value);
  FUZZ_CHECK(entry.ok() == IsIndexEntry(key, payload), value);
}

uint64_t Number(fuzz::Input* bytes) {
  const uint8_t size = bytes->Byte() % 9;
  uint64_t number = 0;
  for (int i = 0; i < size; ++i) number = number << 8 | bytes->Byte();
  return number;
}

std::string Text(fuzz::Input* bytes, uint8_t size) {
  std::string text;
  for (; size > 0; --size) text.push_back(static_cast<char>(bytes->Byte()));
  return text;
}

spool::Record Make(fuzz::Input* bytes) {
  spool::Record record;
  record.tenant_uid = Text(bytes, kTenantUidBytes);
  record.protocol = static_cast<spool::Protocol>(bytes->Byte());
  record.series = static_cast<int64_t>(Number(bytes));
  record.samples = static_cast<int64_t>(Number(bytes));
  record.exemplars = static_cast<int64_t>(Number(bytes));
  record.enqueued = absl::FromUnixMicros(static_cast<int64_t>(Number(bytes)));
  record.hash = Number(bytes);
  record.tenant_id = Text(bytes, bytes->Byte() % 8);
  record.upstream_id = Text(bytes, bytes->Byte() % 8);
  return record;
}

bool AreSame(const spool::Record& a, const spool::Record& b) {
  return a.tenant_uid == b.tenant_uid && a.tenant_id == b.tenant_id &&
         a.upstream_id == b.upstream_id && a.protocol == b.protocol &&
         a.series == b.series && a.samples == b.samples &&
         a.exemplars == b.exemplars && a.enqueued == b.enqueued &&
         a.hash == b.hash && a.body == b.body;
}

// A value that was written under `key` and then had an accident.
void CheckAccident(const std::string& key, const std::string& value,
                   fuzz::Input* bytes) {
  std::string bad = value;
  std::string bad_key = key;
  const size_t at = Number(bytes) % value.size();
  const uint8_t kind = bytes->Byte();
  const auto change = static_cast<char>(bytes->Byte() | 1);
  switch (kind % 6) {
    case 0:
      bad[at] = static_cast<char>(bad[at] ^ change);
      break;
    case 1:
      bad.resize(at);
      break;
    case 2:
      bad.insert(at, 1, change);
      break;
    case 3:  // A page that was never written.
      std::fill_n(bad.begin() + static_cast<int64_t>(at),
                  std::min<size_t>(512, bad.size() - at), '\0');
      break;
    case 4:
      bad.erase(at, 1);
      break;
    case 5:
      bad_key[at % key.size()] =
          static_cast<char>(bad_key[at % key.size()] ^ change);
      break;
  }
  if (bad == value && bad_key == key) return;
  FUZZ_CHECK(absl::IsDataLoss(spool::DecodeRecord(bad_key, bad).status()), bad);
  CheckBytes(bad_key, bad);
  // As if the hash had been right, too.
  CheckBytes(bad_key, Sealed(bad_key, bad));
}

FUZZ_TARGET(spool_record) {
  fuzz::Input bytes(input);
  const uint8_t shape = bytes.Byte();
  if (shape % 4 == 0) {
    const std::string key = Text(&bytes, shape / 4);
    CheckBytes(key, bytes.rest());
    CheckBytes(key, Sealed(key, std::string(bytes.rest())));
    return;
  }
  if (shape % 4 == 1) {  // The key is that of the tenant in the value.
    std::string uid(bytes.rest().substr(
        std::min(bytes.rest().size(), kPayloadAt), kTenantUidBytes));
    uid.resize(kTenantUidBytes);
    const std::string key = spool::RecordKey(uid, shape);
    CheckBytes(key, Sealed(key, std::string(bytes.rest())));
    return;
  }
  spool::Record record = Make(&bytes);
  const std::string key = spool::RecordKey(record.tenant_uid, Number(&bytes));
  fuzz::Input accident = bytes;
  record.body = std::string(bytes.rest());
  const std::string value = spool::EncodeRecord(key, record);
  const auto again = spool::DecodeRecord(key, value);
  FUZZ_CHECK(again.ok() && AreSame(*again, record), value);
  CheckBytes(key, value);
  CheckAccident(key, value, &accident);

  spool::IndexEntry entry;
  entry.bytes = record.hash;
  entry.samples = record.samples;
  entry.enqueued = record.enqueued;
  const std::string index = spool::EncodeIndexEntry(key, entry);
  const auto same = spool::DecodeIndexEntry(key, index);
  FUZZ_CHECK(same.ok() && same->bytes == entry.bytes &&
                 same->samples == entry.samples &&
                 same->enqueued == entry.enqueued,
             index);
  CheckBytes(key, index);
}

}  // namespace
}  // namespace insula
