// Expressions that are nearly right.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace insula::promql {

// Makes expressions by small faults in others: a byte or a word taken out, put
// in or exchanged, two places swapped, the beginning of one joined to the end
// of another.
class Mutator {
 public:
  // `seeds` is not empty. Both outlive it.
  Mutator(const std::vector<std::string>* seeds, std::mt19937* random)
      : seeds_(*seeds), random_(*random) {}

  std::string Next();

 private:
  size_t Below(size_t bound) { return random_() % bound; }
  const std::string& Seed() { return seeds_[Below(seeds_.size())]; }
  void MutateBytes(std::string& text);
  void MutateWords(std::string& text);

  const std::vector<std::string>& seeds_;
  std::mt19937& random_;
};

}  // namespace insula::promql
