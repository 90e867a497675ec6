#include "libs/resources/resource_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace insula::resources {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Kind = ResourceNode::Kind;

// Text out of the file, fit for one line of a message.
std::string Quoted(absl::string_view text) {
  constexpr size_t kMax = 64;
  return absl::StrCat("'", absl::Utf8SafeCEscape(text.substr(0, kMax)),
                      text.size() > kMax ? "..." : "", "'");
}

absl::string_view KindWord(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a single value";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "something else";
}

// Walks a tree along a message's descriptor.
class Filler {
 public:
  explicit Filler(FieldLines* lines) : lines_(lines) {}

  ResourceError FillMap(const ResourceNode& node, const std::string& path,
                        Message* message) {
    if (node.kind != Kind::kMap) return Unexpected(node, path, "a map");
    std::map<const FieldDescriptor*, std::string> seen;
    for (const ResourceNode& child : node.children) {
      const FieldDescriptor* field =
          FindField(*message->GetDescriptor(), child.key);
      const std::string child_path = absl::StrCat(path, ".", child.key);
      if (field == nullptr) {
        return {child.line, child_path,
                absl::StrCat("is no field; known are ",
                             FieldNames(*message->GetDescriptor()))};
      }
      const auto [it, fresh] = seen.emplace(field, child.key);
      if (!fresh) {
        return {child.line, child_path,
                absl::StrCat("is given twice, as '", it->second, "' too")};
      }
      if (ResourceError error = CheckOneof(child, child_path, *message, *field);
          !error.ok()) {
        return error;
      }
      // Errors of later checks use the names of the proto.
      if (ResourceError error = FillField(
              child, absl::StrCat(path, ".", field->name()), field, message);
          !error.ok()) {
        return error;
      }
    }
    return {};
  }

 private:
  static ResourceError Unexpected(const ResourceNode& node,
                                  const std::string& path,
                                  absl::string_view wanted) {
    if (node.kind == Kind::kNull) {
      return {node.line, path, "has no value; give one, or leave the key out"};
    }
    return {node.line, path,
            absl::StrCat("must be ", wanted, ", is ", KindWord(node.kind))};
  }

  static ResourceError Wrong(const ResourceNode& node, const std::string& path,
                             absl::string_view wanted) {
    return {node.line, path,
            absl::StrCat(Quoted(node.scalar), " is not ", wanted)};
  }

  static const FieldDescriptor* FindField(const Descriptor& descriptor,
                                          const std::string& key) {
    if (const auto* field = descriptor.FindFieldByName(key)) return field;
    for (int i = 0; i < descriptor.field_count(); ++i) {
      if (descriptor.field(i)->json_name() == key) return descriptor.field(i);
    }
    return nullptr;
  }

  static std::string FieldNames(const Descriptor& descriptor) {
    std::vector<std::string> names;
    for (int i = 0; i < descriptor.field_count(); ++i) {
      names.push_back(descriptor.field(i)->name());
    }
    return absl::StrJoin(names, ", ");
  }

  static ResourceError CheckOneof(const ResourceNode& node,
                                  const std::string& path,
                                  const Message& message,
                                  const FieldDescriptor& field) {
    const auto* oneof = field.containing_oneof();
    if (oneof == nullptr) return {};
    const FieldDescriptor* other =
        message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (other == nullptr) return {};
    return {node.line, path,
            absl::StrCat("can't be given together with ", other->name(),
                         "; keep one")};
  }

  ResourceError FillField(const ResourceNode& node, const std::string& path,
                          const FieldDescriptor* field, Message* message) {
    lines_->emplace(path, node.line);
    if (field->is_map()) return FillMapField(node, path, field, message);
    if (!field->is_repeated()) return FillValue(node, path, field, message);
    if (node.kind != Kind::kList) return Unexpected(node, path, "a list");
    for (size_t i = 0; i < node.children.size(); ++i) {
      const std::string element = absl::StrCat(path, "[", i, "]");
      lines_->emplace(element, node.children[i].line);
      ResourceError error =
          FillValue(node.children[i], element, field, message);
      if (!error.ok()) return error;
    }
    return {};
  }

