// Where the pieces of a text are cut makes no difference, whatever the text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/exposition/recorder.h"
#include "libs/exposition/text_generator.h"
#include "libs/exposition/text_parser.h"

namespace insula::exposition {
namespace {

// All that a parser says about a text: the calls, then the end.
std::vector<std::string> Outcome(const ParserOptions& options,
                                 const std::vector<std::string>& pieces) {
  Recorder recorder;
  TextParser parser(options, &recorder);
  absl::Status status;
  for (const std::string& piece : pieces) {
    // On the heap, without spare room: ASan guards its end.
    const std::vector<char> copy(piece.begin(), piece.end());
    status = parser.Feed(absl::string_view(copy.data(), copy.size()));
    if (!status.ok()) break;
  }
  if (status.ok()) status = parser.Finish();
  std::vector<std::string> outcome = recorder.calls();
  outcome.push_back(status.ToString());
  return outcome;
}

class TextCutTest : public testing::TestWithParam<uint32_t> {};

TEST_P(TextCutTest, PiecesMakeNoDifference) {
  TextGenerator generator(GetParam());
  int whole = 0;
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    ParserOptions options;
    if (generator.Below(2) == 0) options.format = Format::kOpenMetrics;
    options.utf8_names = generator.Below(2) == 0;
    options.max_line_bytes = generator.Below(4) == 0 ? 40 : 1000;
    const std::string text = generator.Text(
        options.format == Format::kOpenMetrics, options.utf8_names);
    const std::vector<std::string> expected = Outcome(options, {text});
    expected.back() == "OK" ? ++whole : ++refused;
    std::vector<std::string> bytes;
    for (const char c : text) bytes.emplace_back(1, c);
    ASSERT_EQ(Outcome(options, bytes), expected) << text;
    for (int i = 0; i < 4; ++i) {
      ASSERT_EQ(Outcome(options, generator.Cut(text)), expected) << text;
    }
    for (size_t i = 0; i <= text.size(); ++i) {
      ASSERT_EQ(Outcome(options, {text.substr(0, i), text.substr(i)}), expected)
          << text << "\ncut at " << i;
    }
  }
  EXPECT_GT(whole, 150);
  EXPECT_GT(refused, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TextCutTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace insula::exposition
