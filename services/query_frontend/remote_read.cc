#include "services/query_frontend/remote_read.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/matcher.h"
#include "libs/remote_write/block.h"
#include "libs/remote_write/wire.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/query_limits.h"

namespace insula::query_frontend {
namespace {

using remote_write::AppendBytesField;
using remote_write::AppendTag;
using remote_write::AppendVarint;
using remote_write::WireField;
using remote_write::WireReader;
using remote_write::WireType;

constexpr size_t kMaxQueries = 100;
constexpr size_t kMaxMatchers = 1000;
constexpr size_t kMaxArms = 1000;
constexpr size_t kMaxRegexCost = 512 << 10;
constexpr size_t kMaxConfinedBytes = 4 << 20;
constexpr uint64_t kStreamedChunks = 1;  // ReadRequest.ResponseType

constexpr absl::string_view kSampledType = "application/x-protobuf";
constexpr absl::string_view kChunkedType =
    "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

absl::Status NoRequest() {
  return absl::InvalidArgumentError(
      "insula: the body is no prometheus.ReadRequest in a snappy block");
}

absl::Status NotAnAnswer() {
  return absl::InternalError("it is no answer to a remote read");
}

struct ReadQuery {
  uint64_t start = 0;  // As on the wire.
  uint64_t end = 0;
  promql::Clause matchers;
};

struct ReadRequest {
  std::vector<ReadQuery> queries;
  bool takes_samples = false;
  bool takes_chunks = false;
};

// Reads within bounds.
class RequestReader {
 public:
  absl::StatusOr<ReadRequest> Read(absl::string_view message) {
    ReadRequest request;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 1 && field.type == WireType::kBytes) {
        if (request.queries.size() == kMaxQueries) {
          return TooMuch("queries", kMaxQueries);
        }
        ASSIGN_OR_RETURN(ReadQuery query, ReadOne(field.bytes));
        request.queries.push_back(std::move(query));
      } else if (field.number == 2) {
        if (!TakeTypes(field, &request)) return NoRequest();
      }
    }
    if (!reader.ok()) return NoRequest();
    return request;
  }

 private:
  static absl::Status TooMuch(absl::string_view what, size_t limit) {
    return absl::InvalidArgumentError(
        absl::StrCat("insula: a remote read of more than ", limit, " ", what,
                     ", ask for less at once"));
  }

  // Repeated, in either form.
  static bool TakeTypes(const WireField& field, ReadRequest* request) {
    const auto take = [request](uint64_t type) {
      (type == kStreamedChunks ? request->takes_chunks
                               : request->takes_samples) = true;
    };
    if (field.type == WireType::kVarint) {
      take(field.varint);
      return true;
    }
    if (field.type != WireType::kBytes) return false;
    const char* p = field.bytes.data();
    const char* const end = p + field.bytes.size();
    uint64_t type = 0;
    while (p != end) {
      if (!remote_write::ReadVarint(&p, end, &type)) return false;
      take(type);
    }
    return true;
  }

  absl::StatusOr<ReadQuery> ReadOne(absl::string_view message) {
    ReadQuery query;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 1 && field.type == WireType::kVarint) {
        query.start = field.varint;
      } else if (field.number == 2 && field.type == WireType::kVarint) {
        query.end = field.varint;
      } else if (field.number == 3 && field.type == WireType::kBytes) {
        if (++matchers_ > kMaxMatchers) {
          return TooMuch("matchers", kMaxMatchers);
        }
        RETURN_IF_ERROR(ReadMatcher(field.bytes, &query.matchers));
      }
    }
    if (!reader.ok()) return NoRequest();
    return query;
  }

  absl::Status ReadMatcher(absl::string_view message, promql::Clause* to) {
    uint64_t type = 0;
    absl::string_view name;
    absl::string_view value;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 1 && field.type == WireType::kVarint) {
        type = field.varint;
      } else if (field.number == 2 && field.type == WireType::kBytes) {
        name = field.bytes;
      } else if (field.number == 3 && field.type == WireType::kBytes) {
        value = field.bytes;
      }
    }
    if (!reader.ok() || type > 3) return NoRequest();
    absl::StatusOr<labels::Matcher> matcher =
        labels::Matcher::Create(static_cast<labels::MatchType>(type), name,
                                value, kMaxRegexCost - regex_cost_);
    if (!matcher.ok()) return Annotate(matcher.status(), "insula: matcher");
    regex_cost_ += matcher->regex_cost();
    to->push_back(*std::move(matcher));
    return absl::OkStatus();
  }

  size_t matchers_ = 0;
  size_t regex_cost_ = 0;
};

