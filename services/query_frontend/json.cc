#include "services/query_frontend/json.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr size_t kMaxErrorBytes = 8 << 10;
constexpr size_t kMaxWarnings = 20;

constexpr absl::string_view kReplacedWarning =
    "insula: the upstream gave a warning of its own, the operator finds it in "
    "the log";
constexpr absl::string_view kReplacedError =
    "insula: the upstream failed, the operator finds its words in the log";

absl::Status NotAnAnswer(absl::string_view why) {
  return absl::InternalError(why);
}

absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

// The text of member `name`, or "" if that is no string.
absl::string_view StringAt(element object, const char* name) {
  std::string_view text;
  if (object[name].get(text) != simdjson::SUCCESS) return "";
  return View(text);
}

// Of an element that is known to be one.
simdjson::dom::object ObjectOf(element object) {
  return object.get_object().value_unsafe();
}

bool IsArrayOfStrings(element data) {
  simdjson::dom::array array;
  if (data.get(array) != simdjson::SUCCESS) return false;
  return std::all_of(array.begin(), array.end(),
                     [](element item) { return item.is_string(); });
}

// Whether the tenant may see a series of these labels.
bool IsVisible(simdjson::dom::object labels, const tenancy::ReadPolicy& reads) {
  bool clear = true;
  const bool visible = reads.Allows([&](absl::string_view name) {
    // Each key is looked at: a repeated one must not hide another value.
    std::string_view value;
    size_t found = 0;
    for (const auto field : labels) {
      if (View(field.key) != name) continue;
      ++found;
      if (field.value.get(value) != simdjson::SUCCESS) clear = false;
    }
    if (found > 1) clear = false;
    return View(value);
  });
  return visible && clear;
}

