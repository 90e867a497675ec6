#include "services/ingest_gateway/answer_memory.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace insula::ingest_gateway {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr absl::Time kStart = absl::UnixEpoch();
const KeptPart kRed = {"uid of red", 1};
const KeptPart kBlue = {"uid of blue", 2};

TEST(AnswerMemoryTest, RemembersForAWhile) {
  AnswerMemory memory({.keep = absl::Minutes(5)});
  const auto key = memory.KeyOf("binding/a", "body");
  EXPECT_TRUE(memory.empty());
  memory.Remember(key, {kRed}, kStart);
  EXPECT_FALSE(memory.empty());

  EXPECT_THAT(memory.Find(key, kStart + absl::Minutes(4)),
              UnorderedElementsAre(kRed));
  EXPECT_THAT(memory.Find(key, kStart + absl::Minutes(5)), IsEmpty());
  EXPECT_TRUE(memory.empty());
}

TEST(AnswerMemoryTest, TellsCallersAndBodiesApart) {
  AnswerMemory memory({});
  memory.Remember(memory.KeyOf("binding/a", "body"), {kRed}, kStart);

  EXPECT_THAT(memory.Find(memory.KeyOf("binding/b", "body"), kStart),
              IsEmpty());
  EXPECT_THAT(memory.Find(memory.KeyOf("binding/a", "Body"), kStart),
              IsEmpty());
}

TEST(AnswerMemoryTest, HashesDifferFromProcessToProcess) {
  const AnswerMemory one({});
  const AnswerMemory other({});
  EXPECT_NE(one.KeyOf("a", "body").body, other.KeyOf("a", "body").body);
}

TEST(AnswerMemoryTest, AddsWhatTheNextAttemptKept) {
  AnswerMemory memory({.keep = absl::Minutes(5)});
  const auto key = memory.KeyOf("a", "body");
  memory.Remember(key, {kRed}, kStart);
  memory.Remember(key, {kRed, kBlue}, kStart + absl::Minutes(4));

  EXPECT_THAT(memory.Find(key, kStart + absl::Minutes(8)),
              UnorderedElementsAre(kRed, kBlue));
}

TEST(AnswerMemoryTest, ForgetsAfterTheFinalAnswer) {
  AnswerMemory memory({});
  const auto key = memory.KeyOf("a", "body");
  memory.Remember(key, {kRed}, kStart);
  memory.Forget(key);

  EXPECT_THAT(memory.Find(key, kStart), IsEmpty());
  EXPECT_TRUE(memory.empty());
}

TEST(AnswerMemoryTest, ForgetsTheOldestForWantOfRoom) {
  AnswerMemory memory({.max_parts = 3});
  const auto first = memory.KeyOf("a", "1");
  const auto second = memory.KeyOf("a", "2");
  const auto third = memory.KeyOf("a", "3");
  EXPECT_EQ(memory.Remember(first, {kRed, kBlue}, kStart), 0u);
  EXPECT_EQ(memory.Remember(second, {kRed}, kStart), 0u);
  EXPECT_EQ(memory.Remember(third, {kRed}, kStart), 2u);

  EXPECT_THAT(memory.Find(first, kStart), IsEmpty());
  EXPECT_THAT(memory.Find(second, kStart), UnorderedElementsAre(kRed));
  EXPECT_THAT(memory.Find(third, kStart), UnorderedElementsAre(kRed));
}

TEST(AnswerMemoryTest, DoesNotTakeWhatIsLargerThanAllItsRoom) {
  AnswerMemory memory({.max_parts = 1});
  const auto key = memory.KeyOf("a", "1");
  EXPECT_EQ(memory.Remember(key, {kRed, kBlue}, kStart), 2u);
  EXPECT_TRUE(memory.empty());
}

}  // namespace
}  // namespace insula::ingest_gateway
