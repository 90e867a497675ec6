#include "libs/remote_write/series_memory.h"

#include <gmock/gmock.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/remote_write/encode.h"
#include "libs/remote_write/series_hash.h"

namespace insula::remote_write {
namespace {

using testing::ElementsAre;
using testing::IsNull;
using testing::NotNull;

using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr int64_t kTime = 1'764'000'000'000;
constexpr NameScheme kLegacy = NameScheme::kLegacy;

std::string Encode(const Labels& labels, double value = 1) {
  std::string series;
  for (const auto& [name, text] : labels) AppendLabel(name, text, &series);
  AppendSample(value, kTime, &series);
  return series;
}

std::string Numbered(int n) {
  return Encode({{"__name__", "up"}, {"pod", absl::StrCat("pod-", n)}});
}

class SeriesMemoryTest : public testing::Test {
 protected:
  SeriesMemoryTest() { Start(kLegacy, {"namespace"}); }

  void Start(NameScheme scheme, const std::vector<std::string>& deciding,
             const std::vector<std::string>& removed = {}) {
    deciding_ = deciding.size();
    memory_.Start(scheme, deciding, removed);
    reader_.Start(scheme, deciding, removed);
  }

  const SeriesMemory::Series* Find(const std::string& message) {
    return memory_.Find(message);
  }

  // As a splitter does with a series.
  void Learn(const std::string& message) {
    if (Find(message) != nullptr) return;
    kept_.push_back(std::make_unique<std::string>(message));
    ASSERT_TRUE(reader_.Read(*kept_.back()));
    ASSERT_TRUE(reader_.is_flawless());
    std::vector<absl::string_view> values;
    for (size_t i = 0; i < deciding_; ++i)
      values.push_back(reader_.deciding(i));
    memory_.Remember(reader_, values);
  }

