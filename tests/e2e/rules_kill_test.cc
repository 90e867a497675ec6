// Kills rule-sync at random moments of a sync, of both kinds of target: the
// next process brings all in step, and what is not ours is never touched.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <set>

#include "tests/e2e/rules_fixture.h"

namespace insula::e2e {
namespace {

using ::testing::Ge;
using ::testing::SizeIs;

constexpr int kKills = 50;
// So many are enough where they take longer than that.
constexpr int kLeastKills = 20;
constexpr absl::Duration kEnough = absl::Minutes(4);
constexpr int kFilesOfATenant = 4;

class RulesKillTest : public RulesFixture {
 protected:
  // Of one version of all rules: the groups of a file by tenant and name.
  using Version =
      std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

  static uint64_t Seed() {
    const char* const given = std::getenv("INSULA_SEED");
    uint64_t seed = 0;
    if (given != nullptr && absl::SimpleAtoi(given, &seed)) return seed;
    return std::random_device()();
  }

  int Random(int below) {
    return std::uniform_int_distribution<int>(0, below - 1)(random_);
  }

  // Changes files, groups and expressions, but leaves enough that nothing is
  // held. The number in the expressions tells the version.
  void WriteVersion(int number) {
    version_.clear();
    for (const char* tenant : {"red", "blue", "green"}) {
      for (int i = 0; i < kFilesOfATenant; ++i) {
        const std::string file = absl::StrCat("f", i, ".yaml");
        // The first file is always there.
        if (i > 0 && Random(4) == 0) {
          SetRules(tenant, file, "");
          continue;
        }
        std::string text = "groups:\n";
        std::vector<std::string>& groups = version_[{tenant, file}];
        for (int j = 0; j <= Random(2); ++j) {
          groups.push_back(absl::StrCat("g", j));
          absl::StrAppend(&text, "- name: g", j,
                          "\n  rules:\n  - record: 'r:", i, ":", j,
                          "'\n    expr: up * ", number, "\n");
        }
        SetRules(tenant, file, text);
      }
    }
  }

  // Whether all of the version, and nothing else of ours, is everywhere.
  bool IsInStep(int number) {
    std::set<std::pair<std::string, std::string>> ruler;
    size_t loaded = 0;
    for (const auto& [place, groups] : version_) {
      if (place.first == "green") {
        const std::string stem = place.second.substr(0, 2);
        for (const std::string& group : groups) {
          ruler.insert({"insula/" + stem, group});
        }
      } else {
        loaded += groups.size();
      }
    }
    if (OurPlaces() != ruler || Ours().size() != loaded) return false;
    const std::string mark = absl::StrCat("* ", number);
    for (const auto& place : ruler) {
      const auto group = ruler_.Find("verdant", place);
      if (!group || !absl::StrContains(group->rules[0].expr, mark)) {
        return false;
      }
    }
    for (const auto& [name, text] : Files()) {
      if (foreign_files_.contains(name)) continue;
      // No trial and no temporary file is left, and all have the version.
      if (!absl::EndsWith(name, ".yaml") ||
          !absl::StrContains(text, mark + "\"")) {
        return false;
      }
    }
    return LoadedVersionIs(mark);
  }

  bool LoadedVersionIs(const std::string& mark) const {
    const auto json = nlohmann::json::parse(
        HttpSend(prometheus_port_, "GET", "/api/v1/rules").body, nullptr,
        false);
    if (!json.is_object() || !json.contains("data")) return false;
    for (const auto& group : json["data"]["groups"]) {
      const std::string file =
          std::filesystem::path(group["file"].get<std::string>()).filename();
      if (foreign_files_.contains(file)) continue;
      if (!absl::EndsWith(group["rules"][0]["query"].get<std::string>(),
                          mark)) {
        return false;
      }
    }
    return true;
  }

  std::set<std::pair<std::string, std::string>> OurPlaces() const {
    std::set<std::pair<std::string, std::string>> places;
    for (const auto& place : ruler_.Places("verdant")) {
      if (absl::StartsWith(place.first, "insula/")) places.insert(place);
    }
    return places;
  }
  std::multimap<std::string, std::string> Ours() const {
    auto loaded = Loaded();
    for (const auto& [name, text] : foreign_files_) loaded.erase(name);
    return loaded;
  }

