// Help, HelpMarkdown and Dump.
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/config/config.h"

namespace insula::config {
namespace {

// Text as a YAML scalar that reads back as the same text.
std::string YamlText(absl::string_view text) {
  static const auto& words = *new std::set<std::string>{
      "null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  bool plain = !text.empty() &&
               (absl::ascii_isalpha(text[0]) || text[0] == '/') &&
               words.count(absl::AsciiStrToLower(text)) == 0;
  for (const char c : text) {
    plain = plain && (absl::ascii_isalnum(c) || c == '/' || c == '_' ||
                      c == '-' || c == '.');
  }
  if (plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted.push_back('\\');
      quoted.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&quoted, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      quoted.push_back(c);
    }
  }
  quoted.push_back('"');
  return quoted;
}

std::string ShownValue(const Field& field) {
  const std::string value = field.get();
  return field.type == "string" || field.type == kSecretType ? YamlText(value)
                                                             : value;
}

void DumpBelow(const Fields& fields, const std::string& prefix, size_t indent,
               std::string* out);

void DumpElements(const ListField& list, size_t indent, std::string* out) {
  for (size_t i = 0; i < list.size(); ++i) {
    Fields element;
    list.describe(i, element);
    std::string text;
    DumpBelow(element, "", indent + 2, &text);
    // Its first line starts the element.
    absl::StrAppend(out, std::string(indent, ' '), "- ",
                    text.empty() ? "{}\n" : text.substr(indent + 2));
  }
}

// Prints what is below `prefix`. Groups need not be described in one go.
void DumpBelow(const Fields& fields, const std::string& prefix, size_t indent,
               std::string* out) {
  std::set<std::string> done;
  const std::string spaces(indent, ' ');
  for (const Field& field : fields.fields()) {
    absl::string_view rest = field.key;
    if (!absl::ConsumePrefix(&rest, prefix)) continue;
    const std::string name(rest.substr(0, rest.find('.')));
    if (!done.insert(name).second) continue;
    absl::StrAppend(out, spaces, name, ":");
    if (name != rest) {
      out->append("\n");
      DumpBelow(fields, absl::StrCat(prefix, name, "."), indent + 2, out);
    } else if (field.strings != nullptr) {
      out->append(field.strings->empty() ? " []\n" : "\n");
      for (const std::string& element : *field.strings) {
        absl::StrAppend(out, spaces, "  - ", YamlText(element), "\n");
      }
    } else if (field.list != nullptr) {
      out->append(field.list->size() == 0 ? " []\n" : "\n");
      DumpElements(*field.list, indent + 2, out);
    } else {
      absl::StrAppend(out, " ", ShownValue(field), "\n");
    }
  }
}

// One line of either help.
struct Row {
  std::string key;  // listeners[].name
  const Field* field;
  bool in_list;
};

void Visit(const Fields& fields, const std::string& prefix,
           const std::function<void(const Row&)>& visit) {
  for (const Field& field : fields.fields()) {
    visit({prefix + field.key, &field, !prefix.empty()});
    if (field.list == nullptr) continue;
    field.list->with_fresh([&](const Fields& element) {
      Visit(element, absl::StrCat(prefix, field.key, "[]."), visit);
    });
  }
}

}  // namespace

std::string Help(const Fields& fields) {
  std::string out;
  Visit(fields, "", [&out](const Row& row) {
    const Field& field = *row.field;
    if (field.set && !row.in_list && field.type != kSecretType) {
      absl::StrAppend(&out, "  --", absl::StrReplaceAll(row.key, {{"_", "-"}}),
                      " ", absl::AsciiStrToUpper(field.type));
    } else {
      absl::StrAppend(&out, "  ", row.key, " (", field.type,
                      row.in_list ? ")" : ", in the file only)");
    }
    if (!field.default_value.empty()) {
      absl::StrAppend(&out, ", default ", field.default_value);
    }
    absl::StrAppend(&out, "\n      ", field.help, "\n");
  });
  return out;
}

std::string HelpMarkdown(const Fields& fields) {
  std::string out =
      "| key | type | default | meaning |\n| --- | --- | --- | --- |\n";
  const auto cell = [](absl::string_view text) {
    return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}});
  };
  Visit(fields, "", [&](const Row& row) {
    const Field& field = *row.field;
    absl::StrAppend(&out, "| `", row.key, "` | ", field.type, " | ",
                    field.default_value.empty()
                        ? ""
                        : absl::StrCat("`", cell(field.default_value), "`"),
                    " | ", cell(field.help), " |\n");
  });
  return out;
}

std::string Dump(const Fields& fields) {
  std::string out;
  DumpBelow(fields, "", 0, &out);
  return out;
}

}  // namespace insula::config
