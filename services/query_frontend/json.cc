#include "services/query_frontend/json.h"

#include <simdjson.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;

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

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

// Of an element that is known to be one.
simdjson::dom::object ObjectOf(element object) {
  return object.get_object().value_unsafe();
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

// Whether it holds any, or what could be.
bool HasWarnings(element document) {
  element warnings;
  if (document["warnings"].get(warnings) != simdjson::SUCCESS) return false;
  simdjson::dom::array notes;
  return warnings.get(notes) == simdjson::SUCCESS ? notes.size() > 0
                                                  : !warnings.is_null();
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

absl::StatusOr<Answer> ReadSuccess(element document, std::string body,
                                   const DataReader& read_data) {
  size_t data_members = 0;
  size_t status_members = 0;
  size_t members = 0;
  const simdjson::dom::object object = ObjectOf(document);
  for (const auto field : object) {
    data_members += View(field.key) == "data";
    status_members += View(field.key) == "status";
    ++members;
  }
  if (status_members != 1) return NotAnAnswer("its status comes twice");
  bool partial = false;
  if (document["isPartial"].get(partial) == simdjson::SUCCESS && partial) {
    return NotAnAnswer("it lacks a part of the data");
  }
  element data;
  // One, or what we check is not what the client reads.
  if (data_members != 1 || document["data"].get(data) != simdjson::SUCCESS) {
    return NotAnAnswer("it holds no data");
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> replaced, read_data(data));

  Answer answer;
  if (members == 2 &&
      !replaced.has_value()) {  // "status" and "data": nothing to leave out.
    answer.body = std::move(body);
    return answer;
  }
  const absl::string_view raw =
      replaced.has_value() ? absl::string_view(*replaced) : FindData(body);
  if (raw.empty()) return NotAnAnswer("it holds no plain data");
  answer.warned = HasWarnings(document);
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

// A parser to use. That of small answers, which costs as much to make as to
// use, is kept by the thread, unless it is lent already.
class LentParser {
 public:
  explicit LentParser(size_t bytes) : keep_(bytes <= kMostBytes) {
    if (keep_) parser_ = std::move(kept_);
    if (parser_ == nullptr) parser_ = std::make_unique<simdjson::dom::parser>();
  }
  LentParser(const LentParser&) = delete;
  LentParser& operator=(const LentParser&) = delete;
  ~LentParser() {
    if (keep_) kept_ = std::move(parser_);
  }

  simdjson::dom::parser* operator->() const { return parser_.get(); }

 private:
  static constexpr size_t kMostBytes = 16 << 10;  // Takes 14 times as much.
  static thread_local std::unique_ptr<simdjson::dom::parser> kept_;

  const bool keep_;
  std::unique_ptr<simdjson::dom::parser> parser_;
};
thread_local std::unique_ptr<simdjson::dom::parser> LentParser::kept_;

struct ErrorKind {
  absl::string_view type;
  int http_status;
  bool about_query;  // Its text is the asker's own business.
  absl::string_view said_as = type;
};
constexpr ErrorKind kErrorKinds[] = {
    {"bad_data", 400, true},
    {"execution", 422, true},
    {"timeout", 503, true},
    {"canceled", 503, true},
    {"not_found", 404, true},
    {"not_acceptable", 406, false},
    {"unavailable", 503, false},
    {"internal", 500, false},
    // Those of a VictoriaMetrics, whose texts name its parts.
    {"400", 400, false, "bad_data"},
    {"422", 422, false, "execution"},
    {"429", 503, false, "unavailable"},
    {"503", 503, false, "unavailable"},
};

absl::StatusOr<Answer> ReadError(element document) {
  const absl::string_view type = StringAt(document, "errorType");
  const absl::string_view text = StringAt(document, "error");
  for (const ErrorKind& kind : kErrorKinds) {
    if (kind.type != type) continue;
    Answer answer;
    answer.http_status = kind.http_status;
    if (kind.about_query) {
      answer.body = ErrorJson(kind.said_as, text.substr(0, kMaxErrorBytes));
    } else {
      answer.body = ErrorJson(kind.said_as, kReplacedError);
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

absl::StatusOr<Answer> ReadAnswer(int http_status, std::string body,
                                  const DataReader& read_data) {
  const size_t size = body.size();
  // The parser reads over the end by a vector register.
  body.reserve(size + simdjson::SIMDJSON_PADDING);
  const LentParser parser(size);
  element document;
  if (parser->parse(body.data(), size, false).get(document) !=
          simdjson::SUCCESS ||
      !document.is_object()) {
    return NotAnAnswer("it is not valid JSON");
  }
  const absl::string_view status = StringAt(document, "status");
  if (status == "success" && http_status / 100 == 2) {
    return ReadSuccess(document, std::move(body), read_data);
  }
  if (status == "error" && http_status >= 400) return ReadError(document);
  return NotAnAnswer("its status is not that of its JSON");
}

}  // namespace insula::query_frontend
