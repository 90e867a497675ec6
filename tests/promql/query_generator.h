// Makes queries over the series of servers.h.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace insula::promql {

// Queries use every form that confinement treats in its own way, and others
// around them. They avoid what is not determined: topk() of equals, and
// differences of sums that only the order of adding makes.
class QueryGenerator {
 public:
  explicit QueryGenerator(std::mt19937* random) : random_(*random) {}

  // A whole query; with `ranges`, also a range selector.
  std::string Query(bool ranges);

 private:
  int Below(int n) { return static_cast<int>(random_() % n); }
  std::string Pick(const std::vector<std::string>& from) {
    return from[Below(static_cast<int>(from.size()))];
  }

  std::string Selector();
  std::string Modifiers();
  std::string Range();
  std::string Vector(int depth);
  std::string Scalar(int depth);
  std::string OfRange(int depth);
  std::string Aggregate(int depth);
  std::string Binary(int depth);

  std::mt19937& random_;
};

}  // namespace insula::promql