  ResourceError FillMapField(const ResourceNode& node, const std::string& path,
                             const FieldDescriptor* field, Message* message) {
    if (node.kind != Kind::kMap) return Unexpected(node, path, "a map");
    const Descriptor* entry_type = field->message_type();
    for (const ResourceNode& child : node.children) {
      const std::string element = absl::StrCat(path, "[", child.key, "]");
      lines_->emplace(element, child.line);
      Message* entry = message->GetReflection()->AddMessage(message, field);
      ResourceNode key = child;
      key.kind = Kind::kScalar;
      key.scalar = child.key;
      ResourceError error =
          FillValue(key, element, entry_type->map_key(), entry);
      if (!error.ok()) return error;
      error = FillValue(child, element, entry_type->map_value(), entry);
      if (!error.ok()) return error;
    }
    return {};
  }

  // Sets a field, or adds to a repeated one.
  ResourceError FillValue(const ResourceNode& node, const std::string& path,
                          const FieldDescriptor* field, Message* message) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return FillSubmessage(node, path, field, message);
    }
    if (node.kind != Kind::kScalar) {
      return Unexpected(node, path, "a single value");
    }
    return FillScalar(node, path, field, message);
  }

  ResourceError FillSubmessage(const ResourceNode& node,
                               const std::string& path,
                               const FieldDescriptor* field, Message* message) {
    const Reflection* reflection = message->GetReflection();
    const std::string& type = field->message_type()->full_name();
    const bool is_time = type == "google.protobuf.Timestamp";
    const bool is_duration = type == "google.protobuf.Duration";
    if ((is_time || is_duration) && node.kind != Kind::kScalar) {
      return Unexpected(node, path, "a single value");
    }
    Message* target = field->is_repeated()
                          ? reflection->AddMessage(message, field)
                          : reflection->MutableMessage(message, field);
    if (is_time) return FillTime(node, path, target);
    if (is_duration) return FillDuration(node, path, target);
    return FillMap(node, path, target);
  }

  static ResourceError FillTime(const ResourceNode& node,
                                const std::string& path, Message* target) {
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, node.scalar, &time, &error)) {
      return Wrong(node, path, "a time, such as 2030-01-31T00:00:00Z");
    }
    google::protobuf::Timestamp timestamp;
    timestamp.set_seconds(absl::ToUnixSeconds(time));
    timestamp.set_nanos(static_cast<int32_t>(
        (time - absl::FromUnixSeconds(timestamp.seconds())) /
        absl::Nanoseconds(1)));
    target->CopyFrom(timestamp);
    return {};
  }

  static ResourceError FillDuration(const ResourceNode& node,
                                    const std::string& path, Message* target) {
    absl::Duration value;
    if (!absl::ParseDuration(node.scalar, &value) ||
        value == absl::InfiniteDuration() ||
        value == -absl::InfiniteDuration()) {
      return Wrong(node, path, "a duration with a unit, such as 30s");
    }
    google::protobuf::Duration duration;
    duration.set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
    duration.set_nanos(static_cast<int32_t>(value / absl::Nanoseconds(1)));
    target->CopyFrom(duration);
    return {};
  }

  template <typename Number>
  static std::optional<Number> ParseNumber(const std::string& text) {
    Number value = 0;
    if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
    return value;
  }

  static ResourceError FillScalar(const ResourceNode& node,
                                  const std::string& path,
                                  const FieldDescriptor* field,
                                  Message* message) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return FillText(node, path, field, message);
      case FieldDescriptor::CPPTYPE_BOOL:
        if (node.scalar != "true" && node.scalar != "false") {
          return Wrong(node, path, "true or false");
        }
        Set(message, field, &Reflection::SetBool, &Reflection::AddBool,
            node.scalar == "true");
        return {};
      case FieldDescriptor::CPPTYPE_ENUM:
        return FillEnum(node, path, field, message);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return FillDouble(node, path, field, message);
      default:
        return FillInteger(node, path, field, message);
    }
  }

  template <typename Setter, typename Adder, typename Value>
  static void Set(Message* message, const FieldDescriptor* field, Setter set,
                  Adder add, Value value) {
    const Reflection* reflection = message->GetReflection();
    if (field->is_repeated()) {
      (reflection->*add)(message, field, std::move(value));
    } else {
      (reflection->*set)(message, field, std::move(value));
    }
  }

  static ResourceError FillText(const ResourceNode& node,
                                const std::string& path,
                                const FieldDescriptor* field,
                                Message* message) {
    std::string value = node.scalar;
    if (field->type() == FieldDescriptor::TYPE_BYTES) {
      const bool hex = value.size() == 64 &&
                       value.find_first_not_of("0123456789abcdefABCDEF") ==
                           std::string::npos;
      if (hex) {
        value = absl::HexStringToBytes(value);
      } else if (!absl::Base64Unescape(node.scalar, &value)) {
        // Not quoted: it may be a secret in the wrong place.
        return {node.line, path, "is neither 64 hex digits nor base64"};
      }
    }
    Set(message, field, &Reflection::SetString, &Reflection::AddString,
        std::move(value));
    return {};
  }

  static ResourceError FillEnum(const ResourceNode& node,
                                const std::string& path,
                                const FieldDescriptor* field,
                                Message* message) {
    const EnumDescriptor* type = field->enum_type();
    const std::string& zero = type->value(0)->name();
    const std::string prefix =
        absl::EndsWith(zero, "UNSPECIFIED")
            ? zero.substr(0, zero.size() - strlen("UNSPECIFIED"))
            : "";
    const EnumValueDescriptor* value = type->FindValueByName(node.scalar);
    if (value == nullptr) {
      value = type->FindValueByName(absl::StrCat(prefix, node.scalar));
    }
    if (value == nullptr || value->number() == 0) {
      std::vector<std::string> names;
      for (int i = 1; i < type->value_count(); ++i) {
        names.push_back(type->value(i)->name().substr(prefix.size()));
      }
      return {node.line, path,
              absl::StrCat(Quoted(node.scalar), " is none of ",
                           absl::StrJoin(names, ", "))};
    }
    Set(message, field, &Reflection::SetEnumValue, &Reflection::AddEnumValue,
        value->number());
    return {};
  }

  static ResourceError FillDouble(const ResourceNode& node,
                                  const std::string& path,
                                  const FieldDescriptor* field,
                                  Message* message) {
    double value = 0;
    if (!absl::SimpleAtod(node.scalar, &value) || !std::isfinite(value)) {
      return Wrong(node, path, "a number");
    }
    Set(message, field, &Reflection::SetDouble, &Reflection::AddDouble, value);
    return {};
  }

  static ResourceError FillInteger(const ResourceNode& node,
                                   const std::string& path,
                                   const FieldDescriptor* field,
                                   Message* message) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        if (const auto value = ParseNumber<int32_t>(node.scalar)) {
          Set(message, field, &Reflection::SetInt32, &Reflection::AddInt32,
              *value);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        if (const auto value = ParseNumber<int64_t>(node.scalar)) {
          Set(message, field, &Reflection::SetInt64, &Reflection::AddInt64,
              *value);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        if (const auto value = ParseNumber<uint32_t>(node.scalar)) {
          Set(message, field, &Reflection::SetUInt32, &Reflection::AddUInt32,
              *value);
          return {};
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (const auto value = ParseNumber<uint64_t>(node.scalar)) {
          Set(message, field, &Reflection::SetUInt64, &Reflection::AddUInt64,
              *value);
          return {};
        }
        break;
      default:
        return {node.line, path, "is of a type that files can't give"};
    }
    return Wrong(node, path, "a whole number in its range");
  }

  FieldLines* const lines_;
};

}  // namespace

ResourceError FillMessage(const ResourceNode& node, absl::string_view path,
                          Message* message, FieldLines* lines) {
  lines->emplace(std::string(path), node.line);
  return Filler(lines).FillMap(node, std::string(path), message);
}

}  // namespace insula::resources
