#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/range_cache/extent.h"
#include "libs/range_cache/json_scanner.h"
#include "libs/status/status_macros.h"

namespace insula::range_cache {
namespace {

// Texts of points are counted in 32 bits.
constexpr uint32_t kMost = 0xFFFFFFFF;

absl::Status Odd(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the answer has ", what));
}

// "1760003000.123" in milliseconds: digits, and up to three behind a point.
std::optional<int64_t> ParseMillis(absl::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const bool negative = at != end && *at == '-';
  if (negative) ++at;
  int64_t millis = 0;
  // How many there were, which are not too many to be counted.
  const auto digits = [&](int most) {
    int count = 0;
    while (at != end && *at >= '0' && *at <= '9' && count <= most) {
      millis = millis * 10 + (*at++ - '0');
      ++count;
    }
    return count;
  };
  const int whole = digits(13);
  if (whole == 0 || whole > 13) return std::nullopt;
  int part = 0;
  if (at != end && *at == '.') {
    ++at;
    part = digits(3);
    if (part == 0 || part > 3) return std::nullopt;
  }
  if (at != end) return std::nullopt;
  for (; part < 3; ++part) millis *= 10;
  return negative ? -millis : millis;
}

// Appends `text` so that the bytes of the whole sort as the texts do: its end
// sorts before any byte.
void AppendSortable(absl::string_view text, std::string* out) {
  for (const char c : text) {
    out->push_back(c);
    if (c == '\0') out->push_back('\xff');
  }
  out->append("\0\x01", 2);
}

class Reader {
 public:
  Reader(absl::string_view body, const Steps& steps)
      : json_(body), steps_(steps) {}

  absl::StatusOr<Matrix> Read();

 private:
  absl::Status ReadData();
  absl::Status ReadResult();
  absl::Status ReadSeries();
  absl::Status ReadLabels(Series* series);
  absl::Status ReadPoints(bool histograms, Points* points);
  absl::Status ReadPoint(bool histogram, int64_t* previous, Points* points);
  absl::Status ReadNotes(std::vector<std::string>* notes);
  absl::Status Sort();
  // Reads an object; `member` reads the value of a key.
  template <typename Member>
  absl::Status ReadObject(const Member& member);
  // Reads a list; `item` reads one of it.
  template <typename Item>
  absl::Status ReadList(const Item& item);