  SeriesMemoryBudget budget_{1 << 20};
  SeriesMemory memory_{&budget_};
  SeriesReader reader_;
  size_t deciding_ = 0;
  std::vector<std::unique_ptr<std::string>> kept_;  // As the reader demands.
};

TEST_F(SeriesMemoryTest, KnowsASeriesBySomeOtherSample) {
  const Labels labels = {
      {"__name__", "up"}, {"namespace", "red"}, {"pod", "long-name-of-a-pod"}};
  EXPECT_THAT(Find(Encode(labels, 1)), IsNull());
  Learn(Encode(labels, 1));

  const auto* const known = Find(Encode(labels, 2.5));

  ASSERT_THAT(known, NotNull());
  EXPECT_EQ(known->hash, reader_.hash());
  EXPECT_EQ(known->longest_value, 18);
  EXPECT_THAT(memory_.names(known->names).names,
              ElementsAre("__name__", "namespace", "pod"));
  EXPECT_EQ(memory_.names(known->names).longest, 9u);
  EXPECT_THAT(memory_.combination(known->combination), ElementsAre("red"));
}

TEST_F(SeriesMemoryTest, KnowsASeriesWhoseSampleIsZero) {
  std::string zero = Encode({{"__name__", "errors_total"}});
  // As Go writes it: a value of 0 is left out.
  zero.replace(zero.size() - 18, 18,
               std::string("\x12\x07\x10", 3) + zero.substr(zero.size() - 6));
  Learn(Encode({{"__name__", "errors_total"}}));

  EXPECT_THAT(Find(zero), NotNull());
}

TEST_F(SeriesMemoryTest, KnowsNoSeriesThatDiffersByABit) {
  const std::string series = Encode({{"__name__", "up"},
                                     {"a", std::string(60, 'x')},
                                     {"pod", "y"},
                                     {"z", ""}});
  const std::string labels = series.substr(0, series.size() - 18);
  const std::string other =
      Encode({{"__name__", "up"}, {"a", std::string(60, 'x')}, {"pod", "y"}});
  Learn(other);
  ASSERT_THAT(Find(other), NotNull());
  for (size_t i = 0; i < other.size() - 18; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = other;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      ASSERT_THAT(Find(changed), IsNull()) << i << " " << bit;
    }
  }
  EXPECT_THAT(Find(series), IsNull());
}

TEST_F(SeriesMemoryTest, TellsNothingOfSeriesWithMoreThanASample) {
  const Labels labels = {{"__name__", "up"}, {"namespace", "red"}};
  Learn(Encode(labels));
  std::string two = Encode(labels);
  AppendSample(3, kTime + 1, &two);
  std::string unknown = Encode(labels);
  unknown.insert(unknown.size() - 18, "\x2a\x01x");

  EXPECT_THAT(Find(two), IsNull());
  EXPECT_THAT(Find(unknown), IsNull());
  EXPECT_THAT(Find(""), IsNull());
  EXPECT_THAT(Find(two.substr(two.size() - 18)), IsNull());
}

TEST_F(SeriesMemoryTest, IsNotDeceivedByALabelThatEndsLikeASample) {
  const std::string sample = Encode({}).substr(0, 18);
  const std::string head =
      "\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x17\x0a\x01z\x12\x12";
  // A label of which the value is a sample's bytes, and nothing behind it.
  const std::string series = head + sample;
  EXPECT_THAT(Find(series), IsNull());
  ASSERT_TRUE(reader_.Read(series));
  memory_.Remember(reader_, {});

  EXPECT_THAT(Find(series), IsNull());
  EXPECT_EQ(memory_.bytes(), 0u);
}

TEST_F(SeriesMemoryTest, AnotherPlanKnowsNothingOfIt) {
  const std::string series =
      Encode({{"__name__", "up"}, {"namespace", "red"}, {"team", "blue"}});
  Learn(series);
  for (const auto& deciding : std::vector<std::vector<std::string>>{
           {}, {"team"}, {"namespace", "team"}}) {
    Start(kLegacy, deciding);
    EXPECT_THAT(Find(series), IsNull());
    Learn(series);
    EXPECT_THAT(Find(series), NotNull());
  }
  Start(kLegacy, {"namespace"}, {"team"});
  EXPECT_THAT(Find(series), IsNull());
  Learn(series);
  EXPECT_THAT(memory_.names(Find(series)->names).removed, ElementsAre(2u));
  Start(NameScheme::kUtf8, {"namespace"});
  EXPECT_THAT(Find(series), IsNull());

  Start(kLegacy, {"namespace"});

  ASSERT_THAT(Find(series), NotNull());
  EXPECT_THAT(memory_.combination(Find(series)->combination),
              ElementsAre("red"));
  EXPECT_THAT(memory_.names(Find(series)->names).removed, ElementsAre());
}

TEST_F(SeriesMemoryTest, GrowsWithinItsBudget) {
  constexpr int kSeries = 16'000;
  for (int i = 0; i < kSeries; ++i) Learn(Numbered(i));
  int known = 0;
  for (int i = 0; i < kSeries; ++i) known += Find(Numbered(i)) != nullptr;
  EXPECT_EQ(known, kSeries);
  // In whatever order they come; the index loses few.
  known = 0;
  for (int i = kSeries; i-- > 0;) known += Find(Numbered(i)) != nullptr;
  EXPECT_GT(known, kSeries * 98 / 100);
  EXPECT_LE(budget_.used(), 1 << 20);
  EXPECT_EQ(budget_.used(), static_cast<int64_t>(memory_.bytes()));
}

TEST_F(SeriesMemoryTest, ServesAPartOfWhatIsTooMuchForIt) {
  constexpr int kSeries = 60'000;
  for (int pass = 0; pass < 4; ++pass) {
    for (int i = 0; i < kSeries; ++i) Learn(Numbered(i));
  }
  int known = 0;
  for (int i = 0; i < kSeries; ++i) known += Find(Numbered(i)) != nullptr;

  // There is room for 16,384 of them.
  EXPECT_GT(known, 14'000);
  // New ones find their place.
  for (int i = 0; i < 800; ++i) Learn(Numbered(kSeries + i));
  known = 0;
  for (int i = 0; i < 800; ++i) known += Find(Numbered(kSeries + i)) != nullptr;
  EXPECT_GT(known, 80);
  EXPECT_LT(known, 110);
  EXPECT_LE(budget_.used(), 1 << 20);
}

TEST_F(SeriesMemoryTest, WithoutABudgetRemembersNothing) {
  SeriesMemoryBudget none(0);
  SeriesMemory memory(&none);
  SeriesMemory without(nullptr);
  for (SeriesMemory* each : {&memory, &without}) {
    each->Start(kLegacy, {}, {});
    reader_.Start(kLegacy, {}, {});
    const std::string series = Numbered(1);
    EXPECT_THAT(each->Find(series), IsNull());
    ASSERT_TRUE(reader_.Read(series));
    each->Remember(reader_, {});
    EXPECT_THAT(each->Find(series), IsNull());
    EXPECT_EQ(each->bytes(), 0u);
  }
}

TEST_F(SeriesMemoryTest, GivesItsBudgetBack) {
  {
    SeriesMemory other(&budget_);
    other.Start(kLegacy, {}, {});
    reader_.Start(kLegacy, {}, {});
    const std::string series = Numbered(1);
    other.Find(series);
    ASSERT_TRUE(reader_.Read(series));
    other.Remember(reader_, {});
    EXPECT_GT(budget_.used(), 0);
  }
  EXPECT_EQ(budget_.used(), 0);
}

TEST_F(SeriesMemoryTest, LearnsNoMoreValuesThanItHasRoomFor) {
  const auto numbered = [](int n) {
    return Encode({{"__name__", "up"}, {"namespace", absl::StrCat("n", n)}});
  };
  SeriesMemoryBudget large(64 << 20);
  SeriesMemory memory(&large);
  memory.Start(kLegacy, {"namespace"}, {});
  for (int i = 0; i < 17'000; ++i) {
    const std::string series = numbered(i);
    ASSERT_THAT(memory.Find(series), IsNull());
    reader_.Start(kLegacy, {"namespace"}, {});
    ASSERT_TRUE(reader_.Read(series));
    memory.Remember(reader_, {reader_.deciding(0)});
  }
  EXPECT_THAT(memory.Find(numbered(0)), NotNull());
  EXPECT_THAT(memory.Find(numbered(16'383)), NotNull());
  EXPECT_THAT(memory.Find(numbered(16'384)), IsNull());
}

TEST_F(SeriesMemoryTest, LearnsOfNoMorePlansThanItHasRoomFor) {
  for (int i = 1; i < 40; ++i) {
    Start(kLegacy, {absl::StrCat("label", i)});
    Learn(Numbered(1));
    EXPECT_EQ(Find(Numbered(1)) != nullptr, i < 32) << i;
  }
}

class KnownSeriesTest : public testing::Test {
 protected:
  KnownSeriesTest() {
    memory_.Start(kLegacy, {}, {});
    reader_.Start(kLegacy, {}, {});
    memory_.Find(message_);
    EXPECT_TRUE(reader_.Read(message_));
    memory_.Remember(reader_, {});
    facts_ = memory_.Find(message_);
    EXPECT_THAT(facts_, NotNull());
  }

  void ExpectAsRead(const KnownSeries& known, size_t i) const {
    EXPECT_EQ(known.begin_of(i), reader_.begin_of(i));
    EXPECT_EQ(known.end_of(i), reader_.end_of(i));
    EXPECT_EQ(known.raw(i), reader_.labels()[i].raw);
    EXPECT_EQ(known.hash_of(i), reader_.hash_of(i));
  }

  const std::string message_ =
      Encode({{"__name__", "up"},
              {"id", std::string(300, 'x')},  // A size of two bytes.
              {"job", "b"},
              {"zone", "a"}});
  SeriesMemoryBudget budget_{1 << 20};
  SeriesMemory memory_{&budget_};
  SeriesReader reader_;
  const SeriesMemory::Series* facts_ = nullptr;
};

TEST_F(KnownSeriesTest, TellsWhereLabelsAre) {
  KnownSeries known;
  known.Set(message_, facts_, &memory_.names(facts_->names));
  ASSERT_EQ(known.label_count(), reader_.label_count());
  for (size_t i = 0; i < known.label_count(); ++i) ExpectAsRead(known, i);
  for (size_t i = known.label_count(); i-- > 0;) ExpectAsRead(known, i);
}

// As where hashes collide.
TEST_F(KnownSeriesTest, OfOtherBytesIsReadUpToTheEndOfTheLabelsAtMost) {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    // An exact copy on the heap, so that ASan guards its end.
    std::vector<char> other(message_.begin(), message_.end());
    other.resize(facts_->end);
    for (char& c : other) {
      if (random() % 4 == 0) c = static_cast<char>(random());
    }
    KnownSeries known;
    known.Set({other.data(), other.size()}, facts_,
              &memory_.names(facts_->names));
    size_t end = 0;
    for (size_t i = 0; i < known.label_count(); ++i) {
      EXPECT_EQ(known.begin_of(i), end);
      end = known.end_of(i);
      EXPECT_EQ(known.raw(i).size(), end - known.begin_of(i));
    }
    EXPECT_EQ(end, facts_->end);
  }
}

TEST(HashOfBlockTest, HangsOnEachByteAndOnNothingElse) {
  std::mt19937 random(5);
  for (size_t size = kMinBlockBytes; size <= kMaxBlockBytes;
       size += size < 100 ? 1 : 97) {
    // Exact copies on the heap, so that ASan guards their ends.
    std::vector<char> text(size);
    for (char& c : text) c = static_cast<char>(random());
    const auto hash = HashOfBlock({text.data(), size});
    const std::vector<char> copy = text;
    ASSERT_EQ(HashOfBlock({copy.data(), size}), hash);
    for (size_t i = 0; i < size; ++i) {
      text[i] = static_cast<char>(text[i] + 1);
      ASSERT_NE(HashOfBlock({text.data(), size}), hash) << size << " " << i;
      text[i] = static_cast<char>(text[i] - 1);
    }
    ASSERT_EQ(HashOfBlock({text.data(), size}), hash);
  }
}

}  // namespace
}  // namespace insula::remote_write
