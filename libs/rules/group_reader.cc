#include "libs/rules/group_reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/promql/quote.h"

namespace insula::rules::internal {
namespace {

constexpr absl::string_view kRuleKeys =
    "record, alert, expr, for, keep_firing_for, labels, annotations";
constexpr absl::string_view kGroupKeys =
    "name, interval, query_offset, limit, labels, rules";

// Keys of later versions than the oldest that there is a dialect for.
bool IsNewerKey(absl::string_view key) {
  return key == "keep_firing_for" || key == "query_offset" || key == "labels";
}

const Entry* Find(const std::vector<Entry>& entries, absl::string_view key) {
  const auto found =
      std::find_if(entries.begin(), entries.end(),
                   [key](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

// What a scalar says, for messages; empty for anything else.
absl::string_view NameIn(const std::vector<Entry>& entries,
                         absl::string_view key) {
  const Entry* entry = Find(entries, key);
  return entry == nullptr ? absl::string_view() : entry->value->scalar;
}

}  // namespace

bool GroupReader::Foreign(const Entry& entry, absl::string_view prefix,
                          absl::string_view known_keys, Group* group) {
  if (options_.keep_foreign_keys) {
    std::string value;
    if (!decoder_->AnyValue(*entry.value, &value)) return false;
    if (!value.empty()) {
      group->foreign_keys.push_back(
          absl::StrCat(prefix, promql::Quoted(entry.key), ": ", value));
    }
    return true;
  }
  reporter_->Error(
      entry.key_position,
      IsNewerKey(entry.key)
          ? absl::StrCat("field ", entry.key,
                         " not found: the evaluator's version does not know "
                         "it; leave it out")
          : absl::StrCat("field ", Show(entry.key), " not found; there are ",
                         known_keys));
  return false;
}

std::optional<Group> GroupReader::Read(const YamlNode& node, int number) {
  reporter_->EnterGroup(number, "");
  Group group;
  group.position = node.position;
  std::vector<Entry> entries;
  bool good = decoder_->Entries(node, "a group", &entries);
  reporter_->EnterGroup(number, NameIn(entries, "name"));
  for (const Entry& entry : entries) {
    if (!ReadKey(entry, &group)) good = false;
  }
  std::sort(group.foreign_keys.begin(), group.foreign_keys.end());
  reporter_->LeaveGroup();
  if (!good) return std::nullopt;
  return group;
}

bool GroupReader::ReadKey(const Entry& entry, Group* group) {
  const YamlNode& value = *entry.value;
  const Dialect& dialect = options_.dialect;
  if (entry.key == "name") return decoder_->String(value, "name", &group->name);
  if (entry.key == "interval") {
    return decoder_->Duration(value, "interval", &group->interval);
  }
  if (entry.key == "query_offset" && dialect.query_offset) {
    if (value.kind == YamlNode::Kind::kNull) return true;
    return decoder_->Duration(value, "query_offset",
                              &group->query_offset.emplace());
  }
  if (entry.key == "limit") {
    return decoder_->Integer(value, "limit", &group->limit);
  }
  if (entry.key == "labels" && dialect.group_labels) {
    return decoder_->Strings(value, "labels", &group->labels);
  }
  if (entry.key == "rules") return ReadRules(value, group);
  return Foreign(entry, "", kGroupKeys, group);
}

bool GroupReader::ReadRules(const YamlNode& node, Group* group) {
  if (node.kind == YamlNode::Kind::kNull) return true;
  if (node.kind != YamlNode::Kind::kList) {
    reporter_->Error(
        node.position,
        absl::StrCat("field 'rules' must be a list, not ", Name(node.kind)));
    return false;
  }
  if (node.children.size() > options_.max_rules) {
    reporter_->Error(
        node.position,
        absl::StrCat("has ", node.children.size(), " rules, more than the ",
                     options_.max_rules, " allowed; split the group"));
    return false;
  }
  bool good = true;
  for (const YamlNode* child : node.children) {
    // As Prometheus does: what is not there is no rule, and does not count.
    if (child->kind == YamlNode::Kind::kNull) continue;
    if (!ReadRule(*child, static_cast<int>(group->rules.size()) + 1, group)) {
      good = false;
    }
  }
  reporter_->LeaveRule();
  return good;
}

bool GroupReader::ReadRule(const YamlNode& node, int number, Group* group) {
  reporter_->EnterRule(number, "");
  // Counts even if it is bad, for the numbers of those behind it.
  Rule& rule = group->rules.emplace_back();
  rule.position = rule.name_position = rule.expr_position = node.position;
  std::vector<Entry> entries;
  bool good = decoder_->Entries(node, "a rule", &entries);
  const absl::string_view alert = NameIn(entries, "alert");
  reporter_->EnterRule(number,
                       alert.empty() ? NameIn(entries, "record") : alert);
  for (const Entry& entry : entries) {
    bool known = true;
    if (!ReadRuleKey(entry, &rule, &known)) good = false;
    if (!known && !Foreign(entry, absl::StrCat("rule ", number, ": "),
                           kRuleKeys, group)) {
      good = false;
    }
  }
  return good;
}

bool GroupReader::ReadRuleKey(const Entry& entry, Rule* rule, bool* known) {
  const absl::string_view key = entry.key;
  const YamlNode& value = *entry.value;
  if (key == "record" || key == "alert") {
    rule->name_position = value.position;
    return decoder_->String(value, key,
                            key == "alert" ? &rule->alert : &rule->record);
  }
  if (key == "expr") {
    rule->expr_position = value.position;
    return decoder_->String(value, key, &rule->expr);
  }
  if (key == "for") return decoder_->Duration(value, key, &rule->for_duration);
  if (key == "keep_firing_for" && options_.dialect.keep_firing_for) {
    return decoder_->Duration(value, key, &rule->keep_firing_for);
  }
  if (key == "labels") return decoder_->Strings(value, key, &rule->labels);
  if (key == "annotations") {
    return decoder_->Strings(value, key, &rule->annotations);
  }
  *known = false;
  return true;
}

}  // namespace insula::rules::internal
