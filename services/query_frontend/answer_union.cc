#include "services/query_frontend/answer_union.h"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;

constexpr const char* kNotes[] = {"warnings", "infos"};
constexpr size_t kEnvelopeBytes = 1 << 10;

// The same for series with the same labels, in whatever order.
absl::StatusOr<std::string> KeyOf(element series) {
  simdjson::dom::object metric;
  if (!series.is_object() ||
      series["metric"].get(metric) != simdjson::SUCCESS) {
    return absl::InternalError("a series without labels");
  }
  std::map<std::string_view, std::string_view> labels;
  for (const auto field : metric) {
    std::string_view value;
    if (field.value.get(value) != simdjson::SUCCESS ||
        !labels.emplace(field.key, value).second) {
      return absl::InternalError("a label that is no string, or comes twice");
    }
  }
  std::string key;
  for (const auto& [name, value] : labels) {
    absl::StrAppend(&key, name.size(), ":",
                    absl::string_view(name.data(), name.size()), value.size(),
                    ":", absl::string_view(value.data(), value.size()));
  }
  return key;
}

absl::Status ReadInto(simdjson::dom::parser* parser, const Answer& answer,
                      element* document) {
  return parser->parse(answer.body).get(*document) == simdjson::SUCCESS
             ? absl::OkStatus()
             : absl::InternalError("it is not valid JSON");
}

}  // namespace

absl::Status AnswerUnion::Add(const Answer& answer) {
  simdjson::dom::parser parser;
  element document;
  RETURN_IF_ERROR(ReadInto(&parser, answer, &document));
  std::string_view type;
  simdjson::dom::array result;
  if (document["data"]["resultType"].get(type) != simdjson::SUCCESS ||
      type != "matrix" ||
      document["data"]["result"].get(result) != simdjson::SUCCESS) {
    return absl::InternalError("it is no matrix");
  }
  for (const element series : result) {
    ASSIGN_OR_RETURN(std::string key, KeyOf(series));
    if (!seen_.insert(std::move(key)).second) continue;
    const std::string text = simdjson::minify(series);
    if (series_.size() + text.size() + kEnvelopeBytes > max_bytes_) {
      return absl::ResourceExhaustedError("the answers together are too large");
    }
    absl::StrAppend(&series_, series_.empty() ? "" : ",", text);
  }
  for (size_t kind = 0; kind < std::size(kNotes); ++kind) {
    simdjson::dom::array notes;
    if (document[kNotes[kind]].get(notes) != simdjson::SUCCESS) continue;
    for (const element note : notes) {
      std::string text = simdjson::minify(note);
      std::vector<std::string>& known = notes_[kind];
      if (std::find(known.begin(), known.end(), text) == known.end()) {
        known.push_back(std::move(text));
      }
    }
  }
  if (!answer.withheld.empty()) {
    absl::StrAppend(&withheld_, withheld_.empty() ? "" : "; ", answer.withheld);
  }
  return absl::OkStatus();
}

Answer AnswerUnion::Finish() && {
  Answer whole;
  whole.body = absl::StrCat(
      R"({"status":"success","data":{"resultType":"matrix","result":[)",
      series_, "]}");
  for (size_t kind = 0; kind < std::size(kNotes); ++kind) {
    if (notes_[kind].empty()) continue;
    absl::StrAppend(&whole.body, ",\"", kNotes[kind], "\":[",
                    absl::StrJoin(notes_[kind], ","), "]");
  }
  whole.body += '}';
  whole.withheld = std::move(withheld_);
  return whole;
}

}  // namespace insula::query_frontend
