// Where the pieces of a text are cut makes no difference, whatever the text.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/recorder.h"
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

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  std::string Text(bool open_metrics) {
    std::string text;
    for (int i = 1 + Below(6); i > 0; --i) Line(open_metrics, &text);
    if (open_metrics && Below(10) > 0) text += "# EOF\n";
    if (Below(3) == 0) Damage(&text);
    return text;
  }

  std::vector<std::string> Cut(absl::string_view text) {
    std::vector<std::string> pieces;
    const size_t most = 1 + static_cast<size_t>(Below(20));
    while (!text.empty()) {
      const size_t size =
          static_cast<size_t>(Below(static_cast<int>(most) + 1));
      pieces.emplace_back(text.substr(0, size));
      text.remove_prefix(pieces.back().size());
    }
    return pieces;
  }

  int Below(int bound) {
    return static_cast<int>(random_() % static_cast<uint32_t>(bound));
  }

 private:
  template <size_t N>
  std::string Of(const char* const (&choices)[N]) {
    return choices[Below(N)];
  }

  void Line(bool open_metrics, std::string* text) {
    static const char* const kNames[] = {"a", "up", "x:y_total", "\"q.r\""};
    static const char* const kValues[] = {"1",    "-0.5", "NaN",   "+Inf",
                                          "1e-9", "Inf",  "1e400", "0x1p2"};
    static const char* const kTexts[] = {"counter", "gauge", "x\\ny",
                                         "\xc3\xb6"};
    const int kind = Below(8);
    if (kind == 0) {
      absl::StrAppend(text, Below(2) == 0 ? "# TYPE " : "# HELP ", Of(kNames),
                      " ", Of(kTexts), "\n");
      return;
    }
    if (kind == 1 && !open_metrics) {
      absl::StrAppend(text, Below(2) == 0 ? "# note\n" : "\n");
      return;
    }
    if (Below(6) == 0) {
      absl::StrAppend(text, "{\"q.r\"", Below(2) == 0 ? "," : "");
      if (absl::EndsWith(*text, ",")) Labels(text);
      *text += "}";
    } else {
      absl::StrAppend(text, "up");
      if (Below(2) == 0) {
        *text += "{";
        Labels(text);
        *text += "}";
      }
    }
    absl::StrAppend(text, " ", Of(kValues));
    if (Below(3) == 0) absl::StrAppend(text, " ", Below(100'000));
    if (open_metrics && Below(4) == 0) *text += " # {id=\"\\\\\"} 1 2.5";
    *text += "\n";
  }

  void Labels(std::string* text) {
    static const char* const kLabels[] = {"a=\"b\"", "b=\"\\\"\\\\\\n\"",
                                          "c=\"\xc3\xb6\"", "d=\"\"",
                                          "\"e.f\"=\"g\""};
    for (int i = Below(4); i > 0; --i) absl::StrAppend(text, Of(kLabels), ",");
  }

  void Damage(std::string* text) {
    static const char kBytes[] = "\n\"\\{}=,# \t\xff";
    for (int i = 1 + Below(2); i > 0 && !text->empty(); --i) {
      const size_t at = random_() % text->size();
      switch (Below(3)) {
        case 0:
          text->erase(at, 1);
          break;
        case 1:
          text->insert(at, 1, kBytes[Below(sizeof(kBytes))]);
          break;
        default:
          (*text)[at] = kBytes[Below(sizeof(kBytes))];
      }
    }
  }

  std::mt19937 random_;
};

class TextCutTest : public testing::TestWithParam<uint32_t> {};

TEST_P(TextCutTest, PiecesMakeNoDifference) {
  Generator generator(GetParam());
  int whole = 0;
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    ParserOptions options;
    if (generator.Below(2) == 0) options.format = Format::kOpenMetrics;
    options.utf8_names = generator.Below(2) == 0;
    options.max_line_bytes = generator.Below(4) == 0 ? 40 : 1000;
    const std::string text =
        generator.Text(options.format == Format::kOpenMetrics);
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
  EXPECT_GT(whole, 200);
  EXPECT_GT(refused, 200);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TextCutTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace insula::exposition
