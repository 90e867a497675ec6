// The parser behind Parse() and ParseMetricSelector(). Only their sources
// include this.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "libs/promql/ast.h"
#include "libs/promql/check.h"
#include "libs/promql/lexer.h"
#include "libs/promql/parser.h"
#include "libs/promql/token.h"

namespace insula::promql {

struct OperatorInfo {
  BinaryOp op = BinaryOp::kAdd;
  int precedence = 0;  // 0: no operator.
  bool right = false;  // Groups to the right.
};

// The parser proper. Functions that return a pointer or a bool return null or
// false after the first error, which is in error_ then; nothing goes on after.
class Parser {
 public:
  Parser(absl::string_view text, const ParseOptions& options)
      : text_(text),
        options_(options),
        max_depth_(std::max(options.max_depth, 1)),
        lexer_(text, options.dialect),
        regex_budget_(options.max_regex_cost) {
    constexpr size_t kUsual = 8;
    pending_.reserve(kUsual);
    openings_.reserve(kUsual);
  }

  absl::StatusOr<ExprPtr> Expression();
  absl::StatusOr<std::vector<labels::Matcher>> MetricSelector();

 private:
  // An operator that waits for its right operand.
  struct Pending {
    int precedence = 0;
    bool right = false;
    bool minus = false;              // Of a sign.
    int32_t start = 0;               // Of a sign.
    std::unique_ptr<Binary> binary;  // Without its right operand. Null: a sign.
  };

  // A parenthesis that has not been closed.
  struct Opening {
    enum class Kind { kParen, kCall, kAggregate };
    Kind kind = Kind::kParen;
    Token token;         // It, or the name before it.
    size_t pending = 0;  // Operators that waited already.
    std::unique_ptr<Aggregate> aggregate = nullptr;
    bool grouped = false;  // `by` or `without` stood before it.
    absl::InlinedVector<ExprPtr, 2> args = {};
  };

  // A duration as it is read: a number of seconds, or an expression.
  struct DurationTerm {
    DurationExpression text;  // As it is printed.
    int32_t start = 0;
    bool literal = false;
    double seconds = 0;  // Of a literal.
  };

  // A sign, operator, parenthesis or function of durations that waits for what
  // is behind it.
  struct DurationPending {
    enum class Kind { kSign, kOperator, kParen, kCall };
    Kind kind;
    Token token;
    int precedence = 0;      // Of a sign or an operator.
    DurationTerm left = {};  // Of an operator.
    std::string call = {};   // What has been read of a call.
    int arguments = 0;       // Of a call.
  };

  // A duration that stands in a tree.
  struct Window {
    absl::Duration duration;
    DurationExpression expression;
  };

  ExprPtr ParseExpr();
  bool ParseOperand(ExprPtr* operand);
  bool ParsePostfix(ExprPtr* operand);
  bool ParseOperator(ExprPtr* operand);
  bool ParseClosing(ExprPtr* operand);
  bool Open(Opening&& opening);
  bool OpenArguments(Opening&& opening, ExprPtr* operand);
  bool OpenAggregate(const Token& op, ExprPtr* operand);
  bool CloseArguments(ExprPtr* operand);
  ExprPtr FinishCall(Opening&& opening);
  ExprPtr FinishAggregate(Opening&& opening);
  ExprPtr BuildAggregate(Opening&& opening, int32_t end);
  bool IsFunctionName(TokenType type) const;
  ExprPtr ParseNumberLiteral();
  ExprPtr ParseDurationNumber();
  ExprPtr ParseStringLiteral();
  ExprPtr ParseSelector(const Token* name);
  ExprPtr ParseBracket(ExprPtr expr);
  ExprPtr MakeMatrix(ExprPtr expr, const Token& bracket, Window window);
  bool ParseOffset(Expr& expr);
  bool ParseAt(Expr& expr);
  bool SetTime(Expr& expr, double seconds);
  Modifiers* FindModifiers(Expr& expr, absl::string_view what);

  bool ParseSigns();
  bool ParseBinaryModifiers(Binary& binary);
  ExprPtr Reduce(ExprPtr operand);
  bool CheckName(absl::string_view name);
  bool ParseGrouping(Aggregate& node);
  bool ParseLabels(std::vector<std::string>* labels);
  bool ParseMatchers(std::vector<labels::Matcher>* matchers);
  bool ParseMatcher(std::vector<labels::Matcher>* matchers);
  bool AddMatcher(labels::MatchType type, int32_t position,
                  absl::string_view label, const Token& value,
                  std::vector<labels::Matcher>* matchers);
  bool ParseDurationToken(absl::Duration* duration, bool allow_zero = false);
  bool ParseFill(VectorMatching& matching);
  bool ParseFillValue(std::optional<double>* left,
                      std::optional<double>* right);
  bool ParseExtension(Expr& expr);

  // Durations of version 3.
  bool ParseWindow(Window* window);
  bool ParseOffsetValue(Window* offset);
  bool ParseDurationExpr(bool primary, DurationTerm* term);
  bool ParseDurationOperand(bool signs, DurationTerm* term, bool* done);
  bool ParseDurationLiteral(DurationTerm* term);
  bool OpenDurationCall(DurationTerm* term, bool* done);
  bool ParseDurationOperator(DurationTerm* term, bool* done);
  bool ParseDurationClosing(DurationTerm* term, bool* done);
  bool ReduceDuration(DurationTerm* term);
  static void NegateDuration(DurationTerm* term);
  bool NeedDurationExpressions(int32_t position);
  bool ToWindow(const DurationTerm& term, int32_t position, Window* window);
  bool IsDurationWord() const {
    return Is(TokenType::kIdentifier) && IsDurationFunction(token_.text);
  }
  bool ParseNumberToken(double* value);

  // Text limits, then the first token.
  bool Start();
  void Advance() {
    if (Is(TokenType::kError)) return;
    taken_end_ = token_.end();
    token_ = lexer_.Next();
    if (++tokens_ > options_.max_tokens || Is(TokenType::kError)) NoteError();
  }
  void NoteError();
  bool Is(TokenType type) const { return token_.type == type; }

  // Counts one more level of nesting; Leave() undoes it.
  bool Enter();
  void Leave() { --depth_; }

  // These note an error and return false.
  bool TooDeep();
  bool Fail(int32_t position, std::string message);
  bool Unexpected(absl::string_view context = "",
                  absl::string_view expected = "");
  absl::Status ErrorStatus() const;

  absl::string_view text_;
  const ParseOptions& options_;
  const int max_depth_;
  Lexer lexer_;
  Token token_;            // The next one.
  int32_t taken_end_ = 0;  // Where the one before it ended.
  std::string token_error_;
  size_t tokens_ = 0;
  int depth_ = 0;
  int aggregations_ = 0;  // That the next token is inside of.
  size_t regex_budget_;
  std::vector<labels::Matcher> compiled_;  // With expressions.
  std::vector<Pending> pending_;
  std::vector<Opening> openings_;
  std::vector<DurationPending> durations_;
  std::optional<ParseError> error_;
};

}  // namespace insula::promql
