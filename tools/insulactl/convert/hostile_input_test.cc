// Input that wants more than it may have, in bounded time and memory. The test
// runner's time limit is part of what is shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "tools/insulactl/convert/convert.h"

namespace insula::insulactl {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;
constexpr System kFileSystems[] = {System::kCortexTenant, System::kAdobeProxy,
                                   System::kCortexOverrides};

absl::Status ConvertText(System system, std::string text) {
  ConvertInput input;
  input.file = InputFile{"f", std::move(text)};
  return Convert(system, input).status();
}

std::string Repeated(absl::string_view text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

TEST(HostileInputTest, AliasesAreRefusedAtTheFirst) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20'000; ++i) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [*a", i - 1, ", *a", i - 1,
                    ", *a", i - 1, "]\n");
  }

  for (const System system : kFileSystems) {
    EXPECT_THAT(ConvertText(system, bomb),
                StatusIs(kInvalidArgument,
                         HasSubstr("f:1: anchors (&name) are not allowed")));
  }
}

TEST(HostileInputTest, DeepNestingIsRefused) {
  for (const absl::string_view open : {"[", "{a: ", "- ", "? "}) {
    EXPECT_THAT(
        ConvertText(System::kCortexOverrides,
                    absl::StrCat("overrides: \n  ", Repeated(open, 100'000))),
        StatusIs(kInvalidArgument, HasSubstr("f:")));
  }
}

TEST(HostileInputTest, ALongFileIsRefused) {
  EXPECT_THAT(
      ConvertText(System::kCortexTenant, std::string((8 << 20) + 1, ' ')),
      StatusIs(kInvalidArgument, HasSubstr("f: has 8388609 bytes")));
}

TEST(HostileInputTest, ErrorsAreBounded) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&text, "k", i, ": 1\n");

  const absl::Status status = ConvertText(System::kCortexTenant, text);

  EXPECT_THAT(status, StatusIs(kInvalidArgument, HasSubstr("f:20: k19: ")));
  EXPECT_LT(status.message().size(), 20'000);
}

TEST(HostileInputTest, ALongListIsRefused) {
  EXPECT_THAT(ConvertText(System::kCortexTenant,
                          absl::StrCat("tenant:\n  label_list:\n",
                                       Repeated("  - a\n", 150'000))),
              StatusIs(kInvalidArgument, HasSubstr("more than 100000 values")));
}

TEST(HostileInputTest, AsManyTenantsAsThereMayBeAreConverted) {
  std::string text = "overrides:\n";
  for (int i = 0; i < 20'000; ++i) {
    absl::StrAppend(&text, "  t", i,
                    ": {ingestion_rate: 1, max_query_length: 1h}\n");
  }
  ConvertInput input;
  input.file = InputFile{"f", text};

  const auto conversion = Convert(System::kCortexOverrides, input);

  ASSERT_THAT(conversion, IsOk());
  EXPECT_THAT(conversion->objects, SizeIs(40'000));
  // A note for each limit, and not for each tenant.
  EXPECT_LT(conversion->notes.size(), 10);
}

TEST(HostileInputTest, IdsThatLookAlikeGetObjectsOfTheirOwn) {
  std::string text = "overrides:\n";
  for (int i = 0; i < 2'000; ++i) {
    std::string id;
    for (int bit = 0; bit < 11; ++bit) {
      id.push_back((i >> bit) % 2 == 0 ? '(' : ')');
    }
    absl::StrAppend(&text, "  \"", id, "\": {ingestion_rate: ", i + 1, "}\n");
  }
  ConvertInput input;
  input.file = InputFile{"f", text};

  const auto conversion = Convert(System::kCortexOverrides, input);

  ASSERT_THAT(conversion, IsOk());
  EXPECT_THAT(conversion->objects, SizeIs(4'000));
}

TEST(HostileInputTest, ManyAllowedTenantsBecomeABindingForAll) {
  std::string list = "--allow-listed-tenants=";
  for (int i = 0; i < 5'000; ++i) absl::StrAppend(&list, "t", i, ",");
  ConvertInput input;
  input.flags = MakeArguments({list});
  input.token = "t";

  const auto conversion = Convert(System::kOpenMetricsProxy, input);

  ASSERT_THAT(conversion, IsOk());
  for (const auto& object : conversion->objects) {
    if (object.has_binding()) {
      EXPECT_TRUE(object.binding().every_tenant());
    }
  }
}

TEST(HostileInputTest, ManyFlagsAreRefused) {
  ConvertInput input;
  input.flags =
      MakeArguments(std::vector<std::string>(200'000, "--label-value=x"));
  EXPECT_THAT(Convert(System::kPromLabelProxy, input),
              StatusIs(kInvalidArgument, HasSubstr("the flags have ")));
}

TEST(HostileInputTest, ManyTokensAreRefused) {
  ConvertInput input;
  input.tokens = InputFile{
      "t", absl::StrCat("[", Repeated("{\"token\": \"x\"},", 20'000), "]")};
  EXPECT_THAT(Convert(System::kTelemeter, input),
              StatusIs(kInvalidArgument, HasSubstr("has 20000 tokens")));
}

TEST(HostileInputTest, ControlCharactersDoNotReachATerminal) {
  for (const System system : kFileSystems) {
    const absl::Status status = ConvertText(system, "\"\\e[31m\\u202e\": 1\n");
    EXPECT_EQ(status.code(), kInvalidArgument);
    for (const char c : status.message()) EXPECT_GE(c, ' ') << status;
  }
}

}  // namespace
}  // namespace insula::insulactl
