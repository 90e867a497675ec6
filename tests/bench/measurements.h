// The figures of a bench by name, and which of them a command line names.
#pragma once

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tests/bench/harness.h"

namespace insula::bench {

// Measures with the services of directory `bin`.
template <typename FiguresOfBench>
struct Measurement {
  const char* name;
  void (*run)(const std::string& bin, FiguresOfBench* figures);
};

// Dies if one of `names` is none of `all`; says what the bench `takes`.
template <typename FiguresOfBench>
void CheckNames(absl::Span<const Measurement<FiguresOfBench>> all,
                const std::set<std::string>& names, absl::string_view takes) {
  std::set<std::string> unknown = names;
  for (const auto& measurement : all) unknown.erase(measurement.name);
  if (unknown.empty()) return;
  Die(absl::StrCat("'", *unknown.begin(),
                   "' is no figure of this bench; it takes ", takes));
}

// Those of `names`; all if it is empty.
template <typename FiguresOfBench>
void RunMeasurements(absl::Span<const Measurement<FiguresOfBench>> all,
                     const std::set<std::string>& names, const std::string& bin,
                     FiguresOfBench* figures) {
  for (const auto& measurement : all) {
    if (names.empty() || names.contains(measurement.name)) {
      measurement.run(bin, figures);
    }
  }
}

}  // namespace insula::bench
