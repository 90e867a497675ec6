#include "libs/tenancy/tenant_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "libs/status/status_matchers.h"

namespace insula::tenancy {
namespace {

using ::testing::HasSubstr;

TEST(TenantIdTest, AcceptsWhatStoresAccept) {
  for (const std::string& id :
       {std::string("a"), std::string("red"), std::string(150, 'x'),
        std::string(".*"), std::string("(a)"), std::string("a'b"),
        std::string("!x"), std::string("_"), std::string("..."),
        std::string("0"), std::string("user-index.json"), std::string("_a_"),
        std::string("Own-1_2.3*")}) {
    EXPECT_TRUE(TenantId::IsValid(id)) << id;
    const auto parsed = TenantId::Parse(id);
    ASSERT_THAT(parsed, IsOk());
    EXPECT_EQ(parsed->value(), id);
  }
}

TEST(TenantIdTest, RefusesWhatCouldMeanSomethingElse) {
  using std::string;
  for (const string& id : {string(""),
                           string(151, 'x'),
                           string("."),
                           string(".."),
                           string("__"),
                           string("__markers__"),
                           string("__mimir_cluster"),
                           string("user-index.json.gz"),
                           string("a/b"),
                           string("../x"),
                           string("a\\b"),
                           string("%2e%2e"),
                           string("a\0b", 3),
                           string("a|b"),
                           string("a,b"),
                           string("a b"),
                           string(" "),
                           string("a "),
                           string("a\r"),
                           string("a\nb"),
                           string("a\tb"),
                           string("\xc3\xa4"),
                           string("^own$"),
                           string(".+"),
                           string("a:b"),
                           string("a\"b"),
                           string("\x7f")}) {
    EXPECT_FALSE(TenantId::IsValid(id)) << id;
    EXPECT_THAT(TenantId::Parse(id),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << id;
  }
}

TEST(TenantIdTest, SaysWhatIsWrong) {
  EXPECT_THAT(TenantId::Parse("a|b"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'a|b' must be of [A-Za-z0-9!_.*'()-]")));
  EXPECT_THAT(
      TenantId::Parse("__x"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reserved")));
  EXPECT_THAT(TenantId::Parse(""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 to 150 characters, got 0")));
}

TEST(TenantIdTest, DistinguishesCase) {
  EXPECT_NE(*TenantId::Parse("Own"), *TenantId::Parse("own"));
}

TEST(ObjectIdTest, AcceptsPaths) {
  for (const std::string& id :
       {std::string("a"), std::string("ns/name"), std::string(253, 'x'),
        std::string("A.b_c-1"), std::string("..."), std::string("a/..b/c")}) {
    EXPECT_THAT(CheckObjectId(id), IsOk()) << id;
  }
}

TEST(ObjectIdTest, RefusesOthers) {
  for (const std::string& id :
       {std::string(""), std::string(254, 'x'), std::string("."),
        std::string(".."), std::string("/a"), std::string("a/"),
        std::string("a//b"), std::string("a/./b"), std::string("a/../b"),
        std::string("a b"), std::string("a*"), std::string("a\0", 2),
        std::string("\xc3\xa4")}) {
    EXPECT_THAT(CheckObjectId(id), StatusIs(absl::StatusCode::kInvalidArgument))
        << id;
  }
}

}  // namespace
}  // namespace insula::tenancy
