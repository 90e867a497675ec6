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

constexpr Version kNever = kNoVersion;

// Sorted by name.
constexpr Function kFunctions[] = {
    {"abs", kVector, 0, 1, {kVector}, {2, 42}},
    {"absent", kVector, 0, 1, {kVector}, {2, 42}},
    {"absent_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"acos", kVector, 0, 1, {kVector}, {2, 42}},
    {"acosh", kVector, 0, 1, {kVector}, {2, 42}},
    {"asin", kVector, 0, 1, {kVector}, {2, 42}},
    {"asinh", kVector, 0, 1, {kVector}, {2, 42}},
    {"atan", kVector, 0, 1, {kVector}, {2, 42}},
    {"atanh", kVector, 0, 1, {kVector}, {2, 42}},
    {"avg_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"ceil", kVector, 0, 1, {kVector}, {2, 42}},
    {"changes", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"clamp", kVector, 0, 3, {kVector, kScalar, kScalar}, {2, 42}},
    {"clamp_max", kVector, 0, 2, {kVector, kScalar}, {2, 42}},
    {"clamp_min", kVector, 0, 2, {kVector, kScalar}, {2, 42}},
    {"cos", kVector, 0, 1, {kVector}, {2, 42}},
    {"cosh", kVector, 0, 1, {kVector}, {2, 42}},
    {"count_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"day_of_month", kVector, 1, 1, {kVector}, {2, 42}},
    {"day_of_week", kVector, 1, 1, {kVector}, {2, 42}},
    {"day_of_year", kVector, 1, 1, {kVector}, {2, 42}},
    {"days_in_month", kVector, 1, 1, {kVector}, {2, 42}},
    {"deg", kVector, 0, 1, {kVector}, {2, 42}},
    {"delta", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"deriv", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"double_exponential_smoothing",
     kVector,
     0,
     3,
     {kMatrix, kScalar, kScalar},
     {3, 0},
     kNever,
     kNever},
    {"end", kScalar, 0, 0, {}, {3, 10}, kNever, kNever},
    {"exp", kVector, 0, 1, {kVector}, {2, 42}},
    {"first_over_time", kVector, 0, 1, {kMatrix}, {3, 7}, kNever, {3, 14}},
    {"floor", kVector, 0, 1, {kVector}, {2, 42}},
    {"histogram_avg", kVector, 0, 1, {kVector}, {2, 51}},
    {"histogram_count", kVector, 0, 1, {kVector}, {2, 42}},
    {"histogram_fraction", kVector, 0, 3, {kScalar, kScalar, kVector}, {2, 42}},
    {"histogram_quantile", kVector, 0, 2, {kScalar, kVector}, {2, 42}},
    {"histogram_quantiles",
     kVector,
     9,
     4,
     {kVector, kString, kScalar, kScalar},
     {3, 11},
     kNever,
     kNever},
    {"histogram_stddev", kVector, 0, 1, {kVector}, {2, 48}},
    {"histogram_stdvar", kVector, 0, 1, {kVector}, {2, 48}},
    {"histogram_sum", kVector, 0, 1, {kVector}, {2, 42}},
    {"holt_winters",
     kVector,
     0,
     3,
     {kMatrix, kScalar, kScalar},
     {2, 42},
     {3, 0}},
    {"hour", kVector, 1, 1, {kVector}, {2, 42}},
    {"idelta", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"increase", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"info", kVector, 1, 2, {kVector, kVector}, {3, 0}, kNever, kNever},
    {"irate", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"label_join",
     kVector,
     -1,
     4,
     {kVector, kString, kString, kString},
     {2, 42}},
    {"label_replace",
     kVector,
     0,
     5,
     {kVector, kString, kString, kString, kString},
     {2, 42}},
    {"last_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"ln", kVector, 0, 1, {kVector}, {2, 42}},
    {"log10", kVector, 0, 1, {kVector}, {2, 42}},
    {"log2", kVector, 0, 1, {kVector}, {2, 42}},
    {"mad_over_time", kVector, 0, 1, {kMatrix}, {2, 49}, kNever, kNever},
    {"max_of", kScalar, 0, 2, {kScalar, kScalar}, {3, 13}, kNever, kNever},
    {"max_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"min_of", kScalar, 0, 2, {kScalar, kScalar}, {3, 13}, kNever, kNever},
    {"min_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"minute", kVector, 1, 1, {kVector}, {2, 42}},
    {"month", kVector, 1, 1, {kVector}, {2, 42}},
    {"pi", kScalar, 0, 0, {}, {2, 42}},
    {"predict_linear", kVector, 0, 2, {kMatrix, kScalar}, {2, 42}},
    {"present_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"quantile_over_time", kVector, 0, 2, {kScalar, kMatrix}, {2, 42}},
    {"rad", kVector, 0, 1, {kVector}, {2, 42}},
    {"range", kScalar, 0, 0, {}, {3, 10}, kNever, kNever},
    {"rate", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"resets", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"round", kVector, 1, 2, {kVector, kScalar}, {2, 42}},
    {"scalar", kScalar, 0, 1, {kVector}, {2, 42}},
    {"sgn", kVector, 0, 1, {kVector}, {2, 42}},
    {"sin", kVector, 0, 1, {kVector}, {2, 42}},
    {"sinh", kVector, 0, 1, {kVector}, {2, 42}},
    {"sort", kVector, 0, 1, {kVector}, {2, 42}},
    {"sort_by_label",
     kVector,
     -1,
     2,
     {kVector, kString},
     {2, 49},
     kNever,
     kNever},
    {"sort_by_label_desc",
     kVector,
     -1,
     2,
     {kVector, kString},
     {2, 49},
     kNever,
     kNever},
    {"sort_desc", kVector, 0, 1, {kVector}, {2, 42}},
    {"sqrt", kVector, 0, 1, {kVector}, {2, 42}},
    {"start", kScalar, 0, 0, {}, {3, 10}, kNever, kNever},
    {"start_timestamp", kVector, 0, 1, {kVector}, {3, 14}, kNever, kNever},
    {"stddev_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"stdvar_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"step", kScalar, 0, 0, {}, {3, 10}, kNever, kNever},
    {"sum_over_time", kVector, 0, 1, {kMatrix}, {2, 42}},
    {"tan", kVector, 0, 1, {kVector}, {2, 42}},
    {"tanh", kVector, 0, 1, {kVector}, {2, 42}},
    {"time", kScalar, 0, 0, {}, {2, 42}},
    {"timestamp", kVector, 0, 1, {kVector}, {2, 42}},
    {"ts_of_first_over_time", kVector, 0, 1, {kMatrix}, {3, 7}, kNever, kNever},
    {"ts_of_last_over_time", kVector, 0, 1, {kMatrix}, {3, 5}, kNever, kNever},
    {"ts_of_max_over_time", kVector, 0, 1, {kMatrix}, {3, 5}, kNever, kNever},
    {"ts_of_min_over_time", kVector, 0, 1, {kMatrix}, {3, 5}, kNever, kNever},
    {"vector", kVector, 0, 1, {kScalar}, {2, 42}},
    {"year", kVector, 1, 1, {kVector}, {2, 42}},
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

bool IsEnabled(const Function& function, const Dialect& dialect) {
  return dialect.experimental_functions || function.stable <= dialect.version;
}

bool IsKnown(const Function& function, const Dialect& dialect) {
  return function.since <= dialect.version && dialect.version < function.until;
}

absl::Span<const Function> Functions() { return kFunctions; }

}  // namespace insula::promql
