#include "libs/labels/regex_cost.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace insula::labels {
namespace {

constexpr size_t kMost = std::numeric_limits<size_t>::max() / 4;
constexpr size_t kDot = 8;         // `.`: all of UTF-8.
constexpr size_t kClass = 12;      // `[a-z]`, and its complement in UTF-8.
constexpr size_t kUnicode = 4000;  // `\pL`: hundreds of ranges.

// RE2 turns neighbours like `a?a?a?` into nested `(a(a(a)?)?)?`, and takes time
// for each pair of levels. This many pairs are as dear as an instruction.
constexpr size_t kPairs = 32;

size_t Add(size_t a, size_t b) { return std::min(a + b, kMost); }
size_t Multiply(size_t a, size_t b) {
  return b != 0 && a > kMost / b ? kMost : a * b;
}

// Walks over a pattern once. A level is what stands between two parentheses.
class Estimator {
 public:
  explicit Estimator(absl::string_view pattern) : rest_(pattern) {}

  size_t Run() {
    while (!rest_.empty()) Step();
    while (levels_.size() > 1) Close();  // Not balanced: no expression.
    EndBranch();
    return levels_.back().total;
  }

 private:
  struct Level {
    size_t total = 2;
    size_t last = 0;      // Of `total`: the atom that a repetition repeats.
    size_t optional = 0;  // What may be absent, in this branch and
    size_t most_optional = 0;  // in the branch of `|` that has most of it.
  };

  void Atom(size_t cost) {
    levels_.back().total = Add(levels_.back().total, cost);
    levels_.back().last = cost;
  }
  void Skip(size_t count) {
    rest_.remove_prefix(std::min(count, rest_.size()));
  }

  // A name in braces, or `count` bytes.
  void SkipBraced(size_t count) {
    const bool braced = !rest_.empty() && rest_.front() == '{';
    const size_t end = braced ? rest_.find('}') : absl::string_view::npos;
    Skip(end == absl::string_view::npos ? count : end + 1);
  }

  void AddOptional(size_t count) {
    levels_.back().optional = Add(levels_.back().optional, count);
  }
  void EndBranch() {
    Level& level = levels_.back();
    level.total =
        Add(level.total, Multiply(level.optional, level.optional) / kPairs);
    level.most_optional = std::max(level.most_optional, level.optional);
    level.optional = 0;
  }

  void Step();
  void Escape();
  void Class();
  void Repetition();
  void Close();

  absl::string_view rest_;
  std::vector<Level> levels_ = {Level()};
};

void Estimator::Step() {
  switch (rest_.front()) {
    case '\\':
      return Escape();
    case '[':
      return Class();
    case '{':
      return Repetition();
    case '(':
      Skip(1);
      levels_.emplace_back();
      return;
    case ')':
      Skip(1);
      if (levels_.size() > 1) Close();
      return;
    case '.':
      Skip(1);
      return Atom(kDot);
    case '|':
      EndBranch();
      [[fallthrough]];
    case '*':
    case '+':
    case '?':
      if (rest_.front() == '?') AddOptional(1);
      // Of the level, not of an atom, so that `x*{9}` still repeats the x.
      Skip(1);
      levels_.back().total = Add(levels_.back().total, 1);
      levels_.back().last = Add(levels_.back().last, 1);
      return;
    default:
      Skip(1);
      return Atom(2);  // Two for its other case.
  }
}

void Estimator::Close() {
  EndBranch();
  const Level inner = levels_.back();
  levels_.pop_back();
  AddOptional(inner.most_optional);
  Atom(Add(inner.total, 2));
}

void Estimator::Escape() {
  const char kind = rest_.size() > 1 ? rest_[1] : '\0';
  if (kind == 'Q') {
    const size_t end = rest_.find("\\E", 2);
    const absl::string_view literal = rest_.substr(2, end - 2);
    Skip(end == absl::string_view::npos ? rest_.size() : end + 2);
    return Atom(Add(2 * literal.size(), 1));
  }
  Skip(2);
  switch (kind) {
    case 'p':
    case 'P':
      SkipBraced(1);  // `L` or `{Greek}`.
      return Atom(kUnicode);
    case 'x':
      SkipBraced(2);  // `41` or `{10FFFF}`.
      return Atom(4);
    case 'D':
    case 'S':
    case 'W':
    case 'd':
    case 's':
    case 'w':
      return Atom(kClass);
    default:
      return Atom(2);
  }
}

void Estimator::Class() {
  size_t cost = kClass;
  Skip(1);
  if (!rest_.empty() && rest_.front() == '^') Skip(1);
  // A bracket that comes first is one of the class.
  if (!rest_.empty() && rest_.front() == ']') Skip(1);
  while (!rest_.empty() && rest_.front() != ']') {
    if (rest_.front() == '\\') {
      const bool unicode =
          rest_.size() > 1 && (rest_[1] == 'p' || rest_[1] == 'P');
      cost = Add(cost, unicode ? kUnicode : 4);
      Skip(2);
    } else if (rest_.size() > 1 && rest_[0] == '[' && rest_[1] == ':') {
      cost = Add(cost, kClass);
      const size_t end = rest_.find(":]", 2);
      Skip(end == absl::string_view::npos ? 2 : end + 2);
    } else {
      cost = Add(cost, 2);
      Skip(1);
    }
  }
  Skip(1);
  Atom(cost);
}

void Estimator::Repetition() {
  const size_t end = rest_.find('}');
  size_t least = 0;
  size_t most = 0;
  if (end != absl::string_view::npos) {
    absl::string_view counts = rest_.substr(1, end - 1);
    const size_t comma = counts.find(',');
    size_t high = 0;
    if (absl::SimpleAtoi(counts.substr(0, comma), &least)) most = least + 1;
    if (comma != absl::string_view::npos &&
        absl::SimpleAtoi(counts.substr(comma + 1), &high)) {
      most = std::max(most, high);
    }
  }
  if (most == 0) {  // A plain brace.
    Skip(1);
    return Atom(2);
  }
  Skip(end + 1);
  if (most > least) AddOptional(most - least);
  Level& level = levels_.back();
  const size_t repeated = Multiply(Add(level.last, 1), most);
  level.total = Add(level.total - level.last, repeated);
  level.last = repeated;
}

}  // namespace

size_t RegexCost(absl::string_view pattern) { return Estimator(pattern).Run(); }

}  // namespace insula::labels
