// What a request to the query API asks for is read in one way only: a path
// outside the table of routes leads nowhere, a parameter that may come once and
// comes twice is refused, and what was read is written and read again as it
// was.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/params.h"
#include "services/query_frontend/route.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using query_frontend::ApiParams;
using query_frontend::Endpoint;
using query_frontend::EndpointInfo;
using query_frontend::Route;

// The table, written once more: what an endpoint takes once.
const std::vector<std::string>& SingleParams(Endpoint endpoint) {
  static const auto* const known =
      new std::map<Endpoint, std::vector<std::string>>{
          {Endpoint::kQuery,
           {"query", "time", "timeout", "limit", "lookback_delta", "stats"}},
          {Endpoint::kQueryRange,
           {"query", "start", "end", "step", "timeout", "limit",
            "lookback_delta", "stats"}},
          {Endpoint::kQueryExemplars, {"query", "start", "end"}},
          {Endpoint::kFormatQuery, {"query"}},
          {Endpoint::kSeries, {"start", "end", "limit"}},
          {Endpoint::kLabels, {"start", "end", "limit"}},
          {Endpoint::kLabelValues, {"start", "end", "limit"}},
          {Endpoint::kMetadata, {"metric", "limit", "limit_per_metric"}},
          {Endpoint::kRules,
           {"type", "exclude_alerts", "group_limit", "group_next_token"}},
      };
  static const auto* const none = new std::vector<std::string>();
  const auto at = known->find(endpoint);
  return at == known->end() ? *none : at->second;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes once. Nothing if it is malformed.
std::optional<std::string> Decode(absl::string_view text, bool plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || HexDigit(text[i + 1]) < 0 ||
          HexDigit(text[i + 2]) < 0) {
        return std::nullopt;
      }
      out.push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 +
                                      HexDigit(text[i + 2])));
      i += 2;
    }
  }
  return out;
}

bool IsLabelName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

// Whether `plain` is what `route` says, and nothing more.
bool IsInTable(absl::string_view plain, const Route& route) {
  if (IsForOperators(route.endpoint)) {
    return route.tenant.empty() && plain == InfoOf(route.endpoint).path;
  }
  if (!route.tenant.empty()) {
    if (!absl::ConsumePrefix(&plain, absl::StrCat("/t/", route.tenant)) ||
        absl::StrContains(route.tenant, '/')) {
      return false;
    }
  }
  if (absl::StartsWith(plain, "/prometheus/")) {
    absl::ConsumePrefix(&plain, "/prometheus");
  }
  if (route.endpoint == Endpoint::kLabelValues) {
    return IsLabelName(route.label_name) &&
           plain == absl::StrCat("/api/v1/label/", route.label_name, "/values");
  }
  return plain == InfoOf(route.endpoint).path;
}

void CheckPath(absl::string_view path) {
  const Route route = query_frontend::FindRoute(path);
  if (route.endpoint == Endpoint::kOther) {
    FUZZ_CHECK(route.http_status == 400 || route.http_status == 403 ||
                   route.http_status == 404,
               path);
    FUZZ_CHECK(!route.error.empty() && route.label_name.empty(), path);
    return;
  }
  const std::optional<std::string> plain = Decode(path, /*plus=*/false);
  FUZZ_CHECK(plain.has_value() && IsInTable(*plain, route), path);
  for (const absl::string_view segment : absl::StrSplit(*plain, '/')) {
    FUZZ_CHECK(segment != "." && segment != "..", path);
  }
  // Written anew, it leads to the same place.
  std::string again;
  for (const absl::string_view segment :
       absl::StrSplit(plain->substr(1), '/')) {
    absl::StrAppend(&again, "/", http::PercentEncode(segment));
  }
  const Route same = query_frontend::FindRoute(again);
  FUZZ_CHECK(same.endpoint == route.endpoint && same.tenant == route.tenant &&
                 same.label_name == route.label_name,
             absl::StrCat(path, " is ", again));
}

