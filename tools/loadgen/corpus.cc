#include "tools/loadgen/corpus.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/encode.h"
#include "libs/remote_write/v2_encode.h"

namespace insula::loadgen {
namespace {

using remote_write::AppendLabel;

// What a request is made with; Write() puts another in its place. It takes the
// same number of bytes.
constexpr int64_t kTime = 1'764'000'000'000;
// A sample ends with 8 bytes of value, a tag and 6 bytes of time.
constexpr size_t kTimeBytes = 6;
constexpr size_t kValueToEnd = kTimeBytes + 1 + sizeof(double);

// A number that looks random, the same for the same `n`.
uint64_t Scramble(uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
  n = (n ^ n >> 27) * 0x94d049bb133111eb;
  return n ^ n >> 31;
}

void PutSample(double value, int64_t time, char* end) {
  std::memcpy(end - kValueToEnd, &value, sizeof(value));
  uint64_t rest = static_cast<uint64_t>(time);
  for (size_t i = kTimeBytes; i > 0; --i) {
    *(end - i) = static_cast<char>(rest & 0x7f) | (i > 1 ? '\x80' : '\0');
    rest >>= 7;
  }
}

// One series of a target; `n` counts them. `alone`: with two labels more that
// tell its pod from others. Neighbours are buckets of one
// histogram, so that most of their labels are the same.
std::string MakeSeries(int tenant, uint32_t target, int n, bool alone) {
  static const char* const kMetrics[] = {"http_request_duration_seconds_bucket",
                                         "http_response_size_bytes_bucket",
                                         "grpc_server_handling_seconds_bucket"};
  std::string series;
  AppendLabel("__name__", kMetrics[n / 10 % 3], &series);
  AppendLabel("cluster", "production-eu-central-1", &series);
  AppendLabel("container", "application-server", &series);
  AppendLabel("endpoint", "http-metrics", &series);
  AppendLabel("handler", absl::StrCat("/api/v1/resource/", n / 5), &series);
  AppendLabel("instance",
              absl::StrCat("10.", target >> 16 & 255, ".", target >> 8 & 255,
                           ".", target & 255, ":9090"),
              &series);
  AppendLabel("job", absl::StrCat("team-", tenant, "/application-server"),
              &series);
  AppendLabel("le", absl::StrCat(0.005 * (1 << n % 10)), &series);
  AppendLabel("method", "GET", &series);
  AppendLabel("namespace", absl::StrCat("team-", tenant), &series);
  if (alone) {
    AppendLabel(
        "node",
        absl::StrCat("node-", absl::Hex(Scramble(target + (uint64_t{1} << 32)),
                                        absl::kZeroPad16)),
        &series);
  }
  AppendLabel(
      "pod",
      absl::StrCat("application-server-", absl::Hex(target * 2654435761U), "-",
                   absl::Hex(target ^ 0x5bd1e995U)),
      &series);
  AppendLabel("service", "application-server", &series);
  if (alone) {
    AppendLabel("uid",
                absl::StrCat(absl::Hex(Scramble(target), absl::kZeroPad16),
                             absl::Hex(Scramble(~target), absl::kZeroPad16)),
                &series);
  }
  remote_write::AppendSample(0, kTime, &series);
  return series;
}

}  // namespace

Corpus::Corpus(const Load& load) : load_(load) {
  uint32_t target = 0;
  for (int i = 0; i < load.requests; ++i) {
    Message& message = messages_.emplace_back();
    for (int n = 0; n < load.series; ++n) {
      const int of_target = n % load.series_of_a_target;
      if (of_target == 0) ++target;
      const int tenant =
          (load.one_tenant_a_request ? i : static_cast<int>(target)) %
          load.tenants;
      // Alone, it is one of the series that such a pod has.
      const bool alone = load.series_of_a_target == 1;
      const int kind =
          alone ? static_cast<int>(Scramble(target) % 20) : of_target;
      remote_write::AppendSeries(MakeSeries(tenant, target, kind, alone),
                                 &message.bytes);
      message.series.push_back({message.bytes.size(), tenant});
    }
  }
}

const Corpus::Message& Corpus::Of(int64_t n) const {
  return messages_[static_cast<size_t>(n % load_.requests)];
}

absl::Span<const Corpus::Series> Corpus::SeriesOf(int64_t n) const {
  return Of(n).series;
}

void Corpus::Write(int64_t n, absl::Time time, std::string* message) const {
  const Message& original = Of(n);
  const int64_t milliseconds = absl::ToUnixMillis(time);
  *message = original.bytes;
  for (size_t i = 0; i < original.series.size(); ++i) {
    const uint64_t random = Scramble(static_cast<uint64_t>(n) << 20 | i);
    PutSample(static_cast<double>(random >> 32) / 1000.0,
              milliseconds - static_cast<int64_t>(i / 20),
              message->data() + original.series[i].end);
  }
}

absl::string_view ContentType(Protocol protocol) {
  return protocol == Protocol::kV1
             ? "application/x-protobuf"
             : "application/x-protobuf;proto=io.prometheus.write.v2.Request";
}

absl::string_view Version(Protocol protocol) {
  return protocol == Protocol::kV1 ? "0.1.0" : "2.0.0";
}

RequestMaker::RequestMaker(const Corpus* corpus, Protocol protocol)
    : corpus_(corpus), protocol_(protocol) {}

std::string RequestMaker::Make(int64_t n, absl::Time time) {
  corpus_->Write(n, time, &message_);
  if (protocol_ == Protocol::kV1) {
    return remote_write::Compress(message_, &arena_);
  }
  const absl::StatusOr<std::string> v2 = remote_write::EncodeV2(message_);
  if (!v2.ok()) {  // A corpus has nothing but labels and samples.
    std::fprintf(stderr, "loadgen: BUG: %s\n", v2.status().ToString().c_str());
    std::abort();
  }
  return remote_write::Compress(*v2, &arena_);
}

}  // namespace insula::loadgen
