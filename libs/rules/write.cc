#include "libs/rules/write.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "libs/promql/literal.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/promql/quote.h"

namespace insula::rules {
namespace {

// Readers take a key of up to 1,024 characters in front of its colon; a longer
// one needs a question mark.
constexpr size_t kMaxSimpleKeyBytes = 1000;

void AppendEscape(char32_t c, std::string* out) {
  switch (c) {
    case '\n':
      out->append("\\n");
      return;
    case '\t':
      out->append("\\t");
      return;
    case '"':
    case '\\':
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
      return;
    default:
      if (c <= 0xFFFF) {
        absl::StrAppendFormat(out, "\\u%04x", static_cast<uint32_t>(c));
      } else {
        absl::StrAppendFormat(out, "\\U%08x", static_cast<uint32_t>(c));
      }
  }
}

bool NeedsEscape(char32_t c) {
  if (c < 0x20 || c == '"' || c == '\\') return true;
  if (c < 0x7F) return false;
  // Controls, what some readers take for line ends, the byte order mark, and
  // what is no character.
  return c < 0xA0 || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
         (c & 0xFFFE) == 0xFFFE;
}

// `text` in double quotes, as every version of YAML reads it.
std::string Quote(absl::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = promql::DecodeCharacter(text, &c);
    if (NeedsEscape(c)) {
      AppendEscape(c, &out);
    } else if (length == 1 && c == promql::kReplacement) {
      out.append("\xEF\xBF\xBD");  // A byte that is not UTF-8.
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  out.push_back('"');
  return out;
}

// Writes lines of keys and values at one indentation. The first may stand
// behind the dash of a list.
class Map {
 public:
  Map(int indent, bool in_list, std::string* out)
      : indent_(indent), dash_(in_list), out_(out) {}

  void Add(absl::string_view key, absl::string_view value) {
    Indent();
    absl::StrAppend(out_, key, ":", value.empty() ? "" : " ", value, "\n");
  }
  void AddText(absl::string_view key, absl::string_view text) {
    if (!text.empty()) Add(key, Quote(text));
  }
  void AddDuration(absl::string_view key, absl::Duration duration) {
    if (duration != absl::ZeroDuration()) {
      Add(key, promql::DurationText(duration));
    }
  }
  void AddLabels(absl::string_view key, const Labels& labels) {
    if (labels.empty()) return;
    Add(key, "");
    Map inner(indent_ + 2, false, out_);
    for (const auto& [name, value] : labels) inner.AddEntry(name, value);
  }

 private:
  void AddEntry(absl::string_view name, absl::string_view value) {
    const std::string key = Quote(name);
    if (key.size() <= kMaxSimpleKeyBytes) {
      Add(key, Quote(value));
      return;
    }
    Indent();
    absl::StrAppend(out_, "? ", key, "\n");
    Indent();
    absl::StrAppend(out_, ": ", Quote(value), "\n");
  }

  void Indent() {
    out_->append(dash_ ? indent_ - 2 : indent_, ' ');
    if (dash_) out_->append("- ");
    dash_ = false;
  }

  const int indent_;
  bool dash_;
  std::string* const out_;
};

void AppendRule(const Rule& rule, int indent, std::string* out) {
  Map map(indent, true, out);
  map.AddText("record", rule.record);
  map.AddText("alert", rule.alert);
  map.Add("expr", Quote(rule.expr));
  map.AddDuration("for", rule.for_duration);
  map.AddDuration("keep_firing_for", rule.keep_firing_for);
  map.AddLabels("labels", rule.labels);
  map.AddLabels("annotations", rule.annotations);
}

void AppendGroup(const Group& group, int indent, bool in_list,
                 std::string* out) {
  Map map(indent, in_list, out);
  map.Add("name", Quote(group.name));
  map.AddDuration("interval", group.interval);
  if (group.query_offset.has_value()) {
    map.Add("query_offset", promql::DurationText(*group.query_offset));
  }
  if (group.limit != 0) map.Add("limit", absl::StrCat(group.limit));
  map.AddLabels("labels", group.labels);
  if (group.rules.empty()) {
    map.Add("rules", "[]");
    return;
  }
  map.Add("rules", "");
  for (const Rule& rule : group.rules) AppendRule(rule, indent + 4, out);
}

// The expression as the printer has it, or as it is if it does not parse.
std::string CanonicalExpression(const std::string& expr) {
  const auto parsed = promql::Parse(expr);
  return parsed.ok() ? promql::Print(**parsed) : expr;
}

}  // namespace

std::string Write(absl::Span<const Group> groups) {
  if (groups.empty()) return "groups: []\n";
  std::string out = "groups:\n";
  for (const Group& group : groups) AppendGroup(group, 4, true, &out);
  return out;
}

std::string WriteGroup(const Group& group) {
  std::string out;
  AppendGroup(group, 0, false, &out);
  return out;
}

std::string Canonical(const Group& group) {
  Group copy = group;
  for (Rule& rule : copy.rules) rule.expr = CanonicalExpression(rule.expr);
  copy.limit = std::max<int64_t>(copy.limit, 0);
  std::string out = WriteGroup(copy);
  for (const std::string& key : copy.foreign_keys) {
    absl::StrAppend(&out, "# ", key, "\n");
  }
  return out;
}

std::string Digest(const Group& group) {
  const std::string text = Canonical(group);
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), sum, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(sum), size));
}

}  // namespace insula::rules
