#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tenant_registry/watch_encoder.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::IsEmpty;

ChangePtr ChangeOf(int64_t revision, std::vector<Change::Item> items) {
  return std::make_shared<const Change>(Change{revision, std::move(items)});
}
Change::Item Item(absl::string_view id, absl::string_view name) {
  auto object = std::make_shared<v1::Object>();
  object->mutable_meta()->set_kind(v1::KIND_TENANT);
  object->mutable_meta()->set_id(std::string(id));
  object->mutable_tenant()->set_display_name(std::string(name));
  return {KeyOf(*object), object};
}

TEST(MergeChangesTest, TheLastChangeOfAnObjectCounts) {
  auto all = [](v1::Kind) { return true; };
  const auto deltas =
      MergeChanges({ChangeOf(4, {Item("a", "one"), Item("b", "one")}),
                    ChangeOf(5, {{ObjectKey{v1::KIND_TENANT, "b"}, nullptr}}),
                    ChangeOf(6, {Item("a", "two")})},
                   all, 1 << 20);
  ASSERT_THAT(deltas.size(), Eq(1u));
  EXPECT_THAT(deltas[0].revision(), Eq(6));
  ASSERT_THAT(deltas[0].puts_size(), Eq(1));
  EXPECT_THAT(deltas[0].puts(0).tenant().display_name(), Eq("two"));
  ASSERT_THAT(deltas[0].deletes_size(), Eq(1));
  EXPECT_THAT(deltas[0].deletes(0).id(), Eq("b"));
}

TEST(MergeChangesTest, ARevisionIsNeverSplit) {
  auto all = [](v1::Kind) { return true; };
  const std::string big(600, 'x');
  const auto deltas =
      MergeChanges({ChangeOf(1, {Item("a", big)}),
                    ChangeOf(2, {Item("b", big), Item("c", big)}),
                    ChangeOf(3, {Item("d", big)})},
                   all, 1000);
  ASSERT_THAT(deltas.size(), Eq(3u));
  EXPECT_THAT(deltas[0].revision(), Eq(1));
  EXPECT_THAT(deltas[1].puts_size(), Eq(2));
  EXPECT_THAT(deltas[2].revision(), Eq(3));
}

TEST(MergeChangesTest, KindsNotWantedAreLeftOut) {
  auto none = [](v1::Kind) { return false; };
  EXPECT_THAT(MergeChanges({ChangeOf(1, {Item("a", "x")})}, none, 1000),
              IsEmpty());
}

}  // namespace
}  // namespace insula::tenant_registry
