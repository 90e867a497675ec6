#include "libs/promql/clone.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "libs/promql/visit.h"

namespace insula::promql {
namespace {

constexpr size_t kNodeBytes = 16;

size_t Bytes(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size() + 2;
  return bytes;
}

// A copy of `node` above copies of its children, in the order of Child(),
// which it takes away.
ExprPtr CloneNode(const Expr& node, ExprPtr* children) {
  switch (node.kind) {
    case ExprKind::kAggregate: {
      const auto& old = static_cast<const Aggregate&>(node);
      auto* copy = new Aggregate;
      ExprPtr owner(copy);
      copy->op = old.op;
      copy->without = old.without;
      copy->grouping = old.grouping;
      copy->expr = std::move(children[0]);
      if (old.parameter != nullptr) copy->parameter = std::move(children[1]);
      return owner;
    }
    case ExprKind::kBinary: {
      const auto& old = static_cast<const Binary&>(node);
      auto* copy = new Binary;
      ExprPtr owner(copy);
      copy->op = old.op;
      copy->return_bool = old.return_bool;
      copy->matching = old.matching;
      copy->lhs = std::move(children[0]);
      copy->rhs = std::move(children[1]);
      return owner;
    }
    case ExprKind::kCall: {
      const auto& old = static_cast<const Call&>(node);
      auto* copy = new Call(old.function);
      ExprPtr owner(copy);
      for (size_t i = 0; i < old.args.size(); ++i) {
        copy->args.push_back(std::move(children[i]));
      }
      return owner;
    }
    case ExprKind::kMatrixSelector: {
      auto* copy = new MatrixSelector(std::move(children[0]));
      copy->window = static_cast<const MatrixSelector&>(node).window;
      copy->window_expression =
          static_cast<const MatrixSelector&>(node).window_expression;
      return ExprPtr(copy);
    }
    case ExprKind::kNumber: {
      auto* copy = new Number;
      copy->value = static_cast<const Number&>(node).value;
      copy->duration = static_cast<const Number&>(node).duration;
      return ExprPtr(copy);
    }
    case ExprKind::kParen:
      return ExprPtr(new Paren(std::move(children[0])));
    case ExprKind::kString: {
      auto* copy = new String;
      copy->value = static_cast<const String&>(node).value;
      return ExprPtr(copy);
    }
    case ExprKind::kSubquery: {
      const auto& old = static_cast<const Subquery&>(node);
      auto* copy = new Subquery(std::move(children[0]));
      copy->window = old.window;
      copy->step = old.step;
      copy->window_expression = old.window_expression;
      copy->step_expression = old.step_expression;
      copy->modifiers = old.modifiers;
      return ExprPtr(copy);
    }
    case ExprKind::kUnary:
      return ExprPtr(new Unary(static_cast<const Unary&>(node).negative,
                               std::move(children[0])));
    case ExprKind::kVectorSelector: {
      const auto& old = static_cast<const VectorSelector&>(node);
      auto* copy = new VectorSelector;
      ExprPtr owner(copy);
      copy->name = old.name;
      copy->matchers = old.matchers;
      copy->modifiers = old.modifiers;
      copy->extension = old.extension;
      copy->labels_only = old.labels_only;
      return owner;
    }
  }
  return nullptr;
}

}  // namespace

size_t NodeBytes(const Expr& node) {
  switch (node.kind) {
    case ExprKind::kAggregate:
      return kNodeBytes + Bytes(static_cast<const Aggregate&>(node).grouping);
    case ExprKind::kBinary: {
      const auto& matching = static_cast<const Binary&>(node).matching;
      if (!matching.has_value()) return kNodeBytes;
      return kNodeBytes + Bytes(matching->labels) + Bytes(matching->include);
    }
    case ExprKind::kString:
      return kNodeBytes + static_cast<const String&>(node).value.size();
    case ExprKind::kVectorSelector: {
      const auto& modifiers =
          static_cast<const VectorSelector&>(node).modifiers;
      size_t bytes = kNodeBytes + modifiers.offset_expression.size();
      for (const labels::Matcher& matcher :
           static_cast<const VectorSelector&>(node).matchers) {
        bytes += matcher.name().size() + matcher.value().size() + 5;
      }
      return bytes;
    }
    case ExprKind::kMatrixSelector:
      return kNodeBytes +
             static_cast<const MatrixSelector&>(node).window_expression.size();
    case ExprKind::kSubquery: {
      const auto& subquery = static_cast<const Subquery&>(node);
      return kNodeBytes + subquery.window_expression.size() +
             subquery.step_expression.size() +
             subquery.modifiers.offset_expression.size();
    }
    case ExprKind::kCall:
    case ExprKind::kNumber:
    case ExprKind::kParen:
    case ExprKind::kUnary:
      return kNodeBytes;
  }
  return kNodeBytes;
}

ExprPtr Clone(const Expr& root, size_t* budget) {
  struct Frame {
    const Expr* expr;
    size_t next;  // The child that comes next.
  };
  std::vector<Frame> stack = {{&root, 0}};
  std::vector<ExprPtr> done;  // Copies that wait for their parents.
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (const Expr* child = Child(*frame.expr, frame.next)) {
      ++frame.next;
      stack.push_back({child, 0});
      continue;
    }
    const Expr& node = *frame.expr;
    const size_t first = done.size() - frame.next;
    stack.pop_back();
    const size_t bytes = NodeBytes(node);
    if (bytes > *budget) return nullptr;
    *budget -= bytes;
    ExprPtr copy = CloneNode(node, done.data() + first);
    if (copy == nullptr) return nullptr;
    copy->type = node.type;
    copy->range = node.range;
    done.resize(first);
    done.push_back(std::move(copy));
  }
  return std::move(done.front());
}

}  // namespace insula::promql