  void PlantForeign() {
    foreign_files_ = {
        {"theirs.yaml",
         "groups:\n- name: t\n  rules: [{record: t, expr: up}]\n"},
        {"insula-mine.yaml", "groups: []\n"},
        {"insula-0123456789abcdef0123456789abcdef.yaml", "groups: []\n"},
        {"theirs.yaml.good", "kept"},
        {"theirs.yaml.tmp", "kept"},
        {"notes.txt", "kept"}};
    for (const auto& [name, text] : foreign_files_) {
      std::ofstream(dir_.path() + "/files/main/" + name) << text;
    }
    constexpr char kGroup[] = "name: x\nrules: [{record: a, expr: up}]";
    for (const char* name : {"theirs", "insula", "insula2/f0", "x/insula/f0"}) {
      ruler_.Plant("verdant", name, kGroup);
      ruler_.Plant("other", name, kGroup);
    }
    ruler_.Plant("other", "insula/f0", kGroup);
  }
  // Whether some of it is of the version and some is not, or a file is on
  // trial. Also while rule-sync is at work, and the ruler at its last request.
  bool IsHalfDone(int number) const {
    const std::string mark = absl::StrCat("* ", number);
    int done = 0;
    int open = 0;
    for (const auto& place : OurPlaces()) {
      const auto group = ruler_.Find("verdant", place);
      if (!group) continue;  // Gone meanwhile.
      ++(absl::StrContains(group->rules[0].expr, mark) ? done : open);
    }
    for (const auto& [name, text] : Files()) {
      if (foreign_files_.contains(name)) continue;
      if (!absl::EndsWith(name, ".yaml")) return true;
      ++(absl::StrContains(text, mark + "\"") ? done : open);
    }
    return done > 0 && open > 0;
  }
  // A sync of all takes tens of writes that go to the disk itself.
  bool AwaitStep(int number) {
    return WaitUntil([&] { return IsInStep(number); }, absl::Minutes(2));
  }
  // Until a random moment of the sync to the version. Every other time it is
  // amid the writes, by what there is to see: how long they take, and how long
  // it is until the first, is different on each machine.
  void AwaitMoment(int number, absl::Duration sync) {
    const bool amid = Random(2) == 0;
    const absl::Time moment =
        absl::Now() + (amid ? absl::Minutes(2) : sync * Random(1000) / 1000);
    while (absl::Now() < moment) {
      if (amid && (IsHalfDone(number) || IsInStep(number))) return;
    }
  }
  // All that is not ours, to compare.
  std::string Foreign() const {
    std::string all = ruler_.Dump("other");
    for (const auto& place : ruler_.Places("verdant")) {
      if (absl::StartsWith(place.first, "insula/")) continue;
      absl::StrAppend(&all, place.first, "/", place.second, " ",
                      ruler_.Find("verdant", place)->rules[0].expr, "\n");
    }
    const auto files = Files();
    for (const auto& [name, text] : foreign_files_) {
      const auto it = files.find(name);
      absl::StrAppend(&all, name, "=",
                      it == files.end() ? "(gone)" : it->second, "\n");
    }
    return all;
  }

  std::mt19937_64 random_;
  Version version_;
  std::map<std::string, std::string> foreign_files_;
};

TEST_F(RulesKillTest, StateConvergesAndNothingForeignIsTouched) {
  const uint64_t seed = Seed();
  random_.seed(seed);
  std::printf("seed %llu; repeat with INSULA_SEED\n",
              static_cast<unsigned long long>(seed));
  PlantForeign();
  const std::string foreign = Foreign();
  int number = 1;
  WriteVersion(number);
  StartAll();
  ASSERT_TRUE(AwaitStep(number));

  // How long a sync takes here, from a change to its end.
  WriteVersion(++number);
  const absl::Time begin = absl::Now();
  rule_sync_->Signal(SIGHUP);
  ASSERT_TRUE(AwaitStep(number));
  const absl::Duration sync = absl::Now() - begin;

  int unfinished = 0;
  int half_done = 0;
  int kill = 0;
  for (; kill < kKills; ++kill) {
    if (kill >= kLeastKills && absl::Now() > begin + kEnough) break;
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", kill ", kill));
    WriteVersion(++number);
    rule_sync_->Signal(SIGHUP);
    AwaitMoment(number, sync);
    rule_sync_->Kill();
    if (!IsInStep(number)) ++unfinished;
    if (IsHalfDone(number)) ++half_done;
    ASSERT_EQ(Foreign(), foreign);
    // Whatever it has left, Prometheus can start with it.
    if (kill % 10 == 0) {
      prometheus_->Kill();
      StartPrometheus();
    }
    StartRuleSync();
    ASSERT_TRUE(AwaitStep(number));
    ASSERT_EQ(Foreign(), foreign);
  }
  std::printf(
      "%d kills, %d before the sync had ended, %d of them amid its writes\n",
      kill, unfinished, half_done);
  // Otherwise nothing has been tested.
  EXPECT_THAT(unfinished, Ge(kill / 4));
  EXPECT_THAT(half_done, Ge(kill / 10));
  AwaitReady();
  EXPECT_TRUE(Becomes("red", "f0.yaml", "g0", RuleGroup::STATE_ACTIVE));
}

}  // namespace
}  // namespace insula::e2e
