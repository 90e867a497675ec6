#include "libs/promql/absent_labels.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "libs/promql/functions.h"
#include "libs/promql/printer.h"

namespace insula::promql {
namespace {

using labels::Matcher;
using labels::MatchType;

ExprPtr Text(absl::string_view value) {
  auto* node = new String;
  node->value = std::string(value);
  return ExprPtr(node);
}

}  // namespace

ExprPtr LabelReplace(ExprPtr expr, absl::string_view label,
                     absl::string_view replacement, absl::string_view source,
                     absl::string_view regex) {
  auto* call = new Call(FindFunction("label_replace"));
  ExprPtr owner(call);
  call->args.push_back(std::move(expr));
  for (const absl::string_view text : {label, replacement, source, regex}) {
    call->args.push_back(Text(text));
  }
  return owner;
}

LabelSet LabelsOfAbsent(const Clause& matchers) {
  LabelSet labels;
  std::set<std::string> seen;
  for (const Matcher& matcher : matchers) {
    if (matcher.name() == labels::kMetricName) continue;
    if (matcher.type() == MatchType::kEqual &&
        seen.insert(matcher.name()).second) {
      labels[matcher.name()] = matcher.value();
    } else {
      labels.erase(matcher.name());
    }
  }
  for (auto it = labels.begin(); it != labels.end();) {
    it = it->second.empty() ? labels.erase(it) : std::next(it);
  }
  return labels;
}

Clause AsPrinted(Clause matchers) {
  std::stable_sort(matchers.begin(), matchers.end(),
                   [](const Matcher& a, const Matcher& b) {
                     return PrintSelector({a}) < PrintSelector({b});
                   });
  return matchers;
}

ExprPtr Relabeled(ExprPtr answer, const LabelSet& have, const LabelSet& want) {
  for (const auto& [name, value] : have) {
    if (want.count(name) == 0) {
      answer = LabelReplace(std::move(answer), name, "", "", "");
    }
  }
  for (const auto& [name, value] : want) {
    const auto found = have.find(name);
    if (found != have.end() && found->second == value) continue;
    // `$` stands for a part of the match.
    answer = LabelReplace(std::move(answer), name,
                          absl::StrReplaceAll(value, {{"$", "$$"}}), "", "");
  }
  return answer;
}

}  // namespace insula::promql
