// Takes JSON apart, and puts parts of it together again.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::query_frontend {

inline absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

// The text of member `name`, or "" if that is no string.
absl::string_view StringAt(const simdjson::dom::element& object,
                           const char* name);

// The member `name`, if `object` is an object that has it, and not twice: what
// is checked must be what a client reads, and of two it may take either.
std::optional<simdjson::dom::element> SoleMember(
    const simdjson::dom::element& object, absl::string_view name);

// Whether `value` is an object with nothing but strings in it.
bool IsObjectOfStrings(const simdjson::dom::element& value);

// `text` as JSON, with its quotes. What is not UTF-8 is replaced.
std::string JsonString(absl::string_view text);

// Writes an object member by member.
//
//   JsonObject rule;
//   rule.Copy(from, "name");
//   rule.Add("alerts", "[]");
//   out += std::move(rule).Finish();
class JsonObject {
 public:
  // The member `name` of `from`, if it has it: of several the first.
  void Copy(const simdjson::dom::element& from, const char* name);
  // `json` is JSON already.
  void Add(absl::string_view name, absl::string_view json);
  std::string Finish() &&;

 private:
  std::string text_ = "{";
};

// "[a,b]" of parts that are JSON already.
class JsonArray {
 public:
  void Add(absl::string_view json);
  bool empty() const { return text_.size() == 1; }
  std::string Finish() &&;

 private:
  std::string text_ = "[";
};

}  // namespace insula::query_frontend
