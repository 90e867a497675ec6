#include "libs/tenancy/set_digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::tenancy {
namespace {

namespace v1 = ::insula::registry::v1;
using testing::Eq;
using testing::IsEmpty;
using testing::Ne;

TEST(SetDigestTest, TheOrderDoesNotMatter) {
  SetDigest one;
  one.Add(v1::KIND_TENANT, "red", 1);
  one.Add(v1::KIND_TENANT, "blue", 2);
  SetDigest other;
  other.Add(v1::KIND_TENANT, "blue", 2);
  other.Add(v1::KIND_TENANT, "red", 1);
  EXPECT_THAT(one.kinds(), Eq(other.kinds()));
}

TEST(SetDigestTest, RemovingUndoesAdding) {
  SetDigest digest;
  digest.Add(v1::KIND_TENANT, "red", 1);
  const SetDigest::Sum red = digest.OfKind(v1::KIND_TENANT);
  digest.Add(v1::KIND_TENANT, "blue", 2);
  digest.Add(v1::KIND_JOB, "j", 3);
  digest.Remove(v1::KIND_TENANT, "blue", 2);
  digest.Remove(v1::KIND_JOB, "j", 3);
  EXPECT_THAT(digest.OfKind(v1::KIND_TENANT), Eq(red));
  EXPECT_THAT(digest.OfKind(v1::KIND_JOB), Eq(SetDigest::Sum()));
  digest.Remove(v1::KIND_TENANT, "red", 1);
  EXPECT_THAT(digest.kinds(), IsEmpty());
}

TEST(SetDigestTest, KindIdAndRevisionAllCount) {
  SetDigest digest;
  digest.Add(v1::KIND_TENANT, "red", 1);
  const uint64_t sum = digest.OfKind(v1::KIND_TENANT).sum;
  SetDigest id;
  id.Add(v1::KIND_TENANT, "blue", 1);
  EXPECT_THAT(id.OfKind(v1::KIND_TENANT).sum, Ne(sum));
  SetDigest revision;
  revision.Add(v1::KIND_TENANT, "red", 2);
  EXPECT_THAT(revision.OfKind(v1::KIND_TENANT).sum, Ne(sum));
  SetDigest kind;
  kind.Add(v1::KIND_LIMITS, "red", 1);
  EXPECT_THAT(kind.OfKind(v1::KIND_LIMITS).sum, Ne(sum));
  // Two objects of one number don't cancel out.
  digest.Add(v1::KIND_TENANT, "red", 1);
  EXPECT_THAT(digest.OfKind(v1::KIND_TENANT).count, Eq(2));
  EXPECT_THAT(digest.OfKind(v1::KIND_TENANT).sum, Eq(2 * sum));
}

// The number goes over the wire: followers of other versions compute it too.
TEST(SetDigestTest, TheNumberOfAnObjectIsAsDocumented) {
  SetDigest digest;
  digest.Add(v1::KIND_TENANT, "red", 258);
  // printf '\1\0\0\0\2\1\0\0\0\0\0\0red' | xxhsum -H3
  EXPECT_THAT(digest.OfKind(v1::KIND_TENANT).sum, Eq(0x602d7750f5baa522ULL));
}

}  // namespace
}  // namespace insula::tenancy
