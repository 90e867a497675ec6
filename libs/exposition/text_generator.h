// Expositions for tests that look like real ones, and every so often are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace insula::exposition {

class TextGenerator {
 public:
  explicit TextGenerator(uint32_t seed) : random_(seed) {}

  // `quoted`: names in quotes may come.
  std::string Text(bool open_metrics, bool quoted) {
    quoted_ = quoted;
    std::string text;
    for (int i = 1 + Below(6); i > 0; --i) Line(open_metrics, &text);
    if (open_metrics && Below(20) > 0) text += "# EOF\n";
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
    if (Below(4) == 0) {
      if (open_metrics || Below(2) == 0) {
        Metadata(text);
      } else {
        *text += Below(2) == 0 ? "# note\n" : "\n";
      }
      return;
    }
    const size_t begin = text->size();
    Series(text);
    // Older servers take exemplars of counters and buckets alone.
    const bool counter = text->compare(begin, 7, "m_total") == 0;
    static const char* const kValues[] = {"1",    "-0.5", "NaN", "+Inf", "1e-9",
                                          "-Inf", "123",  "inf", ".25"};
    static const char* const kBad[] = {"1e400", "0x1p2", "1_0", "x"};
    absl::StrAppend(text, " ", Below(30) == 0 ? Of(kBad) : Of(kValues));
    if (Below(3) == 0) absl::StrAppend(text, " ", Below(100'000));
    if (open_metrics && counter && Below(2) == 0) {
      *text += " # {id=\"\\\\\"} 1";
      if (Below(2) == 0) *text += " 2.5";
    }
    *text += "\n";
  }

  void Metadata(std::string* text) {
    static const char* const kTypes[] = {"counter", "gauge", "summary"};
    static const char* const kHelps[] = {"x\\ny", "", "\xc3\xb6 \\\\", " a "};
    static const char* const kNames[] = {"a", "m_total", "x:y", ":"};
    const std::string name = quoted_ && Below(4) == 0 ? "\"q.r\"" : Of(kNames);
    if (Below(2) == 0) {
      const std::string type = Below(20) == 0 ? "bogus" : Of(kTypes);
      absl::StrAppend(text, "# TYPE ", name, " ", type, "\n");
    } else {
      absl::StrAppend(text, "# HELP ", name, " ", Of(kHelps), "\n");
    }
  }

  void Series(std::string* text) {
    static const char* const kNames[] = {"a", "m_total", "x:y", "_"};
    if (quoted_ && Below(4) == 0) {
      *text += "{\"q.r\"";
      if (Below(2) == 0) {
        *text += ",";
        Labels(text);
      }
      *text += "}";
      return;
    }
    *text += Of(kNames);
    if (Below(3) == 0) return;
    *text += "{";
    Labels(text);
    *text += "}";
  }

  void Labels(std::string* text) {
    static const char* const kValues[] = {"b", "", "\xc3\xb6",
                                          "\\\"\\\\\\n\\x"};
    static const char* const kNames[] = {"a", "b", "c_d", "E9", "_", "\"e.f\""};
    int least = Below(6);  // So that mostly no name comes twice.
    for (int i = Below(4); i > 0 && least < (quoted_ ? 6 : 5); --i) {
      absl::StrAppend(text, kNames[least], "=\"", Of(kValues), "\"");
      least += Below(30) == 0 ? 0 : 1;
      if (i > 1 || Below(4) == 0) *text += ",";
    }
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
  bool quoted_ = false;
};

}  // namespace insula::exposition
