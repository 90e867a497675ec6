#include "libs/rules/group.h"

#include <tuple>

namespace insula::rules {
namespace {

auto Meaning(const Rule& rule) {
  return std::tie(rule.record, rule.alert, rule.expr, rule.for_duration,
                  rule.keep_firing_for, rule.labels, rule.annotations);
}

auto Meaning(const Group& group) {
  return std::tie(group.name, group.interval, group.query_offset, group.limit,
                  group.labels, group.rules, group.foreign_keys);
}

}  // namespace

bool operator==(const Rule& a, const Rule& b) {
  return Meaning(a) == Meaning(b);
}

bool operator==(const Group& a, const Group& b) {
  return Meaning(a) == Meaning(b);
}

}  // namespace insula::rules
