#include "libs/promql/functions.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace insula::promql {
namespace {

constexpr ValueType kMatrix = ValueType::kMatrix;
constexpr ValueType kScalar = ValueType::kScalar;
constexpr ValueType kString = ValueType::kString;
constexpr ValueType kVector = ValueType::kVector;

// Sorted by name.
constexpr Function kFunctions[] = {
    {"abs", kVector, 0, 1, {kVector}},
    {"absent", kVector, 0, 1, {kVector}},
    {"absent_over_time", kVector, 0, 1, {kMatrix}},
    {"acos", kVector, 0, 1, {kVector}},
    {"acosh", kVector, 0, 1, {kVector}},
    {"asin", kVector, 0, 1, {kVector}},
    {"asinh", kVector, 0, 1, {kVector}},
    {"atan", kVector, 0, 1, {kVector}},
    {"atanh", kVector, 0, 1, {kVector}},
    {"avg_over_time", kVector, 0, 1, {kMatrix}},
    {"ceil", kVector, 0, 1, {kVector}},
    {"changes", kVector, 0, 1, {kMatrix}},
    {"clamp", kVector, 0, 3, {kVector, kScalar, kScalar}},
    {"clamp_max", kVector, 0, 2, {kVector, kScalar}},
    {"clamp_min", kVector, 0, 2, {kVector, kScalar}},
    {"cos", kVector, 0, 1, {kVector}},
    {"cosh", kVector, 0, 1, {kVector}},
    {"count_over_time", kVector, 0, 1, {kMatrix}},
    {"day_of_month", kVector, 1, 1, {kVector}},
    {"day_of_week", kVector, 1, 1, {kVector}},
    {"day_of_year", kVector, 1, 1, {kVector}},
    {"days_in_month", kVector, 1, 1, {kVector}},
    {"deg", kVector, 0, 1, {kVector}},
    {"delta", kVector, 0, 1, {kMatrix}},
    {"deriv", kVector, 0, 1, {kMatrix}},
    {"exp", kVector, 0, 1, {kVector}},
    {"floor", kVector, 0, 1, {kVector}},
    {"histogram_count", kVector, 0, 1, {kVector}},
    {"histogram_fraction", kVector, 0, 3, {kScalar, kScalar, kVector}},
    {"histogram_quantile", kVector, 0, 2, {kScalar, kVector}},
    {"histogram_sum", kVector, 0, 1, {kVector}},
    {"holt_winters", kVector, 0, 3, {kMatrix, kScalar, kScalar}},
    {"hour", kVector, 1, 1, {kVector}},
    {"idelta", kVector, 0, 1, {kMatrix}},
    {"increase", kVector, 0, 1, {kMatrix}},
    {"irate", kVector, 0, 1, {kMatrix}},
    {"label_join", kVector, -1, 4, {kVector, kString, kString, kString}},
    {"label_replace",
     kVector,
     0,
     5,
     {kVector, kString, kString, kString, kString}},
    {"last_over_time", kVector, 0, 1, {kMatrix}},
    {"ln", kVector, 0, 1, {kVector}},
    {"log10", kVector, 0, 1, {kVector}},
    {"log2", kVector, 0, 1, {kVector}},
    {"max_over_time", kVector, 0, 1, {kMatrix}},
    {"min_over_time", kVector, 0, 1, {kMatrix}},
    {"minute", kVector, 1, 1, {kVector}},
    {"month", kVector, 1, 1, {kVector}},
    {"pi", kScalar, 0, 0, {}},
    {"predict_linear", kVector, 0, 2, {kMatrix, kScalar}},
    {"present_over_time", kVector, 0, 1, {kMatrix}},
    {"quantile_over_time", kVector, 0, 2, {kScalar, kMatrix}},
    {"rad", kVector, 0, 1, {kVector}},
    {"rate", kVector, 0, 1, {kMatrix}},
    {"resets", kVector, 0, 1, {kMatrix}},
    {"round", kVector, 1, 2, {kVector, kScalar}},
    {"scalar", kScalar, 0, 1, {kVector}},
    {"sgn", kVector, 0, 1, {kVector}},
    {"sin", kVector, 0, 1, {kVector}},
    {"sinh", kVector, 0, 1, {kVector}},
    {"sort", kVector, 0, 1, {kVector}},
    {"sort_desc", kVector, 0, 1, {kVector}},
    {"sqrt", kVector, 0, 1, {kVector}},
    {"stddev_over_time", kVector, 0, 1, {kMatrix}},
    {"stdvar_over_time", kVector, 0, 1, {kMatrix}},
    {"sum_over_time", kVector, 0, 1, {kMatrix}},
    {"tan", kVector, 0, 1, {kVector}},
    {"tanh", kVector, 0, 1, {kVector}},
    {"time", kScalar, 0, 0, {}},
    {"timestamp", kVector, 0, 1, {kVector}},
    {"vector", kVector, 0, 1, {kScalar}},
    {"year", kVector, 1, 1, {kVector}},
};

constexpr bool ByName(const Function& a, const Function& b) {
  return a.name < b.name;
}
static_assert(std::is_sorted(std::begin(kFunctions), std::end(kFunctions),
                             ByName));

}  // namespace

const Function* FindFunction(absl::string_view name) {
  const Function* found = std::lower_bound(
      std::begin(kFunctions), std::end(kFunctions), name,
      [](const Function& f, absl::string_view n) { return f.name < n; });
  if (found == std::end(kFunctions) || found->name != name) return nullptr;
  return found;
}

absl::Span<const Function> Functions() { return kFunctions; }

}  // namespace insula::promql
