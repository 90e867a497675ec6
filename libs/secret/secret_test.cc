#include "libs/secret/secret.h"

#include <gmock/gmock.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/secret/secret_format.h"

namespace insula {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kCanary[] = "canary-1f0c7e9b-longer-than-a-short-string";

TEST(SecretTest, OnlyRevealHasTheText) {
  const Secret secret{std::string(kCanary)};
  EXPECT_FALSE(secret.empty());
  EXPECT_THAT(secret.Reveal(), Eq(kCanary));
  static_assert(!std::is_convertible_v<Secret, std::string>);
  static_assert(!std::is_convertible_v<Secret, absl::string_view>);
  static_assert(!std::is_constructible_v<std::string, Secret>);
  static_assert(!std::is_convertible_v<std::string, Secret>);
  static_assert(!std::is_constructible_v<Secret, const std::string&>);
}

TEST(SecretTest, PrintsRedactedInAStream) {
  std::ostringstream out;
  out << Secret(std::string(kCanary)) << " " << Secret();
  EXPECT_THAT(out.str(), Eq("<redacted> <redacted>"));
}

TEST(SecretTest, PrintsRedactedInAMessageOfATest) {
  EXPECT_THAT(testing::PrintToString(Secret(std::string(kCanary))),
              Eq("<redacted>"));
}

struct FakeSink {
  void Append(absl::string_view text) { absl::StrAppend(&out, text); }
  std::string out;
};

TEST(SecretTest, PrintsRedactedForAbseil) {
  FakeSink sink;
  AbslStringify(sink, Secret(std::string(kCanary)));
  EXPECT_THAT(sink.out, Eq("<redacted>"));
}

TEST(SecretTest, PrintsRedactedForFmtAndSpdlog) {
  const Secret secret{std::string(kCanary)};
  EXPECT_THAT(fmt::format("a {} b {:>12}", secret, secret),
              Eq("a <redacted> b   <redacted>"));

  std::ostringstream out;
  spdlog::logger logger("test",
                        std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger.info("password {}", secret);
  logger.flush();
  EXPECT_THAT(out.str(), HasSubstr("password <redacted>"));
  EXPECT_THAT(out.str(), Not(HasSubstr("canary")));
}

TEST(SecretTest, OverwritesTheTextThatItTakes) {
  for (const char* text : {"short", kCanary}) {
    std::string given = text;
    const size_t size = given.size();
    const Secret secret(std::move(given));
    EXPECT_THAT(given, IsEmpty());  // NOLINT(bugprone-use-after-move)
    // What was there lies within its capacity.
    const char* const bytes = given.data();
    EXPECT_THAT(std::string(bytes, size), Eq(std::string(size, '\0')));
    EXPECT_THAT(secret.Reveal(), Eq(text));
  }
}

TEST(SecretTest, CopiesShareTheBytesAndOutliveEachOther) {
  auto first = std::make_unique<Secret>(std::string(kCanary));
  const Secret copy = *first;
  EXPECT_THAT(copy.Reveal().data(), Eq(first->Reveal().data()));
  first.reset();
  EXPECT_THAT(copy.Reveal(), Eq(kCanary));
}

TEST(SecretTest, AnEmptyTextIsAnEmptySecret) {
  EXPECT_TRUE(Secret().empty());
  EXPECT_TRUE(Secret(std::string()).empty());
  EXPECT_THAT(Secret().Reveal(), IsEmpty());
}

TEST(SecretTest, EqualIfTheTextIs) {
  EXPECT_TRUE(Secret(std::string("a")) == Secret(std::string("a")));
  EXPECT_FALSE(Secret(std::string("a")) == Secret(std::string("b")));
  EXPECT_FALSE(Secret(std::string("a")) == Secret(std::string("ab")));
  EXPECT_TRUE(Secret() == Secret(std::string()));
}

TEST(WipeStringTest, LeavesNothingWithinTheCapacity) {
  std::string text = kCanary;
  const size_t size = text.size();
  text.resize(3);  // The rest of the canary lies behind its end.
  WipeString(&text);
  EXPECT_THAT(text, IsEmpty());
  ASSERT_GE(text.capacity(), size);
  const char* const bytes = text.data();
  EXPECT_THAT(std::string(bytes, size), Eq(std::string(size, '\0')));
}

}  // namespace
}  // namespace insula