  JsonScanner json_;
  const Steps steps_;
  Matrix matrix_;
  bool has_result_ = false;
  bool is_matrix_ = false;
};

template <typename Member>
absl::Status Reader::ReadObject(const Member& member) {
  if (!json_.Eat('{')) return Odd("something else than an object");
  if (json_.Eat('}')) return absl::OkStatus();
  std::vector<absl::string_view> seen;
  do {
    const auto key = json_.Key();
    if (!key.has_value()) return Odd("a key that is none");
    if (std::find(seen.begin(), seen.end(), *key) != seen.end()) {
      return Odd("a member twice");
    }
    seen.push_back(*key);
    RETURN_IF_ERROR(member(*key));
  } while (json_.Eat(','));
  return json_.Eat('}') ? absl::OkStatus() : Odd("an object without an end");
}

template <typename Item>
absl::Status Reader::ReadList(const Item& item) {
  if (!json_.Eat('[')) return Odd("something else than a list");
  if (json_.Eat(']')) return absl::OkStatus();
  do {
    RETURN_IF_ERROR(item());
  } while (json_.Eat(','));
  return json_.Eat(']') ? absl::OkStatus() : Odd("a list without an end");
}

absl::StatusOr<Matrix> Reader::Read() {
  bool success = false;
  RETURN_IF_ERROR(ReadObject([&](absl::string_view key) -> absl::Status {
    if (key == "status") {
      success = json_.String() == "\"success\"";
      return absl::OkStatus();
    }
    if (key == "data") return ReadData();
    if (key == "warnings") return ReadNotes(&matrix_.warnings);
    if (key == "infos") return ReadNotes(&matrix_.infos);
    return Odd("a member that is not known");
  }));
  if (!success || !has_result_ || !is_matrix_ || !json_.AtEnd()) {
    return Odd("no result of type matrix");
  }
  RETURN_IF_ERROR(Sort());
  matrix_.extent.steps = steps_;
  Settle(&matrix_.extent);
  return std::move(matrix_);
}

absl::Status Reader::ReadData() {
  return ReadObject([&](absl::string_view key) -> absl::Status {
    if (key == "resultType") {
      is_matrix_ = json_.String() == "\"matrix\"";
      return absl::OkStatus();
    }
    if (key != "result") return Odd("more data than a result");
    has_result_ = true;
    return ReadList([&] { return ReadSeries(); });
  });
}

absl::Status Reader::ReadNotes(std::vector<std::string>* notes) {
  return ReadList([&]() -> absl::Status {
    const auto text = json_.String();
    if (!text.has_value()) return Odd("a warning that is no text");
    notes->emplace_back(*text);
    return absl::OkStatus();
  });
}

absl::Status Reader::ReadSeries() {
  Series series;
  bool has_labels = false;
  RETURN_IF_ERROR(ReadObject([&](absl::string_view key) -> absl::Status {
    if (key == "metric") {
      has_labels = true;
      return ReadLabels(&series);
    }
    if (key == "values") return ReadPoints(false, &series.values);
    if (key == "histograms") return ReadPoints(true, &series.histograms);
    return Odd("a series with a member that is not known");
  }));
  if (!has_labels) return Odd("a series without labels");
  if (series.values.empty() && series.histograms.empty()) {
    return Odd("a series without points");
  }
  matrix_.extent.series.push_back(std::move(series));
  return absl::OkStatus();
}

absl::Status Reader::ReadLabels(Series* series) {
  if (!json_.Eat('{')) return Odd("labels that are no object");
  const size_t begin = json_.place() - 1;
  std::vector<std::pair<std::string, std::string>> labels;
  if (!json_.Eat('}')) {
    do {
      const auto name = json_.String();
      const bool colon = json_.Eat(':');
      const auto value = json_.String();
      if (!name || !colon || !value) return Odd("a label that is no text");
      auto plain_name = Unquote(*name);
      auto plain_value = Unquote(*value);
      if (!plain_name || !plain_value) return Odd("a label that can't be read");
      labels.emplace_back(*std::move(plain_name), *std::move(plain_value));
    } while (json_.Eat(','));
    if (!json_.Eat('}')) return Odd("labels without an end");
  }
  series->labels = std::string(json_.From(begin));
  std::sort(labels.begin(), labels.end());
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0 && labels[i].first == labels[i - 1].first) {
      return Odd("a label twice");
    }
    AppendSortable(labels[i].first, &series->sort_key);
    AppendSortable(labels[i].second, &series->sort_key);
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadPoints(bool histograms, Points* points) {
  int64_t previous = -1;
  return ReadList([&] { return ReadPoint(histograms, &previous, points); });
}

absl::Status Reader::ReadPoint(bool histogram, int64_t* previous,
                               Points* points) {
  if (!json_.Eat('[')) return Odd("a point that is no list");
  const size_t begin = json_.place() - 1;
  const auto number = json_.Number();
  const auto time = number ? ParseMillis(*number) : std::nullopt;
  if (!time || !json_.Eat(',')) return Odd("a time that can't be read");
  const bool value = histogram ? json_.Sees('{') && json_.Value().has_value()
                               : json_.String().has_value();
  if (!value || !json_.Eat(']')) return Odd("a value that can't be read");
  // Most points follow the one before by a step.
  int64_t step = *previous + 1;
  if (step >= steps_.count || *time != steps_.at(step)) {
    const int64_t since = *time - steps_.first;
    step = since / steps_.step;
    if (since < 0 || since % steps_.step != 0 || step >= steps_.count) {
      return Odd("a point at a time that was not asked for");
    }
  }
  if (step <= *previous) return Odd("points out of order");
  *previous = step;
  points->Add(static_cast<uint32_t>(step), json_.From(begin));
  return absl::OkStatus();
}

absl::Status Reader::Sort() {
  std::vector<Series>& series = matrix_.extent.series;
  const auto less = [](const Series& a, const Series& b) {
    return a.sort_key < b.sort_key;
  };
  if (!std::is_sorted(series.begin(), series.end(), less)) {
    std::sort(series.begin(), series.end(), less);
  }
  const auto twice = std::adjacent_find(series.begin(), series.end(),
                                        [](const Series& a, const Series& b) {
                                          return a.sort_key == b.sort_key;
                                        });
  return twice == series.end() ? absl::OkStatus() : Odd("a series twice");
}

}  // namespace

absl::StatusOr<Matrix> ReadMatrix(absl::string_view body, const Steps& steps) {
  if (body.size() > kMost || steps.count > int64_t{kMost}) {
    return Odd("more bytes or steps than 32 bits count");
  }
  return Reader(body, steps).Read();
}

}  // namespace insula::range_cache