static_assert(static_cast<int>(labels::MatchType::kEqual) == 0 &&
                  static_cast<int>(labels::MatchType::kNotEqual) == 1 &&
                  static_cast<int>(labels::MatchType::kRegex) == 2 &&
                  static_cast<int>(labels::MatchType::kNotRegex) == 3,
              "numbered as prometheus.LabelMatcher.Type");

void AppendNumber(uint32_t number, uint64_t value, std::string* out) {
  AppendTag(number, WireType::kVarint, out);
  AppendVarint(value, out);
}

std::string QueryBytes(const ReadQuery& query, const promql::Clause& arm) {
  std::string bytes;
  AppendNumber(1, query.start, &bytes);
  AppendNumber(2, query.end, &bytes);
  for (const labels::Matcher& matcher : arm) {
    std::string one;
    AppendNumber(1, static_cast<uint64_t>(matcher.type()), &one);
    AppendBytesField(2, matcher.name(), &one);
    AppendBytesField(3, matcher.value(), &one);
    AppendBytesField(3, one, &bytes);
  }
  return bytes;
}

// Name and value of each label, as they stand in the message.
using Labels = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<Labels> ReadLabels(absl::string_view series) {
  Labels labels;
  WireReader reader(series);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number != 1 || field.type != WireType::kBytes) continue;
    std::pair<std::string, std::string> label;
    WireReader parts(field.bytes);
    WireField part;
    while (parts.Next(&part)) {
      if (part.type != WireType::kBytes) return NotAnAnswer();
      if (part.number == 1) label.first = std::string(part.bytes);
      if (part.number == 2) label.second = std::string(part.bytes);
    }
    // In order: so none comes twice and hides another value.
    if (!parts.ok() || label.first.empty() ||
        (!labels.empty() && labels.back().first >= label.first)) {
      return NotAnAnswer();
    }
    labels.push_back(std::move(label));
  }
  if (!reader.ok()) return NotAnAnswer();
  return labels;
}

bool IsVisible(const Labels& labels, const tenancy::ReadPolicy& reads) {
  return reads.Allows([&labels](absl::string_view name) {
    for (const auto& [known, value] : labels) {
      if (known == name) return absl::string_view(value);
    }
    return absl::string_view();
  });
}

// What of the client's queries each series has, by its labels.
struct Found {
  size_t by = 0;      // The query to the store that it came by.
  std::string bytes;  // A TimeSeries, or the fields of a ChunkedSeries.
};
using Results = std::vector<std::map<Labels, Found>>;

// Puts a series of the answer to query `by` of the store where it belongs.
// Another arm may have brought it before.
absl::Status Take(size_t by, absl::string_view series,
                  const ReadQuestion& question,
                  const tenancy::ReadPolicy& reads, Results* results) {
  ASSIGN_OR_RETURN(Labels labels, ReadLabels(series));
  if (!IsVisible(labels, reads)) {
    return absl::DataLossError("a series that the tenant may not read");
  }
  auto& result = (*results)[question.origin[by]];
  const auto [place, is_new] = result.try_emplace(std::move(labels));
  if (is_new) {
    place->second = {by, std::string(series)};
    return absl::OkStatus();
  }
  if (place->second.by != by) return absl::OkStatus();
  if (!question.chunked) return NotAnAnswer();  // Twice in one result.
  // More chunks of it, in a frame of their own.
  WireReader reader(series);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == 2) absl::StrAppend(&place->second.bytes, field.raw);
  }
  return absl::OkStatus();
}

