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

// The most nesting that any options allow. A level takes 1 KiB of stack, and
// 4 KiB under AddressSanitizer.
inline constexpr int kMaxDepth = 1000;

struct OperatorInfo {
  BinaryOp op;
  int precedence;
  bool right;  // Groups to the right.
};

// The parser proper. Functions that return a pointer or a bool return null or
// false after the first error, which is in error_ then; nothing goes on after.
class Parser {
 public:
  Parser(absl::string_view text, const ParseOptions& options)
      : text_(text),
        options_(options),
        max_depth_(std::clamp(options.max_depth, 1, kMaxDepth)),
        lexer_(text),
        regex_budget_(options.max_regex_cost) {}

  absl::StatusOr<ExprPtr> Expression();
  absl::StatusOr<std::vector<labels::Matcher>> MetricSelector();

 private:
  // An operator that waits for its right operand.
  struct Pending {
    Token token;
    OperatorInfo info;
    bool return_bool = false;
    VectorMatching matching;
    ExprPtr lhs;  // Null: a sign.
  };

  ExprPtr ParseExpr();
  ExprPtr ParsePostfix();
  ExprPtr ParsePrimary();
  ExprPtr ParseNumberLiteral();
  ExprPtr ParseStringLiteral();
  ExprPtr ParseParen();
  ExprPtr ParseCall(const Token& name);
  ExprPtr ParseAggregate(const Token& op);
  ExprPtr ParseSelector(const Token* name);
  ExprPtr ParseBracket(ExprPtr expr);
  ExprPtr MakeMatrix(ExprPtr expr, const Token& bracket, absl::Duration window);
  bool ParseOffset(Expr& expr);
  bool ParseAt(Expr& expr);
  bool SetTime(Expr& expr, double seconds);
  Modifiers* FindModifiers(Expr& expr, absl::string_view what);

  bool ParseSigns();
  bool ParseBinaryModifiers(Pending& pending);
  ExprPtr Reduce(ExprPtr operand);
  ExprPtr BuildAggregate(const Token& op, std::unique_ptr<Aggregate> node,
                         std::vector<ExprPtr> args, int32_t end);

  bool ParseArguments(std::vector<ExprPtr>* args);
  bool ParseGrouping(Aggregate& node);
  bool ParseLabels(std::vector<std::string>* labels);
  bool ParseMatchers(std::vector<labels::Matcher>* matchers);
  bool ParseMatcher(std::vector<labels::Matcher>* matchers);
  bool AddMatcher(labels::MatchType type, const Token& label,
                  const Token& value, std::vector<labels::Matcher>* matchers);
  bool ParseDurationToken(absl::Duration* duration);
  bool ParseNumberToken(double* value);

  // Text limits, then the first token.
  bool Start();
  void Advance();
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
  std::vector<Pending> pending_;
  std::optional<ParseError> error_;
};

}  // namespace insula::promql
