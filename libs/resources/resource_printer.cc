#include "libs/resources/resource_printer.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace insula::resources {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// What is printed: a scalar, a list or a map.
struct Value {
  enum class Kind { kScalar, kText, kList, kMap };
  Kind kind = Kind::kScalar;
  std::string text;  // kScalar: as it is printed. kText: to be quoted.
  struct Child;
  std::vector<Child> children;
};
struct Value::Child {
  std::string key;  // Of a map only.
  Value value;
};

Value Scalar(std::string text) {
  return {Value::Kind::kScalar, std::move(text), {}};
}
Value Text(std::string text) {
  return {Value::Kind::kText, std::move(text), {}};
}

// A code point of UTF-8 at the start of `text`, and its length; of bytes that
// are not UTF-8, the byte and -1.
std::pair<uint32_t, int> FirstCodePoint(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const int length = first >= 0xF0 && first < 0xF5   ? 4
                     : first >= 0xE0 && first < 0xF0 ? 3
                     : first >= 0xC2 && first < 0xE0 ? 2
                                                     : 0;
  if (length == 0 || text.size() < static_cast<size_t>(length)) {
    return {first, -1};
  }
  uint32_t point = first & (0x7Fu >> length);
  for (int i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {first, -1};
    point = point << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = point < (length == 4   ? 0x10000u
                                 : length == 3 ? 0x800u
                                               : 0x80u);
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  if (overlong || surrogate || point > 0x10FFFF) return {first, -1};
  return {point, length};
}

// Controls, line separators, and what turns the direction of text.
bool MisleadsATerminal(uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xAD ||
         point == 0x61C || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF;
}

void AppendEscaped(absl::string_view text, bool quoted, std::string* out) {
  while (!text.empty()) {
    const auto [point, length] = FirstCodePoint(text);
    if (length < 0) {
      // No text of an object: those are UTF-8.
      absl::StrAppend(out,
                      quoted ? "\\ufffd" : absl::StrFormat("\\x%02x", point));
      text.remove_prefix(1);
      continue;
    }
    if (MisleadsATerminal(point)) {
      absl::StrAppend(out, absl::StrFormat("\\u%04x", point));
    } else {
      if (quoted && (point == '"' || point == '\\')) out->push_back('\\');
      out->append(text.data(), static_cast<size_t>(length));
    }
    text.remove_prefix(static_cast<size_t>(length));
  }
}

// A plain scalar means the same to every reader of YAML.
bool IsPlain(absl::string_view text) {
  static constexpr std::array<absl::string_view, 9> kWords = {
      "true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  if (text.empty() || !(absl::ascii_isalpha(text[0]) || text[0] == '/')) {
    return false;
  }
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("_-./", c)) return false;
  }
  return std::none_of(kWords.begin(), kWords.end(), [&](absl::string_view w) {
    return absl::EqualsIgnoreCase(w, text);
  });
}

std::string Double(double value) {
  std::string text = absl::StrFormat("%.15g", value);
  double read = 0;
  if (!absl::SimpleAtod(text, &read) || read != value) {
    text = absl::StrFormat("%.17g", value);
  }
  return text;
}

Value EnumValue(const FieldDescriptor& field, int number) {
  const EnumValueDescriptor* value =
      field.enum_type()->FindValueByNumber(number);
  // Of a later version.
  if (value == nullptr) return Scalar(absl::StrCat(number));
  absl::string_view name = value->name();
  absl::string_view prefix = field.enum_type()->value(0)->name();
  if (absl::EndsWith(prefix, "UNSPECIFIED")) {
    prefix.remove_suffix(strlen("UNSPECIFIED"));
    if (absl::StartsWith(name, prefix)) name.remove_prefix(prefix.size());
  }
  return Text(std::string(name));
}

// With `zeros`, numbers and bools that are 0 and false are in it too.
Value MessageValue(const Message& message, bool zeros);

// Of a repeated field, its element `index`.
Value FieldValue(const Message& message, const FieldDescriptor& field,
                 int index, bool zeros) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
