#include "libs/promql/parser.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/parser_impl.h"

namespace insula::promql {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;  // Positions have 32 bits.

}  // namespace

bool Parser::Fail(int32_t position, std::string message) {
  if (!error_) error_ = ParseError{position, std::move(message)};
  return false;
}

bool Parser::Unexpected(absl::string_view context, absl::string_view expected) {
  if (Is(TokenType::kError)) return Fail(token_.start, token_error_);
  if (context.empty() && aggregations_ > 0) context = "aggregation";
  return Fail(token_.start,
              absl::StrCat("unexpected ", Describe(token_),
                           context.empty() ? "" : " in ", context,
                           expected.empty() ? "" : ", expected ", expected));
}

absl::Status Parser::ErrorStatus() const {
  const auto position =
      std::min(static_cast<size_t>(error_->position), text_.size());
  const absl::string_view before = text_.substr(0, position);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return absl::InvalidArgumentError(
      absl::StrCat(line, ":", position - line_start + 1,
                   ": parse error: ", error_->message));
}

bool Parser::Start() {
  const size_t limit = std::min(options_.max_bytes, kMaxBytes);
  if (text_.size() > limit) {
    return Fail(0, absl::StrCat("the query has ", text_.size(),
                                " bytes, more than the ", limit,
                                " allowed; shorten it"));
  }
  Advance();
  return true;
}

// Of the token that has just come, or that it is one too many.
void Parser::NoteError() {
  if (Is(TokenType::kError)) {
    token_error_ = lexer_.error();
  } else if (!Is(TokenType::kEnd)) {
    token_.type = TokenType::kError;
    token_error_ =
        absl::StrCat("the query has more than the ", options_.max_tokens,
                     " words and signs allowed; shorten it");
  }
}

bool Parser::Enter() { return ++depth_ <= max_depth_ || TooDeep(); }

bool Parser::TooDeep() {
  return Fail(token_.start,
              absl::StrCat("the query is nested more than the ", max_depth_,
                           " levels allowed; simplify it"));
}

absl::StatusOr<ExprPtr> Parser::Expression() {
  ExprPtr root;
  if (Start()) {
    if (Is(TokenType::kEnd)) {
      Fail(0, "no expression found in input");
    } else {
      root = ParseExpr();
    }
    if (root != nullptr && !Is(TokenType::kEnd)) Unexpected();
  }
  if (!error_) error_ = CheckTypes(*root, text_);
  if (error_) return ErrorStatus();
  return root;
}

absl::StatusOr<std::vector<labels::Matcher>> Parser::MetricSelector() {
  ExprPtr selector;
  if (Start()) {
    const Token name = token_;
    if (IsMetricName(name.type)) {
      Advance();
      selector = ParseSelector(&name);
    } else if (Is(TokenType::kLeftBrace)) {
      selector = ParseSelector(nullptr);
    } else {
      Unexpected();
    }
    if (selector != nullptr && !Is(TokenType::kEnd)) Unexpected();
  }
  if (error_) return ErrorStatus();
  return std::move(static_cast<VectorSelector&>(*selector).matchers);
}

absl::StatusOr<ExprPtr> Parse(absl::string_view text,
                              const ParseOptions& options) {
  return Parser(text, options).Expression();
}

absl::StatusOr<std::vector<labels::Matcher>> ParseMetricSelector(
    absl::string_view text, const ParseOptions& options) {
  return Parser(text, options).MetricSelector();
}

}  // namespace insula::promql
