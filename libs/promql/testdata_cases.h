// Reads the text files of testdata/. For tests.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace insula::promql {

// A pair of lines: |query| and the outcome, "= text" or "! error".
struct Case {
  int line = 0;
  std::string enforced;  // The latest line that starts with "E ", without it.
  std::string query;
  std::string outcome;
};

inline std::vector<Case> ReadCases(const std::string& directory,
                                   const std::string& name) {
  std::ifstream file(absl::StrCat(directory, "/", name));
  EXPECT_TRUE(file.is_open()) << name;
  std::vector<Case> cases;
  std::string enforced;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || absl::StartsWith(line, "# ")) continue;
    if (absl::StartsWith(line, "E ")) {
      enforced = line.substr(2);
    } else if (line.front() == '|') {
      cases.push_back({number, enforced, line.substr(1, line.size() - 2), ""});
    } else {
      EXPECT_FALSE(cases.empty()) << name << ":" << number;
      cases.back().outcome = line;
    }
  }
  return cases;
}

}  // namespace insula::promql
