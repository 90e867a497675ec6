// What stands between an operator and its right operand: how vectors match.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/labels/validity.h"
#include "libs/promql/parser_impl.h"
#include "libs/promql/quote.h"

namespace insula::promql {
namespace {

bool IsFill(TokenType type) {
  return type == TokenType::kFill || type == TokenType::kFillLeft ||
         type == TokenType::kFillRight;
}

}  // namespace

bool Parser::ParseBinaryModifiers(Binary& binary) {
  if (Is(TokenType::kBool)) {
    binary.return_bool = true;
    Advance();
  }
  const bool listed = Is(TokenType::kOn) || Is(TokenType::kIgnoring);
  if (!listed && !IsFill(token_.type)) return true;
  VectorMatching& matching = binary.matching.emplace();
  if (!listed) return ParseFill(matching);
  matching.on = Is(TokenType::kOn);
  Advance();
  if (!ParseLabels(&matching.labels)) return false;
  if (!Is(TokenType::kGroupLeft) && !Is(TokenType::kGroupRight)) {
    return ParseFill(matching);
  }
  matching.cardinality = Is(TokenType::kGroupLeft) ? Cardinality::kManyToOne
                                                   : Cardinality::kOneToMany;
  Advance();
  // The labels may be absent; then the right operand follows.
  const bool absent = IsFill(token_.type) || (StartsExpression(token_.type) &&
                                              !Is(TokenType::kLeftParen));
  if (!absent && !ParseLabels(&matching.include)) return false;
  return ParseFill(matching);
}

// `fill (0)`, or one of `fill_left (0)` and `fill_right (0)`, or both.
bool Parser::ParseFill(VectorMatching& matching) {
  if (Is(TokenType::kFill)) {
    return ParseFillValue(&matching.fill_left, &matching.fill_right);
  }
  for (int i = 0; i < 2; ++i) {
    std::optional<double>* side = nullptr;
    if (Is(TokenType::kFillLeft)) side = &matching.fill_left;
    if (Is(TokenType::kFillRight)) side = &matching.fill_right;
    if (side == nullptr) return true;
    if (side->has_value()) return Unexpected("fill modifiers");
    if (!ParseFillValue(side, side)) return false;
  }
  return true;
}

bool Parser::ParseFillValue(std::optional<double>* left,
                            std::optional<double>* right) {
  constexpr absl::string_view kContext = "fill modifiers";
  Advance();
  if (!Is(TokenType::kLeftParen)) return Unexpected(kContext, "\"(\"");
  Advance();
  const bool minus = Is(TokenType::kSubtract);
  if (minus || Is(TokenType::kAdd)) Advance();
  if (!Is(TokenType::kNumber)) return Unexpected(kContext, "number");
  double value = 0;
  if (!ParseNumberToken(&value)) return false;
  if (!Is(TokenType::kRightParen)) return Unexpected(kContext, "\")\"");
  Advance();
  *left = *right = minus ? -value : value;
  return true;
}

bool Parser::ParseLabels(std::vector<std::string>* labels) {
  constexpr absl::string_view kContext = "grouping opts";
  if (!Is(TokenType::kLeftParen)) return Unexpected(kContext, "\"(\"");
  Advance();
  const bool any_name = options_.dialect.IsVersion3();
  while (!Is(TokenType::kRightParen)) {
    if (Is(TokenType::kString) && any_name) {
      std::string name = Unquote(token_.text);
      if (!CheckName(name)) return false;
      labels->push_back(std::move(name));
    } else if (!IsGroupingLabel(token_.type) ||
               !(any_name || labels::IsLegacyLabelName(token_.text))) {
      return Unexpected(kContext, "label");
    } else {
      labels->emplace_back(token_.text);
    }
    Advance();
    if (Is(TokenType::kComma)) {
      Advance();
    } else if (!Is(TokenType::kRightParen)) {
      return Unexpected(kContext, "\",\" or \")\"");
    }
  }
  Advance();
  return true;
}

}  // namespace insula::promql
