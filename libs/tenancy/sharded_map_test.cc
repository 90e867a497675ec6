#include "libs/tenancy/sharded_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::tenancy {
namespace {

struct Item {
  std::string key;
  int value;
};
struct KeyOf {
  absl::string_view operator()(const Item& item) const { return item.key; }
};
using Map = ShardedMap<Item, KeyOf>;

std::shared_ptr<const Item> MakeItem(std::string key, int value) {
  return std::make_shared<const Item>(Item{std::move(key), value});
}

std::map<std::string, int> Contents(const Map& map) {
  std::map<std::string, int> contents;
  map.ForEach([&contents](const Item& item) {
    EXPECT_TRUE(contents.emplace(item.key, item.value).second) << item.key;
  });
  EXPECT_EQ(map.size(), contents.size());
  return contents;
}

TEST(ShardedMapTest, IsEmptyAtFirst) {
  const Map map;
  EXPECT_EQ(map.size(), 0U);
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_TRUE(Contents(map).empty());
}

TEST(ShardedMapTest, ChangesOfACopyLeaveTheOriginal) {
  Map before;
  Map::Editor(&before).Put(MakeItem("a", 1));
  Map after = before;
  {
    Map::Editor editor(&after);
    editor.Put(MakeItem("a", 2));
    editor.Put(MakeItem("b", 3));
  }
  Map erased = after;
  Map::Editor(&erased).Erase("a");

  EXPECT_EQ(Contents(before), (std::map<std::string, int>{{"a", 1}}));
  EXPECT_EQ(Contents(after), (std::map<std::string, int>{{"a", 2}, {"b", 3}}));
  EXPECT_EQ(Contents(erased), (std::map<std::string, int>{{"b", 3}}));
}

TEST(ShardedMapTest, ErasingWhatIsNotThereChangesNothing) {
  Map map;
  Map::Editor editor(&map);
  editor.Erase("a");
  editor.Put(MakeItem("b", 1));
  editor.Erase("a");
  EXPECT_EQ(Contents(map), (std::map<std::string, int>{{"b", 1}}));
}

// Random edits on random versions agree with std::map, and no version ever
// changes once another was made from it.
TEST(ShardedMapTest, AgreesWithAModelOverManyVersions) {
  std::mt19937 random(7);
  std::vector<std::pair<Map, std::map<std::string, int>>> versions(1);
  for (int round = 0; round < 60; ++round) {
    auto [map, model] = versions[random() % versions.size()];
    {
      Map::Editor editor(&map);
      for (int i = 0; i < 400; ++i) {
        const std::string key = absl::StrCat("key-", random() % 3000);
        if (random() % 3 == 0) {
          editor.Erase(key);
          model.erase(key);
        } else {
          const int value = static_cast<int>(random() % 1000);
          editor.Put(MakeItem(key, value));
          model[key] = value;
        }
      }
    }
    versions.emplace_back(std::move(map), std::move(model));
  }
  for (const auto& [map, model] : versions) {
    ASSERT_EQ(Contents(map), model);
    for (int i = 0; i < 3000; i += 7) {
      const std::string key = absl::StrCat("key-", i);
      const Item* found = map.Find(key);
      const auto expected = model.find(key);
      ASSERT_EQ(found != nullptr, expected != model.end()) << key;
      if (found != nullptr) {
        ASSERT_EQ(found->value, expected->second);
      }
    }
  }
}

}  // namespace
}  // namespace insula::tenancy
