#include "libs/kube/json.h"

namespace insula::kube {
namespace {

constexpr int kMaxDepth = 500;

// Whether brackets outside of strings nest deeper than kMaxDepth. For text that
// is not JSON either answer is fine.
bool IsTooDeep(absl::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  if (IsTooDeep(text)) {
    return absl::InvalidArgumentError("JSON is nested too deeply");
  }
  Json json = Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                          /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("not JSON");
  return json;
}

std::string ToText(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace);
}

const Json& At(const Json& json,
               std::initializer_list<absl::string_view> path) {
  static const Json& null = *new Json();
  const Json* at = &json;
  for (const absl::string_view key : path) {
    if (!at->is_object()) return null;
    const auto found = at->find(std::string(key));
    if (found == at->end()) return null;
    at = &*found;
  }
  return *at;
}

std::string StringAt(const Json& json,
                     std::initializer_list<absl::string_view> path) {
  const Json& value = At(json, path);
  return value.is_string() ? value.get<std::string>() : std::string();
}

}  // namespace insula::kube
