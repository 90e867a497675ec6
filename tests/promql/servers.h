// Prometheus servers with known series, and what they answer.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/promql/clause_union.h"
#include "tests/e2e/harness/process.h"

namespace insula::promql {

// Samples of the tests lie in [kStart, kStart + kSeconds], in Unix seconds.
inline constexpr int64_t kStart = 1'700'000'000;
inline constexpr int64_t kSeconds = 1200;

struct Series {
  std::map<std::string, std::string> labels;         // __name__ among them.
  std::vector<std::pair<int64_t, int64_t>> samples;  // Seconds, value.
};

// Whether the series passes all matchers of at least one clause.
bool IsVisible(const Series& series, const Clauses& clauses);

// Series with labels from small sets, so that policies overlap and some differ
// in nothing but their names; counters with gaps and resets.
std::vector<Series> MakeSeries(int count, std::mt19937& random);

// The answer to one query, ready to be compared.
struct Answer {
  std::string error;  // Its type; empty if there is none.
  std::string shape;  // vector, matrix, scalar, string.
  // Of each element its labels and samples, sorted.
  std::vector<std::pair<std::string, std::vector<std::pair<double, double>>>>
      elements;
};

// Values may differ in the last bits, as sums are taken in another order.
bool Same(const Answer& a, const Answer& b);

// The union of range vectors that share elements.
Answer Unite(const std::vector<Answer>& answers);

std::string Describe(const Answer& answer);

class Server {
 public:
  // Starts one with just these series. Aborts the test if it doesn't come up.
  explicit Server(const std::vector<Series>& series);

  // At `time`.
  Answer Query(absl::string_view query, int64_t time) const;
  // Every half minute of five minutes from `start` on.
  Answer QueryRange(absl::string_view query, int64_t start) const;

  // What /api/v1/format_query makes of it; INVALID_ARGUMENT with the error of
  // the server if it is no expression.
  absl::StatusOr<std::string> Format(absl::string_view query) const;

 private:
  Answer Ask(absl::string_view path,
             std::vector<std::pair<std::string, std::string>> params) const;

  e2e::TempDir dir_;
  const int port_;
  std::unique_ptr<e2e::Process> process_;
};

}  // namespace insula::promql