absl::Status ReadSamples(absl::string_view message,
                         const ReadQuestion& question,
                         const tenancy::ReadPolicy& reads, Results* results) {
  size_t by = 0;
  WireReader reader(message);
  WireField result;
  while (reader.Next(&result)) {
    if (result.number != 1 || result.type != WireType::kBytes ||
        by == question.origin.size()) {
      return NotAnAnswer();
    }
    WireReader all(result.bytes);
    WireField series;
    while (all.Next(&series)) {
      if (series.number != 1 || series.type != WireType::kBytes) {
        return NotAnAnswer();
      }
      RETURN_IF_ERROR(Take(by, series.bytes, question, reads, results));
    }
    if (!all.ok()) return NotAnAnswer();
    ++by;
  }
  return reader.ok() && by == question.origin.size() ? absl::OkStatus()
                                                     : NotAnAnswer();
}

// CRC-32C, as frames have it.
uint32_t Checksum(absl::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0);
      }
      table[i] = value;
    }
    return table;
  }();
  uint32_t sum = ~uint32_t{0};
  for (const char c : bytes) {
    sum = (sum >> 8) ^ kTable[(sum ^ static_cast<uint8_t>(c)) & 0xFF];
  }
  return ~sum;
}

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> shift));
  }
  return bytes;
}

absl::Status ReadFrame(absl::string_view frame, const ReadQuestion& question,
                       const tenancy::ReadPolicy& reads, Results* results) {
  std::vector<absl::string_view> series;
  uint64_t by = 0;
  WireReader reader(frame);
  WireField field;
  while (reader.Next(&field)) {
    if (field.number == 1 && field.type == WireType::kBytes) {
      series.push_back(field.bytes);
    } else if (field.number == 2 && field.type == WireType::kVarint) {
      by = field.varint;
    } else {
      return NotAnAnswer();
    }
  }
  if (!reader.ok() || by >= question.origin.size()) return NotAnAnswer();
  for (const absl::string_view each : series) {
    RETURN_IF_ERROR(Take(by, each, question, reads, results));
  }
  return absl::OkStatus();
}

absl::Status ReadFrames(absl::string_view body, const ReadQuestion& question,
                        const tenancy::ReadPolicy& reads, Results* results) {
  const char* p = body.data();
  const char* const end = p + body.size();
  while (p != end) {
    uint64_t size = 0;
    if (!remote_write::ReadVarint(&p, end, &size) || end - p < 4 ||
        size > static_cast<size_t>(end - p) - 4) {
      return NotAnAnswer();
    }
    const absl::string_view sum(p, 4);
    const absl::string_view frame(p + 4, size);
    if (sum != BigEndian(Checksum(frame))) return NotAnAnswer();
    RETURN_IF_ERROR(ReadFrame(frame, question, reads, results));
    p = frame.data() + frame.size();
  }
  return absl::OkStatus();
}

absl::Status CheckCount(const ReadQuestion& question, const Results& results) {
  uint64_t series = 0;
  for (const auto& result : results) series += result.size();
  return question.max_series > 0 && series > question.max_series
             ? TooManySeries()
             : absl::OkStatus();
}

std::string SamplesOf(const Results& results) {
  std::string message;
  for (const auto& result : results) {
    std::string bytes;
    for (const auto& [labels, found] : result) {
      AppendBytesField(1, found.bytes, &bytes);
    }
    AppendBytesField(1, bytes, &message);
  }
  remote_write::Arena arena;
  return remote_write::Compress(message, &arena);
}

std::string FramesOf(const Results& results) {
  std::string frames;
  for (size_t i = 0; i < results.size(); ++i) {
    for (const auto& [labels, found] : results[i]) {
      std::string frame;
      AppendBytesField(1, found.bytes, &frame);
      if (i > 0) AppendNumber(2, i, &frame);
      AppendVarint(frame.size(), &frames);
      absl::StrAppend(&frames, BigEndian(Checksum(frame)), frame);
    }
  }
  return frames;
}

