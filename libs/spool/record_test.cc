#include "libs/spool/record.h"

#include <gmock/gmock.h>

#include <string>

#include "libs/status/status_matchers.h"

namespace insula::spool {
namespace {

using absl::StatusCode::kDataLoss;
using absl::StatusCode::kFailedPrecondition;
using ::testing::HasSubstr;

Record Example() {
  Record record;
  record.tenant_uid = std::string(kTenantUidBytes, 'u');
  record.tenant_id = "a'b";
  record.upstream_id = "store";
  record.protocol = Protocol::kRemoteWrite2;
  record.series = 3;
  record.samples = -1;
  record.exemplars = 5;
  record.enqueued = absl::FromUnixMicros(1'800'000'000'123'456);
  record.hash = 0xfedcba9876543210;
  record.body = std::string("\0\xff snappy", 9);
  return record;
}

TEST(RecordTest, ComesBackAsItWas) {
  const Record before = Example();
  const std::string key = RecordKey(before.tenant_uid, 9);
  const auto after = DecodeRecord(key, EncodeRecord(key, before));
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->tenant_uid, before.tenant_uid);
  EXPECT_EQ(after->tenant_id, before.tenant_id);
  EXPECT_EQ(after->upstream_id, before.upstream_id);
  EXPECT_EQ(after->protocol, before.protocol);
  EXPECT_EQ(after->series, before.series);
  EXPECT_EQ(after->samples, before.samples);
  EXPECT_EQ(after->exemplars, before.exemplars);
  EXPECT_EQ(after->enqueued, before.enqueued);
  EXPECT_EQ(after->hash, before.hash);
  EXPECT_EQ(after->body, before.body);
}

TEST(RecordTest, KeysSortByTenantThenPlace) {
  const std::string a(kTenantUidBytes, 'a');
  const std::string b(kTenantUidBytes, 'b');
  EXPECT_LT(RecordKey(a, 255), RecordKey(a, 256));
  EXPECT_LT(RecordKey(a, 256), RecordKey(a, uint64_t{1} << 40));
  EXPECT_LT(RecordKey(a, ~uint64_t{0}), RecordKey(b, 0));
}

TEST(RecordTest, EveryChangedBitIsNoticed) {
  const std::string key = RecordKey(Example().tenant_uid, 9);
  const std::string good = EncodeRecord(key, Example());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(DecodeRecord(key, bad), StatusIs(kDataLoss)) << bit;
  }
}

TEST(RecordTest, EveryCutAndAnythingAppendedIsNoticed) {
  const std::string key = RecordKey(Example().tenant_uid, 9);
  const std::string good = EncodeRecord(key, Example());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(DecodeRecord(key, good.substr(0, size)), StatusIs(kDataLoss));
  }
  EXPECT_THAT(DecodeRecord(key, good + '\0'), StatusIs(kDataLoss));
}

TEST(RecordTest, IsNotTakenForThatOfAnotherTenantOrPlace) {
  const std::string key = RecordKey(Example().tenant_uid, 9);
  const std::string value = EncodeRecord(key, Example());
  EXPECT_THAT(DecodeRecord(RecordKey(Example().tenant_uid, 10), value),
              StatusIs(kDataLoss));
  EXPECT_THAT(
      DecodeRecord(RecordKey(std::string(kTenantUidBytes, 'v'), 9), value),
      StatusIs(kDataLoss));
}

TEST(RecordTest, AnIndexEntryComesBackAndItsChangedBitsAreNoticed) {
  const std::string key = RecordKey(Example().tenant_uid, 9);
  const std::string good =
      EncodeIndexEntry(key, {12, 34, absl::FromUnixMicros(56)});
  const auto entry = DecodeIndexEntry(key, good);
  ASSERT_THAT(entry, IsOk());
  EXPECT_EQ(entry->bytes, 12u);
  EXPECT_EQ(entry->samples, 34);
  EXPECT_EQ(entry->enqueued, absl::FromUnixMicros(56));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(DecodeIndexEntry(key, bad), StatusIs(kDataLoss)) << bit;
  }
}

}  // namespace
}  // namespace insula::spool