// Reads a single value, or one of many.
#define VALUE_OF(Type)                                             \
  (repeated ? reflection.GetRepeated##Type(message, &field, index) \
            : reflection.Get##Type(message, &field))
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Scalar(absl::StrCat(VALUE_OF(Int32)));
    case FieldDescriptor::CPPTYPE_INT64:
      return Scalar(absl::StrCat(VALUE_OF(Int64)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Scalar(absl::StrCat(VALUE_OF(UInt32)));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Scalar(absl::StrCat(VALUE_OF(UInt64)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Scalar(Double(VALUE_OF(Double)));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Scalar(Double(VALUE_OF(Float)));
    case FieldDescriptor::CPPTYPE_BOOL:
      return Scalar(VALUE_OF(Bool) ? "true" : "false");
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumValue(field, VALUE_OF(EnumValue));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageValue(VALUE_OF(Message), zeros);
    case FieldDescriptor::CPPTYPE_STRING:
      break;
  }
  const std::string text = VALUE_OF(String);
#undef VALUE_OF
  if (field.type() != FieldDescriptor::TYPE_BYTES) return Text(text);
  const bool hex = text.size() == 16 || text.size() == 32;
  return Text(hex ? absl::BytesToHexString(text) : absl::Base64Escape(text));
}

Value MapValue(const Message& message, const FieldDescriptor& field,
               bool zeros) {
  Value map{Value::Kind::kMap, "", {}};
  const Reflection& reflection = *message.GetReflection();
  const auto& entry = *field.message_type();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& pair = reflection.GetRepeatedMessage(message, &field, i);
    map.children.emplace_back(FieldValue(pair, *entry.map_key(), 0, zeros).text,
                              FieldValue(pair, *entry.map_value(), 0, zeros));
  }
  std::sort(map.children.begin(), map.children.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  return map;
}

// Those that are set, and with `zeros` also numbers and bools that can't be
// unset, in the order of the proto.
std::vector<const FieldDescriptor*> FieldsOf(const Message& message,
                                             bool zeros) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  if (!zeros) return fields;
  const std::set<const FieldDescriptor*> set(fields.begin(), fields.end());
  fields.clear();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const bool number = !field->is_repeated() && !field->has_presence() &&
                        field->cpp_type() <= FieldDescriptor::CPPTYPE_BOOL;
    if (number || set.contains(field)) fields.push_back(field);
  }
  return fields;
}

Value MessageValue(const Message& message, bool zeros) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Duration") {
    google::protobuf::Duration duration;
    duration.CopyFrom(message);
    return Text(absl::FormatDuration(absl::Seconds(duration.seconds()) +
                                     absl::Nanoseconds(duration.nanos())));
  }
  if (type == "google.protobuf.Timestamp") {
    google::protobuf::Timestamp timestamp;
    timestamp.CopyFrom(message);
    return Text(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ",
                                 absl::FromUnixSeconds(timestamp.seconds()) +
                                     absl::Nanoseconds(timestamp.nanos()),
                                 absl::UTCTimeZone()));
  }
  Value map{Value::Kind::kMap, "", {}};
  const Reflection& reflection = *message.GetReflection();
  for (const FieldDescriptor* field : FieldsOf(message, zeros)) {
    if (field->is_map()) {
      map.children.emplace_back(field->name(),
                                MapValue(message, *field, zeros));
    } else if (field->is_repeated()) {
      Value list{Value::Kind::kList, "", {}};
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        list.children.emplace_back("", FieldValue(message, *field, i, zeros));
      }
      map.children.emplace_back(field->name(), std::move(list));
    } else {
      map.children.emplace_back(field->name(),
                                FieldValue(message, *field, 0, zeros));
    }
  }
  return map;
}

void AppendJson(const Value& value, std::string* out) {
  switch (value.kind) {
    case Value::Kind::kScalar:
      absl::StrAppend(out, value.text);
      return;
    case Value::Kind::kText:
      absl::StrAppend(out, Quote(value.text));
      return;
    case Value::Kind::kList:
    case Value::Kind::kMap:
      break;
  }
  const bool map = value.kind == Value::Kind::kMap;
  out->push_back(map ? '{' : '[');
  absl::string_view separator = "";
  for (const auto& [key, child] : value.children) {
    absl::StrAppend(out, separator);
    if (map) absl::StrAppend(out, Quote(key), ": ");
    AppendJson(child, out);
    separator = ", ";
  }
  out->push_back(map ? '}' : ']');
}

std::string YamlWord(absl::string_view text) {
  return IsPlain(text) ? std::string(text) : Quote(text);
}

// What stands after "key:" or "-": the rest of the line, or lines of their own.
void AppendYaml(const Value& value, const std::string& indent,
                std::string* out) {
  switch (value.kind) {
    case Value::Kind::kScalar:
      absl::StrAppend(out, " ", value.text, "\n");
      return;
    case Value::Kind::kText:
      absl::StrAppend(out, " ", YamlWord(value.text), "\n");
      return;
    case Value::Kind::kList:
      break;
    case Value::Kind::kMap:
      if (value.children.empty()) {
        absl::StrAppend(out, " {}\n");
        return;
      }
      break;
  }
  absl::StrAppend(out, "\n");
  for (const auto& [key, child] : value.children) {
    absl::StrAppend(out, indent);
    if (value.kind == Value::Kind::kMap) {
      absl::StrAppend(out, YamlWord(key), ":");
    } else {
      absl::StrAppend(out, "-");
    }
    AppendYaml(child, indent + "  ", out);
  }
}

// The document; its spec is the one field of the oneof that is set.
Value Document(const v1::Object& object) {
  Value document{Value::Kind::kMap, "", {}};
  document.children.emplace_back(
      "kind", Text(std::string(tenancy::KindName(object.meta().kind()))));
  document.children.emplace_back("id", Text(object.meta().id()));
  const auto* spec = object.GetReflection()->GetOneofFieldDescriptor(
      object, v1::Object::descriptor()->FindOneofByName("spec"));
  document.children.emplace_back(
      "spec", spec == nullptr ? Value{Value::Kind::kMap, "", {}}
                              : MessageValue(object.GetReflection()->GetMessage(
                                                 object, spec),
                                             false));
  return document;
}

std::string YamlOf(const Value& map) {
  if (map.children.empty()) return "{}\n";
  std::string out;
  for (const auto& [key, value] : map.children) {
    absl::StrAppend(&out, key, ":");
    AppendYaml(value, "  ", &out);
  }
  return out;
}

}  // namespace

std::string ToYaml(const v1::Object& object) {
  return YamlOf(Document(object));
}

std::string MessageToYaml(const Message& message) {
  return YamlOf(MessageValue(message, true));
}

std::string MessageToJson(const Message& message) {
  std::string out;
  AppendJson(MessageValue(message, true), &out);
  return out;
}

std::string ToJson(const v1::Object& object) {
  std::string out;
  AppendJson(Document(object), &out);
  return out;
}

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  AppendEscaped(text, /*quoted=*/true, &out);
  out.push_back('"');
  return out;
}

std::string Printable(absl::string_view text) {
  std::string out;
  AppendEscaped(text, /*quoted=*/false, &out);
  return out;
}

}  // namespace insula::resources