Answer Written(const ReadQuestion& question, const Results& results) {
  Answer answer;
  answer.content_type =
      std::string(question.chunked ? kChunkedType : kSampledType);
  if (question.chunked) {
    answer.body = FramesOf(results);
  } else {
    answer.content_encoding = "snappy";
    answer.body = SamplesOf(results);
  }
  return answer;
}

}  // namespace

absl::StatusOr<ReadQuestion> ConfineReadRequest(absl::string_view body,
                                                const Policy& policy) {
  remote_write::Arena arena;
  absl::StatusOr<absl::string_view> message =
      remote_write::Decompress(body, policy.max_query_bytes, &arena);
  if (absl::IsResourceExhausted(message.status())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "insula: tenant ", policy.tenant_id,
        ": the remote read is larger than the limit max_query_bytes, which is ",
        policy.max_query_bytes, "; ask for less at once"));
  }
  if (!message.ok()) return NoRequest();
  RequestReader reader;
  ASSIGN_OR_RETURN(const ReadRequest request, reader.Read(*message));

  ReadQuestion question;
  question.queries = request.queries.size();
  question.chunked = request.takes_chunks && !request.takes_samples;
  question.max_series = policy.limits.max_response_series;
  std::string confined;
  for (size_t i = 0; i < request.queries.size(); ++i) {
    const ReadQuery& query = request.queries[i];
    // Of what ends before it begins, nothing is asked.
    const absl::Duration reach =
        absl::Milliseconds(static_cast<int64_t>(query.end)) -
        absl::Milliseconds(static_cast<int64_t>(query.start));
    RETURN_IF_ERROR(CheckReach(reach, policy.tenant_id, policy.limits));
    for (const promql::Clause& arm : ConfineSelector(query.matchers, policy)) {
      question.cost += CostOfReach(reach);
      AppendBytesField(1, QueryBytes(query, arm), &confined);
      question.origin.push_back(i);
    }
    if (question.origin.size() > kMaxArms ||
        confined.size() > kMaxConfinedBytes) {
      return absl::FailedPreconditionError(absl::StrCat(
          "insula: tenant ", policy.tenant_id,
          ": the remote read, confined to what the tenant reads, has more "
          "than ",
          kMaxArms, " queries or ", kMaxConfinedBytes,
          " bytes; ask for less at once, or with the name of a metric"));
    }
  }
  AppendNumber(2, question.chunked ? kStreamedChunks : 0, &confined);
  question.body = remote_write::Compress(confined, &arena);
  return question;
}

absl::StatusOr<Answer> ReadReadResponse(const http::Response& response,
                                        const ReadQuestion& question,
                                        const tenancy::ReadPolicy& reads,
                                        size_t max_bytes) {
  if (response.status != 200 || response.headers.Count("Content-Type") != 1) {
    return NotAnAnswer();
  }
  const absl::string_view type = *response.headers.Get("Content-Type");
  Results results(question.queries);
  if (question.chunked) {
    if (!absl::StartsWith(type, "application/x-streamed-protobuf")) {
      return NotAnAnswer();
    }
    RETURN_IF_ERROR(ReadFrames(response.body, question, reads, &results));
    RETURN_IF_ERROR(CheckCount(question, results));
    return Written(question, results);
  }
  if (!absl::StartsWith(type, kSampledType)) return NotAnAnswer();
  remote_write::Arena arena;
  const absl::StatusOr<absl::string_view> message =
      remote_write::Decompress(response.body, max_bytes, &arena);
  if (absl::IsResourceExhausted(message.status())) {
    return absl::ResourceExhaustedError("the answer is too large");
  }
  if (!message.ok()) return NotAnAnswer();
  RETURN_IF_ERROR(ReadSamples(*message, question, reads, &results));
  RETURN_IF_ERROR(CheckCount(question, results));
  return Written(question, results);
}

Answer EmptyReadResponse(const ReadQuestion& question) {
  return Written(question, Results(question.queries));
}

}  // namespace insula::query_frontend
