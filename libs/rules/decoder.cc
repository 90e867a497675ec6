#include "libs/rules/decoder.h"

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/promql/literal.h"
#include "libs/promql/quote.h"

namespace insula::rules::internal {
namespace {

constexpr absl::string_view kMergeKey = "<<";
constexpr int kMaxDepth = 100;

bool IsMerge(const YamlNode& key) {
  return !key.quoted && key.scalar == kMergeKey;
}

// The digits of an integer in the base that its prefix tells, as Go reads them.
std::optional<int64_t> ParseDigits(absl::string_view text) {
  int base = 10;
  const auto strip = [&](absl::string_view prefix, int prefix_base) {
    if (base != 10 || text.size() <= prefix.size() ||
        !absl::StartsWithIgnoreCase(text, prefix)) {
      return;
    }
    text.remove_prefix(prefix.size());
    base = prefix_base;
  };
  strip("0x", 16);
  strip("0o", 8);
  strip("0b", 2);
  strip("0", 8);
  int64_t value = 0;
  if (text.empty()) return std::nullopt;
  for (const char c : text) {
    int digit = 99;
    if (absl::ascii_isdigit(static_cast<unsigned char>(c))) digit = c - '0';
    if (absl::ascii_isxdigit(static_cast<unsigned char>(c)) && digit == 99) {
      digit = absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10;
    }
    if (digit >= base) return std::nullopt;
    if (value > (std::numeric_limits<int64_t>::max() - digit) / base) {
      return std::nullopt;
    }
    value = value * base + digit;
  }
  return value;
}

// An integer of YAML: decimal or with a prefix, `_` between digits, or a
// decimal fraction without one (`1e3`, `5.0`).
std::optional<int64_t> ParseInteger(absl::string_view text) {
  const std::string plain = absl::StrReplaceAll(text, {{"_", ""}});
  absl::string_view digits = plain;
  const bool negative = absl::ConsumePrefix(&digits, "-");
  if (!negative) absl::ConsumePrefix(&digits, "+");
  if (const auto value = ParseDigits(digits)) {
    return negative ? -*value : *value;
  }
  if (digits.empty() || digits.front() == '-' || digits.front() == '+' ||
      digits.find_first_not_of("0123456789.eE+-") != absl::string_view::npos) {
    return std::nullopt;
  }
  double number = 0;
  constexpr double kExact = int64_t{1} << 53;
  if (!absl::SimpleAtod(digits, &number) || number > kExact ||
      static_cast<double>(static_cast<int64_t>(number)) != number) {
    return std::nullopt;
  }
  return static_cast<int64_t>(negative ? -number : number);
}

// Whether `text` is a duration of zeros: promql::ParseDuration() takes none, so
// it is asked about the same one with ones.
bool IsZeroDuration(absl::string_view text) {
  std::string ones;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = absl::ascii_isdigit(static_cast<unsigned char>(text[i]));
    if (digit && text[i] != '0') return false;
    if (digit && i > 0 && text[i - 1] == '0') continue;
    ones.push_back(digit ? '1' : text[i]);
  }
  return promql::ParseDuration(ones).ok();
}

}  // namespace

bool ReadDuration(absl::string_view text, absl::Duration* duration) {
  if (text == "0" || IsZeroDuration(text)) {
    *duration = absl::ZeroDuration();
    return true;
  }
  const auto parsed = promql::ParseDuration(text);
  if (parsed.ok()) *duration = *parsed;
  return parsed.ok();
}

bool Decoder::Fail(const YamlNode& node, absl::string_view message) {
  if (!spent_) reporter_->Error(node.position, message);
  return false;
}

bool Decoder::Spend(const YamlNode& node) {
  if (spent_) return false;
  if (nodes_left_ == 0 || bytes_left_ < node.scalar.size()) {
    reporter_->LeaveGroup();
    Fail(node,
         "too long when aliases (*name) are followed; use fewer of them, or "
         "split the file");
    spent_ = true;
    return false;
  }
  --nodes_left_;
  bytes_left_ -= node.scalar.size();
  return true;
}

bool Decoder::OwnEntries(const YamlNode& node, absl::string_view what,
                         std::vector<Entry>* entries,
                         std::vector<const YamlNode*>* merged) {
  std::set<absl::string_view> keys;
  bool merges = false;
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    const YamlNode& key = *node.children[i];
    const YamlNode* value = node.children[i + 1];
    if (!Spend(key)) return false;
    if (key.kind != YamlNode::Kind::kScalar) {
      return Fail(key, absl::StrCat("a key of ", what,
                                    " must be a string, not ", Name(key.kind)));
    }
    const bool merge = IsMerge(key);
    if (merge ? std::exchange(merges, true) : !keys.insert(key.scalar).second) {
      return Fail(key, absl::StrCat("mapping key ", Show(key.scalar),
                                    " already defined; keep one of them"));
    }
    if (merge) {
      if (value->kind == YamlNode::Kind::kList) {
        *merged = value->children;
      } else {
        merged->push_back(value);
      }
    } else {
      entries->push_back({key.scalar, key.position, value});
    }
  }
  return true;
}

