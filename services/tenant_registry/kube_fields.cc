#include "services/tenant_registry/kube_fields.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/labels/matcher.h"
#include "libs/labels/validity.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/kube_declaration.h"

namespace insula::tenant_registry::kube_fields {
namespace {

constexpr size_t kMaxKeyBytes = 253;

absl::Status CheckText(absl::string_view path, absl::string_view text) {
  if (!labels::IsValidUtf8(text)) return Wrong(path, "must be valid UTF-8");
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_iscntrl(c) != 0;
      })) {
    return Wrong(path, "must not have control characters, remove them");
  }
  return absl::OkStatus();
}

std::string Element(absl::string_view path, absl::string_view key) {
  return absl::StrCat(path, "[", Shown(key), "]");
}

}  // namespace

std::string Shown(absl::string_view text) {
  constexpr size_t kMost = 100;
  return absl::StrCat(absl::CHexEscape(text.substr(0, kMost)),
                      text.size() > kMost ? "..." : "");
}

absl::Status Wrong(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::Status CheckKeys(absl::string_view path, const Json& json,
                       std::initializer_list<absl::string_view> keys) {
  if (!json.is_object()) return Wrong(path, "must be an object");
  for (const auto& [key, value] : json.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return Wrong(absl::StrCat(path, ".", Shown(key)),
                   absl::StrCat("is no field that is known, remove it; there "
                                "are: ",
                                absl::StrJoin(keys, ", ")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Bool(absl::string_view path, const Json& json) {
  if (!json.is_boolean()) return Wrong(path, "must be true or false");
  return json.get<bool>();
}

absl::StatusOr<int64_t> Integer(absl::string_view path, const Json& json,
                                int64_t least, int64_t most) {
  // The library holds what is not negative as unsigned, and a large one would
  // wrap.
  if (!json.is_number_integer() ||
      (json.is_number_unsigned() &&
       json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) ||
      json.get<int64_t>() < least || json.get<int64_t>() > most) {
    return Wrong(path, absl::StrCat("must be a whole number from ", least,
                                    " to ", most));
  }
  return json.get<int64_t>();
}

absl::StatusOr<std::string> Text(absl::string_view path, const Json& json,
                                 size_t least_bytes, size_t most_bytes) {
  if (!json.is_string()) return Wrong(path, "must be a string");
  const std::string& text = json.get_ref<const std::string&>();
  if (text.size() < least_bytes || text.size() > most_bytes) {
    return Wrong(path, absl::StrCat("must have ", least_bytes, " to ",
                                    most_bytes, " bytes, has ", text.size()));
  }
  RETURN_IF_ERROR(CheckText(path, text));
  return text;
}

absl::StatusOr<std::vector<std::string>> TextList(absl::string_view path,
                                                  const Json& json,
                                                  size_t most_elements,
                                                  size_t most_bytes) {
  if (!json.is_array()) return Wrong(path, "must be a list");
  if (json.size() > most_elements) {
    return Wrong(path, absl::StrCat("has ", json.size(), " elements, may have ",
                                    most_elements, ": split the object"));
  }
  std::vector<std::string> list;
  list.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    ASSIGN_OR_RETURN(std::string text, Text(absl::StrCat(path, "[", i, "]"),
                                            json[i], 1, most_bytes));
    list.push_back(std::move(text));
  }
  return list;
}

absl::StatusOr<std::map<std::string, std::string>> TextMap(
    absl::string_view path, const Json& json, size_t most_entries,
    size_t most_value_bytes) {
  if (!json.is_object()) return Wrong(path, "must be a map of strings");
  if (json.size() > most_entries) {
    return Wrong(path, absl::StrCat("has ", json.size(), " entries, may have ",
                                    most_entries));
  }
  std::map<std::string, std::string> map;
  for (const auto& [key, value] : json.items()) {
    const std::string element = Element(path, key);
    if (key.empty() || key.size() > kMaxKeyBytes) {
      return Wrong(element, absl::StrCat("must have a key of 1 to ",
                                         kMaxKeyBytes, " bytes"));
    }
    RETURN_IF_ERROR(CheckText(element, key));
    ASSIGN_OR_RETURN(map[key], Text(element, value, 0, most_value_bytes));
  }
  return map;
}

absl::StatusOr<std::map<std::string, std::string>> Labels(
    absl::string_view path, const Json& json) {
  std::map<std::string, std::string> map;
  ASSIGN_OR_RETURN(map, TextMap(path, json, KubeLimits::kMaxLabels,
                                KubeLimits::kMaxLabelValueBytes));
  for (const auto& [name, value] : map) {
    const std::string element = Element(path, name);
    if (!labels::IsLegacyLabelName(name) || name == labels::kMetricName) {
      return Wrong(element,
                   "must be the name of a label: [a-zA-Z_][a-zA-Z0-9_]*, and "
                   "not __name__");
    }
    if (value.empty()) {
      return Wrong(element,
                   "must have a value: an empty one stands for every series "
                   "without the label");
    }
  }
  return map;
}

bool IsDnsLabel(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' &&
         text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

bool IsDnsName(absl::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (const absl::string_view label : absl::StrSplit(text, '.')) {
    if (!IsDnsLabel(label)) return false;
  }
  return true;
}

}  // namespace insula::tenant_registry::kube_fields