// How often each name comes in `text`; nothing if a pair is malformed.
std::optional<std::map<std::string, int>> NamesIn(absl::string_view text) {
  std::map<std::string, int> names;
  for (const absl::string_view pair : absl::StrSplit(text, '&')) {
    if (pair.empty()) continue;
    if (absl::StrContains(pair, ';')) return std::nullopt;
    const auto name = Decode(pair.substr(0, pair.find('=')), /*plus=*/true);
    const size_t equals = pair.find('=');
    const auto value = Decode(
        equals == absl::string_view::npos ? "" : pair.substr(equals + 1), true);
    if (!name.has_value() || !value.has_value()) return std::nullopt;
    ++names[*name];
  }
  return names;
}

http::Request Post(absl::string_view query, absl::string_view body) {
  http::Request request;
  request.method = "POST";
  request.target = absl::StrCat("/x", query.empty() ? "" : "?", query);
  request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  request.body = http::Buffer(body);
  return request;
}

http::Params Written(const ApiParams& params) {
  http::Params all = params.rest;
  if (!params.query.empty()) all.emplace_back("query", params.query);
  for (const std::string& match : params.matches) {
    all.emplace_back("match[]", match);
  }
  return all;
}

void CheckForm(Endpoint endpoint, absl::string_view query,
               absl::string_view body) {
  const bool get = !IsAllowed(endpoint, "POST");
  http::Request request = Post(query, body);
  if (get) request.method = "GET";
  const auto params = query_frontend::ParseParams(endpoint, request);
  const std::string context = absl::StrCat(query, " and ", body);
  auto names = NamesIn(query);
  const auto in_body = get ? std::map<std::string, int>() : NamesIn(body);
  if (!params.ok()) return;
  FUZZ_CHECK(names.has_value() && in_body.has_value(), context);
  for (const auto& [name, count] : *in_body) (*names)[name] += count;
  for (const std::string& name : SingleParams(endpoint)) {
    FUZZ_CHECK((*names)[name] <= 1, context);
  }
  FUZZ_CHECK(params->matches.size() <= static_cast<size_t>((*names)["match[]"]),
             context);
  // A name that the table does not have goes nowhere.
  for (const auto& [name, value] : params->rest) {
    const auto& single = SingleParams(endpoint);
    FUZZ_CHECK(std::find(single.begin(), single.end(), name) != single.end() ||
                   (endpoint == Endpoint::kRules &&
                    (name == "rule_name[]" || name == "rule_group[]" ||
                     name == "file[]")),
               absl::StrCat(name, " in ", context));
  }

  const http::Params all = Written(*params);
  http::Request again = Post("", http::EncodeForm(all));
  if (get) {
    again = Post(http::EncodeForm(all), "");
    again.method = "GET";
  }
  const auto same = query_frontend::ParseParams(endpoint, again);
  FUZZ_CHECK(same.ok(), absl::StrCat(context, ": ", same.status().ToString()));
  FUZZ_CHECK(Written(*same) == all, context);
  FUZZ_CHECK(params->Summary().size() <= 1024, context);
}

FUZZ_TARGET(query_params) {
  fuzz::Input bytes(input);
  const uint8_t choice = bytes.Byte();
  // The path, the text after '?' and the body stand on lines of their own.
  const std::vector<absl::string_view> lines =
      absl::StrSplit(bytes.rest(), absl::MaxSplits('\n', 2));
  CheckPath(lines[0]);
  constexpr Endpoint kEndpoints[] = {
      Endpoint::kQuery,       Endpoint::kQueryRange, Endpoint::kQueryExemplars,
      Endpoint::kFormatQuery, Endpoint::kSeries,     Endpoint::kLabels,
      Endpoint::kLabelValues, Endpoint::kMetadata,   Endpoint::kRules,
  };
  const Endpoint endpoint = kEndpoints[choice % std::size(kEndpoints)];
  CheckForm(endpoint, lines.size() > 1 ? lines[1] : "",
            lines.size() > 2 ? lines[2] : "");
}

}  // namespace
}  // namespace insula