bool Decoder::Entries(const YamlNode& node, absl::string_view what, int depth,
                      std::vector<Entry>* entries) {
  if (!Spend(node)) return false;
  if (depth > kMaxDepth) {
    return Fail(node, absl::StrCat("merge keys (<<) lead on more than ",
                                   kMaxDepth, " times; write the values out"));
  }
  if (node.kind != YamlNode::Kind::kMap) {
    return Fail(node,
                absl::StrCat(what, " must be a map, not ", Name(node.kind)));
  }
  std::vector<const YamlNode*> merged;
  if (!OwnEntries(node, what, entries, &merged)) return false;
  if (merged.empty()) return true;

  // What stands here wins over what is merged, and what is merged first over
  // what is merged later.
  std::set<std::string> keys;
  for (const Entry& entry : *entries) keys.insert(entry.key);
  for (const YamlNode* source : merged) {
    if (source->kind != YamlNode::Kind::kMap) {
      return Fail(*source,
                  "map merge (<<) requires a map or a list of maps as the "
                  "value");
    }
    std::vector<Entry> more;
    if (!Entries(*source, what, depth + 1, &more)) return false;
    for (Entry& entry : more) {
      if (keys.insert(entry.key).second) entries->push_back(std::move(entry));
    }
  }
  return true;
}

bool Decoder::String(const YamlNode& node, absl::string_view key,
                     std::string* value) {
  if (!Spend(node)) return false;
  if (node.kind == YamlNode::Kind::kNull) return true;
  if (node.kind != YamlNode::Kind::kScalar) {
    return Fail(
        node, absl::StrCat("field '", Excerpt(key), "' must be a string, not ",
                           Name(node.kind)));
  }
  *value = node.scalar;
  return true;
}

bool Decoder::Duration(const YamlNode& node, absl::string_view key,
                       absl::Duration* value) {
  if (!Spend(node)) return false;
  if (node.kind == YamlNode::Kind::kNull) return true;
  if (node.kind != YamlNode::Kind::kScalar) {
    return Fail(node, absl::StrCat("field '", key, "' must be a duration, not ",
                                   Name(node.kind)));
  }
  if (ReadDuration(node.scalar, value)) return true;
  return Fail(
      node, absl::StrCat("field '", key,
                         "': not a valid duration string: ", Show(node.scalar),
                         "; write for example 90s, 1h30m or 1d, at most 292y"));
}

bool Decoder::Integer(const YamlNode& node, absl::string_view key,
                      int64_t* value) {
  if (!Spend(node)) return false;
  if (node.kind == YamlNode::Kind::kNull) return true;
  std::optional<int64_t> number;
  if (node.kind == YamlNode::Kind::kScalar && !node.quoted) {
    number = ParseInteger(node.scalar);
  }
  if (!number.has_value()) {
    return Fail(node, absl::StrCat("field '", key,
                                   "' must be a whole number without quotes"));
  }
  *value = *number;
  return true;
}

bool Decoder::Strings(const YamlNode& node, absl::string_view key,
                      Labels* values) {
  if (node.kind == YamlNode::Kind::kNull) return Spend(node);
  std::vector<Entry> entries;
  if (!Entries(node, key, &entries)) return false;
  bool good = true;
  for (const Entry& entry : entries) {
    std::string& value = (*values)[entry.key];
    if (!String(*entry.value, absl::StrCat(key, ".", entry.key), &value)) {
      good = false;
    }
  }
  return good;
}

bool Decoder::AnyValue(const YamlNode& node, int depth, std::string* text) {
  if (depth > kMaxDepth) return Fail(node, "nested too deep");
  if (node.kind != YamlNode::Kind::kMap && !Spend(node)) return false;
  text->clear();
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return true;
    case YamlNode::Kind::kScalar:
      if (node.scalar.empty()) return true;
      if (!node.quoted && (node.scalar == "0" || node.scalar == "false")) {
        return true;
      }
      *text = promql::Quoted(node.scalar);
      return true;
    case YamlNode::Kind::kList:
      for (const YamlNode* child : node.children) {
        std::string element;
        if (!AnyValue(*child, depth + 1, &element)) return false;
        absl::StrAppend(text, text->empty() ? "[" : ",", element);
      }
      if (!text->empty()) text->push_back(']');
      return true;
    case YamlNode::Kind::kMap:
      std::vector<Entry> entries;
      if (!Entries(node, "a map", &entries)) return false;
      std::map<std::string, std::string> values;
      for (const Entry& entry : entries) {
        if (!AnyValue(*entry.value, depth + 1, &values[entry.key])) {
          return false;
        }
      }
      for (const auto& [key, value] : values) {
        absl::StrAppend(text, text->empty() ? "{" : ",", promql::Quoted(key),
                        ":", value);
      }
      if (!text->empty()) text->push_back('}');
      return true;
  }
  return true;
}

}  // namespace insula::rules::internal
