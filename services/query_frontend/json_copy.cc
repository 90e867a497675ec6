#include "services/query_frontend/json_copy.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::query_frontend {

using simdjson::dom::element;

absl::string_view StringAt(const element& object, const char* name) {
  std::string_view text;
  if (object[name].get(text) != simdjson::SUCCESS) return "";
  return View(text);
}

std::optional<element> SoleMember(const element& object,
                                  absl::string_view name) {
  simdjson::dom::object members;
  if (object.get(members) != simdjson::SUCCESS) return std::nullopt;
  std::optional<element> found;
  for (const auto field : members) {
    if (View(field.key) != name) continue;
    if (found.has_value()) return std::nullopt;
    found = field.value;
  }
  return found;
}

bool IsObjectOfStrings(const element& value) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return false;
  return std::all_of(object.begin(), object.end(),
                     [](const auto field) { return field.value.is_string(); });
}

std::string JsonString(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void JsonObject::Copy(const element& from, const char* name) {
  element value;
  if (from[name].get(value) != simdjson::SUCCESS) return;
  Add(name, simdjson::minify(value));
}

void JsonObject::Add(absl::string_view name, absl::string_view json) {
  absl::StrAppend(&text_, text_.size() == 1 ? "" : ",", JsonString(name), ":",
                  json);
}

std::string JsonObject::Finish() && { return std::move(text_) + "}"; }

void JsonArray::Add(absl::string_view json) {
  absl::StrAppend(&text_, empty() ? "" : ",", json);
}

std::string JsonArray::Finish() && { return std::move(text_) + "]"; }

}  // namespace insula::query_frontend