absl::Status CheckSeries(element data, const tenancy::ReadPolicy& reads) {
  simdjson::dom::array array;
  if (data.get(array) != simdjson::SUCCESS) {
    return NotAnAnswer("data is not a list of series");
  }
  for (const element series : array) {
    if (!series.is_object()) {
      return NotAnAnswer("data is not a list of series");
    }
    if (!IsVisible(ObjectOf(series), reads)) {
      return absl::DataLossError("a series that the tenant may not read");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLabelValues(element data, absl::string_view label_name,
                              const tenancy::ReadPolicy& reads) {
  if (!IsArrayOfStrings(data)) {
    return NotAnAnswer("data is not a list of strings");
  }
  const simdjson::dom::array values = data.get_array().value_unsafe();
  for (const element item : values) {
    if (!reads.AllowsValue(label_name,
                           View(item.get_string().value_unsafe()))) {
      return absl::DataLossError("a value that no series it reads can have");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckResult(element data, Endpoint endpoint) {
  const absl::string_view type = StringAt(data, "resultType");
  element result;
  if (!data.is_object() || data["result"].get(result) != simdjson::SUCCESS ||
      !result.is_array()) {
    return NotAnAnswer("data holds no result");
  }
  const bool known = endpoint == Endpoint::kQueryRange
                         ? type == "matrix"
                         : type == "vector" || type == "matrix" ||
                               type == "scalar" || type == "string";
  return known ? absl::OkStatus() : NotAnAnswer("data has an odd resultType");
}

absl::Status CheckData(Endpoint endpoint, absl::string_view label_name,
                       element data, const tenancy::ReadPolicy& reads) {
  switch (endpoint) {
    case Endpoint::kQuery:
    case Endpoint::kQueryRange:
      return CheckResult(data, endpoint);
    case Endpoint::kSeries:
      return CheckSeries(data, reads);
    case Endpoint::kLabelValues:
      return CheckLabelValues(data, label_name, reads);
    default:
      return IsArrayOfStrings(data)
                 ? absl::OkStatus()
                 : NotAnAnswer("data is not a list of strings");
  }
}

// The warnings or infos that may be shown; the rest goes to `withheld`.
nlohmann::ordered_json Notes(element document, const char* name,
                             std::string* withheld) {
  nlohmann::ordered_json kept = nlohmann::ordered_json::array();
  simdjson::dom::array notes;
  if (document[name].get(notes) != simdjson::SUCCESS) return kept;
  bool replaced = false;
  for (const element note : notes) {
    std::string_view text;
    if (note.get(text) != simdjson::SUCCESS || kept.size() == kMaxWarnings) {
      continue;
    }
    if (absl::StartsWith(View(text), "PromQL ") ||
        View(text) == "results truncated due to limit") {
      kept.push_back(std::string(text.substr(0, kMaxErrorBytes)));
      continue;
    }
    if (withheld->size() < kMaxErrorBytes) {
      absl::StrAppend(withheld, withheld->empty() ? "" : "; ",
                      View(text.substr(0, kMaxErrorBytes)));
    }
    if (!replaced) kept.push_back(std::string(kReplacedWarning));
    replaced = true;
  }
  return kept;
}

// Where the value of the top-level member "data" stands in `body`. The document
// is known to be valid, so that brackets and strings are all there is to it.
absl::string_view FindData(absl::string_view body) {
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (c == '"') {
      const size_t open = i++;
      for (; body[i] != '"'; ++i) i += body[i] == '\\';
      const bool key = body.substr(open, i + 1 - open) == "\"data\"";
      const size_t colon = body.find_first_not_of(" \t\r\n", i + 1);
      if (depth == 1 && start == 0 && key && colon != absl::string_view::npos &&
          body[colon] == ':') {
        start = colon + 1;
        i = colon;
      }
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
      if (depth == 0 && start != 0) return body.substr(start, i - start);
    }
    if (c == ',' && depth == 1 && start != 0) {
      return body.substr(start, i - start);
    }
  }
  return "";
}

absl::StatusOr<Answer> ReadSuccess(Endpoint endpoint,
                                   absl::string_view label_name,
                                   element document, std::string body,
                                   const tenancy::ReadPolicy& reads) {
  size_t data_members = 0;
  size_t members = 0;
  const simdjson::dom::object object = ObjectOf(document);
  for (const auto field : object) {
    data_members += View(field.key) == "data";
    ++members;
  }
  element data;
  // One, or what we check is not what the client reads.
  if (data_members != 1 || document["data"].get(data) != simdjson::SUCCESS) {
    return NotAnAnswer("it holds no data");
  }
  RETURN_IF_ERROR(CheckData(endpoint, label_name, data, reads));

  Answer answer;
  if (members == 2) {  // "status" and "data": nothing to leave out.
    answer.body = std::move(body);
    return answer;
  }
  const absl::string_view raw = FindData(body);
  if (raw.empty()) return NotAnAnswer("it holds no plain data");
  const nlohmann::ordered_json warnings =
      Notes(document, "warnings", &answer.withheld);
  const nlohmann::ordered_json infos =
      Notes(document, "infos", &answer.withheld);
  answer.body = absl::StrCat("{\"status\":\"success\",\"data\":", raw);
  if (!warnings.empty()) {
    absl::StrAppend(&answer.body, ",\"warnings\":", Dump(warnings));
  }
  if (!infos.empty()) {
    absl::StrAppend(&answer.body, ",\"infos\":", Dump(infos));
  }
  answer.body += '}';
  return answer;
}

struct ErrorKind {
  absl::string_view type;
  int http_status;
  bool about_query;  // Its text is the asker's own business.
};
constexpr ErrorKind kErrorKinds[] = {
    {"bad_data", 400, true},     {"execution", 422, true},
    {"timeout", 503, true},      {"canceled", 503, true},
    {"not_found", 404, true},    {"not_acceptable", 406, false},
    {"unavailable", 503, false}, {"internal", 500, false},
};

absl::StatusOr<Answer> ReadError(element document) {
  const absl::string_view type = StringAt(document, "errorType");
  const absl::string_view text = StringAt(document, "error");
  for (const ErrorKind& kind : kErrorKinds) {
    if (kind.type != type) continue;
    Answer answer;
    answer.http_status = kind.http_status;
    if (kind.about_query) {
      answer.body = ErrorJson(type, text.substr(0, kMaxErrorBytes));
    } else {
      answer.body = ErrorJson(type, kReplacedError);
      answer.withheld = std::string(text.substr(0, kMaxErrorBytes));
    }
    return answer;
  }
  return NotAnAnswer("its errorType is not one of Prometheus'");
}

}  // namespace

absl::string_view ErrorTypeOf(int http_status) {
  switch (http_status) {
    case 404:
      return "not_found";
    case 422:
      return "execution";
    case 499:
      return "canceled";
    case 503:
      return "unavailable";
    case 504:
      return "timeout";
    default:
      return http_status < 500 ? "bad_data" : "internal";
  }
}

std::string ErrorJson(absl::string_view error_type, absl::string_view error) {
  const nlohmann::ordered_json json = {{"status", "error"},
                                       {"errorType", std::string(error_type)},
                                       {"error", std::string(error)}};
  return Dump(json);
}

std::string BuildInfoJson(absl::string_view prometheus_version) {
  const nlohmann::ordered_json json = {
      {"status", "success"},
      {"data",
       {{"application", "Insula"},
        {"version", std::string(prometheus_version)},
        {"revision", ""},
        {"branch", ""},
        {"buildUser", ""},
        {"buildDate", ""},
        {"goVersion", ""}}}};
  return Dump(json);
}

absl::StatusOr<Answer> ReadAnswer(Endpoint endpoint,
                                  absl::string_view label_name, int http_status,
                                  std::string body,
                                  const tenancy::ReadPolicy& reads) {
  const size_t size = body.size();
  // The parser reads over the end by a vector register.
  body.reserve(size + simdjson::SIMDJSON_PADDING);
  simdjson::dom::parser parser;
  element document;
  if (parser.parse(body.data(), size, false).get(document) !=
          simdjson::SUCCESS ||
      !document.is_object()) {
    return NotAnAnswer("it is not valid JSON");
  }
  const absl::string_view status = StringAt(document, "status");
  if (status == "success" && http_status / 100 == 2) {
    return ReadSuccess(endpoint, label_name, document, std::move(body), reads);
  }
  if (status == "error" && http_status >= 400) return ReadError(document);
  return NotAnAnswer("its status is not that of its JSON");
}

}  // namespace insula::query_frontend
