// Reads a line that holds a sample. For libs/exposition alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/line_reader.h"
#include "libs/exposition/sample.h"
#include "libs/exposition/text_parser.h"

namespace insula::exposition {

class TextParser::SampleReader {
 public:
  explicit SampleReader(const ParserOptions& options) : line_(options) {}

  // Reads a sample off a line; it is then in sample().
  absl::Status Read(absl::string_view line);
  const Sample& sample() const { return sample_; }

  LineReader& line() { return line_; }

 private:
  absl::Status ReadSeries();
  absl::Status ReadLabels(bool of_exemplar, std::vector<Label>* labels);
  absl::Status ReadLabel(bool of_exemplar, std::vector<Label>* labels);
  absl::Status AddLabel(const char* where, absl::string_view name,
                        std::vector<Label>* labels);
  absl::Status CheckName(const char* where, absl::string_view name);
  absl::Status ReadValue(double* value);
  absl::Status ReadMilliseconds();
  absl::Status ReadSeconds(std::optional<int64_t>* timestamp_ms);
  absl::Status ReadOpenMetricsTail();
  absl::Status ReadExemplar();

  // Where OpenMetrics does not allow blanks.
  void SkipBlanks() {
    if (!line_.is_open_metrics()) line_.SkipBlanks();
  }

  LineReader line_;
  Sample sample_;
  Exemplar exemplar_;
  std::vector<Label> labels_;
  std::vector<Label> exemplar_labels_;
};

}  // namespace insula::exposition
