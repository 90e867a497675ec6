#include "libs/labels/regex_cost.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace insula::labels {
namespace {

constexpr size_t kMost = std::numeric_limits<size_t>::max() / 4;
constexpr size_t kDot = 8;         // `.`: all of UTF-8.
constexpr size_t kClass = 12;      // `[a-z]`, and its complement in UTF-8.
constexpr size_t kUnicode = 4000;  // `\pL`: hundreds of ranges.

// Some shapes take RE2 time for each pair of operators, after repetitions with
// counts are expanded: `a?a?a?` becomes nested `(a(a(a)?)?)?`, lists of groups
// are searched for common beginnings, and there are more. All repetitions and
// groups are charged: this many pairs are as dear as an instruction.
constexpr size_t kPairs = 16;

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
    const Cost& all = levels_.back().all;
    return Add(all.size, Multiply(all.operators, all.operators) / kPairs);
  }

 private:
  struct Cost {
    size_t size = 0;
    size_t operators = 0;  // Repetitions and groups.
  };
  struct Level {
    Cost all = {2, 0};
    Cost last;  // Of `all`: the atom that a repetition repeats.
  };

  void Atom(Cost cost) {
    Cost& all = levels_.back().all;
    all.size = Add(all.size, cost.size);
    all.operators = Add(all.operators, cost.operators);
    levels_.back().last = cost;
  }
  void Atom(size_t size) { Atom(Cost{size, 0}); }

  // The last atom, `times` over, with more operators around it.
  void Repeat(size_t times, size_t operators) {
    Level& level = levels_.back();
    const Cost once = level.last;
    level.all.size -= once.size;
    level.all.operators -= once.operators;
    Atom(Cost{Multiply(Add(once.size, 1), times),
              Add(Multiply(once.operators, times), operators)});
  }
  void Skip(size_t count) {
    rest_.remove_prefix(std::min(count, rest_.size()));
  }

  // Where `text` is, if it is near: names and counts are short.
  size_t Find(absl::string_view text) const {
    constexpr size_t kNear = 64;
    return rest_.substr(0, kNear).find(text);
  }

  // A name in braces, or `count` bytes.
  void SkipBraced(size_t count) {
    const bool braced = !rest_.empty() && rest_.front() == '{';
    const size_t end = braced ? Find("}") : absl::string_view::npos;
    Skip(end == absl::string_view::npos ? count : end + 1);
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
    case '*':
    case '+':
    case '?':
      Skip(1);
      return Repeat(1, 1);
    default:
      Skip(1);
      return Atom(2);  // Two for its other case.
  }
}

void Estimator::Close() {
  Cost inner = levels_.back().all;
  inner.size = Add(inner.size, 2);
  inner.operators = Add(inner.operators, 1);
  levels_.pop_back();
  Atom(inner);
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
      const size_t end = Find(":]");
      Skip(end == absl::string_view::npos ? 2 : end + 2);
    } else {
      cost = Add(cost, 2);
      Skip(1);
    }
  }
  Skip(1);
  Atom(cost);
}

// Takes a count of a repetition off the front of `text`. Like RE2 not if there
// is none, if it begins with a 0 that is not all of it, or is far too large:
// the brace is then a plain one, and what follows is not to be passed over.
bool TakeCount(absl::string_view* text, size_t* count) {
  constexpr size_t kMostDigits = 8;
  size_t digits = 0;
  while (digits < text->size() && absl::ascii_isdigit((*text)[digits])) {
    ++digits;
  }
  if (digits == 0 || digits > kMostDigits) return false;
  if (digits > 1 && text->front() == '0') return false;
  const bool taken = absl::SimpleAtoi(text->substr(0, digits), count);
  text->remove_prefix(digits);
  return taken;
}

void Estimator::Repetition() {
  absl::string_view text = rest_.substr(1);
  size_t least = 0;
  size_t high = 0;
  bool counted = TakeCount(&text, &least);
  if (counted && absl::ConsumePrefix(&text, ",")) {
    counted = absl::StartsWith(text, "}") || TakeCount(&text, &high);
  }
  if (!counted || !absl::ConsumePrefix(&text, "}")) {  // A plain brace.
    Skip(1);
    return Atom(2);
  }
  rest_ = text;
  const size_t most = std::max(least + 1, high);
  Repeat(most, std::max<size_t>(most - std::min(least, most), 1));
}

}  // namespace

size_t RegexCost(absl::string_view pattern) { return Estimator(pattern).Run(); }

}  // namespace insula::labels
