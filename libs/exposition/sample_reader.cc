#include "libs/exposition/sample_reader.h"

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/exposition/number.h"
#include "libs/labels/matcher.h"
#include "libs/status/status_macros.h"

namespace insula::exposition {

absl::Status TextParser::SampleReader::Read(absl::string_view line) {
  line_.Start(line);
  sample_ = Sample();
  labels_.clear();
  SkipBlanks();
  RETURN_IF_ERROR(ReadSeries());
  sample_.labels = labels_;
  if (line_.is_open_metrics()) return ReadOpenMetricsTail();
  line_.SkipBlanks();
  RETURN_IF_ERROR(ReadValue(&sample_.value));
  line_.SkipBlanks();
  if (!line_.AtEnd()) RETURN_IF_ERROR(ReadMilliseconds());
  line_.SkipBlanks();
  if (!line_.AtEnd()) return line_.Expected("the end of the line");
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::ReadSeries() {
  const char* const where = line_.at();
  sample_.name = line_.TakeMetricName();
  if (sample_.name.empty() &&
      !(line_.Peek() == '{' && line_.options().utf8_names)) {
    return line_.Expected("a metric name or a comment");
  }
  RETURN_IF_ERROR(CheckName(where, sample_.name));
  SkipBlanks();
  if (line_.Peek() == '{') {
    line_.Skip(1);
    RETURN_IF_ERROR(ReadLabels(/*of_exemplar=*/false, &labels_));
  }
  if (sample_.name.empty()) {
    return line_.Error(where,
                       "no metric name, write it before the braces or, in "
                       "quotes, inside of them");
  }
  return absl::OkStatus();
}

// Behind the opening brace.
absl::Status TextParser::SampleReader::ReadLabels(bool of_exemplar,
                                                  std::vector<Label>* labels) {
  SkipBlanks();
  while (line_.Peek() != '}') {
    RETURN_IF_ERROR(ReadLabel(of_exemplar, labels));
    SkipBlanks();
    if (line_.Peek() == ',') {
      line_.Skip(1);
      SkipBlanks();
    } else if (line_.Peek() != '}') {
      return line_.Expected("',' or '}' behind a label");
    }
  }
  line_.Skip(1);
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::ReadLabel(bool of_exemplar,
                                                 std::vector<Label>* labels) {
  const char* const where = line_.at();
  const bool quoted = line_.Peek() == '"' && line_.options().utf8_names;
  absl::string_view name;
  if (quoted) {
    RETURN_IF_ERROR(line_.TakeString(&name));
  } else {
    name = line_.TakeLabelName();
    if (name.empty()) return line_.Expected("a label name or '}'");
  }
  SkipBlanks();
  if (quoted && !of_exemplar && (line_.Peek() == ',' || line_.Peek() == '}')) {
    if (!sample_.name.empty()) {
      return line_.Error(where, "a second metric name, give it once");
    }
    if (name.empty()) return line_.Error(where, "the metric name is empty");
    sample_.name = name;
    return CheckName(where, name);
  }
  if (line_.Peek() != '=') return line_.Expected("'=' behind the label name");
  line_.Skip(1);
  SkipBlanks();
  RETURN_IF_ERROR(AddLabel(where, name, labels));
  if (line_.Peek() != '"') return line_.Expected("a label value in quotes");
  const char* const value_at = line_.at();
  absl::string_view& value = labels->back().value;
  RETURN_IF_ERROR(line_.TakeString(&value));
  if (value.size() > line_.options().max_value_bytes) {
    return line_.TooLong(value_at, "label value", value.size(),
                         line_.options().max_value_bytes);
  }
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::AddLabel(const char* where,
                                                absl::string_view name,
                                                std::vector<Label>* labels) {
  if (name.empty()) return line_.Error(where, "the label name is empty");
  RETURN_IF_ERROR(CheckName(where, name));
  if (name == labels::kMetricName) {
    return line_.Error(
        where, "the label name '__name__' is reserved for the metric name");
  }
  if (labels->size() == line_.options().max_labels) {
    return absl::ResourceExhaustedError(absl::StrCat(
        line_.Error(where, "more labels than the limit of ").message(),
        line_.options().max_labels));
  }
  for (const Label& label : *labels) {
    if (label.name == name) {
      return line_.Error(where, absl::StrCat("label '", absl::CHexEscape(name),
                                             "' comes twice, give it once"));
    }
  }
  labels->push_back({name, {}});
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::CheckName(const char* where,
                                                 absl::string_view name) {
  const size_t limit = line_.options().max_name_bytes;
  if (name.size() <= limit) return absl::OkStatus();
  return line_.TooLong(where, "name", name.size(), limit);
}

absl::Status TextParser::SampleReader::ReadValue(double* value) {
  const char* const where = line_.at();
  const absl::string_view word = line_.TakeWord();
  if (word.empty()) return line_.Expected("a value");
  const absl::StatusOr<double> parsed = ParseValue(word);
  if (!parsed.ok()) return line_.Error(where, parsed.status().message());
  *value = *parsed;
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::ReadMilliseconds() {
  const char* const where = line_.at();
  const absl::StatusOr<int64_t> parsed = ParseMilliseconds(line_.TakeWord());
  if (!parsed.ok()) return line_.Error(where, parsed.status().message());
  sample_.timestamp_ms = *parsed;
  return absl::OkStatus();
}

// Before the blank.
absl::Status TextParser::SampleReader::ReadSeconds(
    std::optional<int64_t>* timestamp_ms) {
  line_.Skip(1);
  const char* const where = line_.at();
  const absl::StatusOr<int64_t> parsed = ParseSeconds(line_.TakeWord());
  if (!parsed.ok()) return line_.Error(where, parsed.status().message());
  *timestamp_ms = *parsed;
  return absl::OkStatus();
}

absl::Status TextParser::SampleReader::ReadOpenMetricsTail() {
  if (line_.Peek() != ' ') return line_.Expected("a blank before the value");
  line_.Skip(1);
  RETURN_IF_ERROR(ReadValue(&sample_.value));
  if (line_.AtEnd()) return absl::OkStatus();
  if (!absl::StartsWith(line_.Rest(), " # {")) {
    RETURN_IF_ERROR(ReadSeconds(&sample_.timestamp_ms));
  }
  if (line_.AtEnd()) return absl::OkStatus();
  if (!absl::StartsWith(line_.Rest(), " # {")) {
    return line_.Expected("the end of the line or an exemplar");
  }
  line_.Skip(4);
  return ReadExemplar();
}

// Behind the opening brace.
absl::Status TextParser::SampleReader::ReadExemplar() {
  exemplar_ = Exemplar();
  exemplar_labels_.clear();
  RETURN_IF_ERROR(ReadLabels(/*of_exemplar=*/true, &exemplar_labels_));
  if (line_.Peek() != ' ') {
    return line_.Expected("a blank before the exemplar's value");
  }
  line_.Skip(1);
  RETURN_IF_ERROR(ReadValue(&exemplar_.value));
  if (!line_.AtEnd()) RETURN_IF_ERROR(ReadSeconds(&exemplar_.timestamp_ms));
  if (!line_.AtEnd()) return line_.Expected("the end of the line");
  exemplar_.labels = exemplar_labels_;
  sample_.exemplar = &exemplar_;
  return absl::OkStatus();
}

}  // namespace insula::exposition
