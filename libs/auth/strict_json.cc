#include "libs/auth/strict_json.h"

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace insula::auth {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 16;

}  // namespace

absl::StatusOr<Json> ParseStrictObject(absl::string_view text) {
  std::vector<std::set<std::string>> members;  // Of each object that is open.
  const char* problem = nullptr;
  const Json::parser_callback_t watch =
      [&](int depth, Json::parse_event_t event, Json& parsed) {
        switch (event) {
          case Json::parse_event_t::object_start:
            members.emplace_back();
            [[fallthrough]];
          case Json::parse_event_t::array_start:
            if (depth >= kMaxDepth) problem = "JSON is nested too deeply";
            break;
          case Json::parse_event_t::object_end:
            if (!members.empty()) members.pop_back();
            break;
          case Json::parse_event_t::key:
            if (members.empty() ||
                !members.back()
                     .insert(parsed.get_ref<const std::string&>())
                     .second) {
              problem = "JSON has a member twice";
            }
            break;
          default:
            break;
        }
        return problem ==
               nullptr;  // What is thrown away is not kept nor looked at.
      };
  Json json = Json::parse(text.begin(), text.end(), watch,
                          /*allow_exceptions=*/false);
  if (problem != nullptr) return absl::InvalidArgumentError(problem);
  if (json.is_discarded() || !json.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  return json;
}

}  // namespace insula::auth
