#include "libs/kube/object_cache.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/kube/json.h"
#include "libs/status/status_matchers.h"

namespace insula::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Json Make(const std::string& name, int version, const std::string& uid = "u") {
  Json object = Json::object();
  object["metadata"]["namespace"] = "x";
  object["metadata"]["name"] = name;
  object["metadata"]["uid"] = absl::StrCat(name, uid);
  object["metadata"]["resourceVersion"] = absl::StrCat(version);
  object["metadata"]["managedFields"] = Json::array({1, 2});
  return object;
}

std::string VersionOf(const Object& object) {
  return object == nullptr ? "-"
                           : StringAt(*object, {"metadata", "resourceVersion"});
}

// "x/a 1→2", "-" for nothing.
std::vector<std::string> Texts(const std::vector<Change>& changes) {
  std::vector<std::string> texts;
  for (const Change& change : changes) {
    texts.push_back(absl::StrCat(change.key, " ", VersionOf(change.before), "→",
                                 VersionOf(change.after)));
  }
  return texts;
}

class ObjectCacheTest : public testing::Test {
 protected:
  std::vector<std::string> Put(Json object, size_t bytes = 10) {
    std::vector<Change> changes;
    EXPECT_THAT(cache_.Put(std::move(object), bytes, &changes), IsOk());
    return Texts(changes);
  }

  ObjectCache cache_{{.max_objects = 3, .max_bytes = 100}};
};

TEST_F(ObjectCacheTest, SaysWhatChanges) {
  EXPECT_THAT(Put(Make("a", 1)), ElementsAre("x/a -→1"));
  EXPECT_THAT(Put(Make("a", 1)), IsEmpty());
  EXPECT_THAT(Put(Make("a", 2)), ElementsAre("x/a 1→2"));
  std::vector<Change> changes;
  cache_.Remove(Make("a", 3), &changes);
  cache_.Remove(Make("a", 3), &changes);
  EXPECT_THAT(Texts(changes), ElementsAre("x/a 2→-"));
  EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(ObjectCacheTest, AnObjectMadeAgainIsAnotherOne) {
  Put(Make("a", 1, "first"));
  EXPECT_THAT(Put(Make("a", 2, "second")), ElementsAre("x/a 1→-", "x/a -→2"));
  ObjectCache newer({});
  std::vector<Change> changes;
  ASSERT_THAT(newer.Put(Make("a", 3, "third"), 1, &changes), IsOk());
  changes.clear();
  cache_.Replace(std::move(newer), &changes);
  EXPECT_THAT(Texts(changes), ElementsAre("x/a 2→-", "x/a -→3"));
}

TEST_F(ObjectCacheTest, ComparesAListWithWhatItHas) {
  Put(Make("gone", 1));
  Put(Make("same", 2));
  Put(Make("changed", 3));
  const Object same = cache_.Find("x/same");
  ObjectCache newer({.max_objects = 3, .max_bytes = 100});
  std::vector<Change> changes;
  for (Json object : {Make("same", 2), Make("changed", 4), Make("new", 5)}) {
    ASSERT_THAT(newer.Put(std::move(object), 1, &changes), IsOk());
  }
  changes.clear();
  cache_.Replace(std::move(newer), &changes);
  EXPECT_THAT(Texts(changes),
              ElementsAre("x/gone 1→-", "x/changed 3→4", "x/new -→5"));
  EXPECT_EQ(cache_.Find("x/same"), same);
  EXPECT_EQ(cache_.Find("x/gone"), nullptr);
}

TEST_F(ObjectCacheTest, DropsWhoManagesFields) {
  Put(Make("a", 1));
  EXPECT_TRUE(At(*cache_.Find("x/a"), {"metadata", "managedFields"}).is_null());
}

TEST_F(ObjectCacheTest, HasLimitsAndStaysWhenTheyAreReached) {
  Put(Make("a", 1));
  Put(Make("b", 1));
  Put(Make("c", 1));
  std::vector<Change> changes;
  EXPECT_THAT(cache_.Put(Make("d", 1), 1, &changes),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(
      cache_.Put(Make("a", 2), 81, &changes),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("100 bytes")));
  EXPECT_THAT(changes, IsEmpty());
  EXPECT_EQ(VersionOf(cache_.Find("x/a")), "1");
  // What it has of the object itself is free again.
  EXPECT_THAT(Put(Make("a", 2), 80), ElementsAre("x/a 1→2"));
  cache_.Remove(Make("a", 2), &changes);
  EXPECT_THAT(Put(Make("d", 1), 80), ElementsAre("x/d -→1"));
}

TEST_F(ObjectCacheTest, RefusesWhatHasNoIdentity) {
  for (const char* field : {"name", "uid", "resourceVersion"}) {
    Json object = Make("a", 1);
    object["metadata"].erase(field);
    std::vector<Change> changes;
    EXPECT_THAT(cache_.Put(std::move(object), 1, &changes),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  }
  for (const char* text : {"{}", "[]", "7", R"({"metadata": []})"}) {
    std::vector<Change> changes;
    EXPECT_THAT(cache_.Put(ParseJson(text).value(), 1, &changes),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(KeyOfTest, LeavesOutANamespaceThatIsNotThere) {
  Json object = Make("a", 1);
  EXPECT_EQ(KeyOf(object), "x/a");
  object["metadata"].erase("namespace");
  EXPECT_EQ(KeyOf(object), "a");
}

TEST(JsonTest, RefusesWhatIsTooDeep) {
  const auto nested = [](size_t depth) {
    return absl::StrCat(std::string(depth, '['), "\"\\\"[[\"",
                        std::string(depth, ']'));
  };
  EXPECT_THAT(ParseJson(nested(500)), IsOk());
  EXPECT_THAT(ParseJson(nested(501)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deep")));
  EXPECT_THAT(ParseJson(std::string(10'000'000, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  for (const char* text : {"", "{", "nul", "{\"a\":1,}", "\"\xff\""}) {
    EXPECT_THAT(ParseJson(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(JsonTest, FindsValuesByTheirPath) {
  const Json json = ParseJson(R"({"a": {"b": "c", "n": 1}})").value();
  EXPECT_EQ(StringAt(json, {"a", "b"}), "c");
  EXPECT_EQ(StringAt(json, {"a", "n"}), "");
  EXPECT_EQ(StringAt(json, {"a", "b", "c"}), "");
  EXPECT_TRUE(At(json, {"x"}).is_null());
}

}  // namespace
}  // namespace insula::kube
