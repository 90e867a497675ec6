#include "tests/bench/write_load.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "libs/remote_write/block.h"
#include "libs/remote_write/encode.h"

namespace insula::bench {
namespace {

using remote_write::AppendLabel;

constexpr int64_t kTime = 1'764'000'000'000;

// One series of a target; `n` counts them. Neighbours are buckets of one
// histogram, so that most of their labels are the same.
std::string Series(int tenant, uint32_t target, int n, double value) {
  static const char* const kMetrics[] = {"http_request_duration_seconds_bucket",
                                         "http_response_size_bytes_bucket",
                                         "grpc_server_handling_seconds_bucket"};
  std::string series;
  AppendLabel("__name__", kMetrics[n / 10 % 3], &series);
  AppendLabel("cluster", "production-eu-central-1", &series);
  AppendLabel("container", "application", &series);
  AppendLabel("endpoint", "http-metrics", &series);
  AppendLabel("handler", absl::StrCat("/api/v1/resource/", n / 5), &series);
  AppendLabel("instance",
              absl::StrCat("10.", target >> 16 & 255, ".", target >> 8 & 255,
                           ".", target & 255, ":9090"),
              &series);
  AppendLabel("job", absl::StrCat("team-", tenant, "/application"), &series);
  AppendLabel("le", absl::StrCat(0.005 * (1 << n % 10)), &series);
  AppendLabel("method", "GET", &series);
  AppendLabel("namespace", absl::StrCat("team-", tenant), &series);
  AppendLabel("pod",
              absl::StrCat("application-", absl::Hex(target * 2654435761U), "-",
                           absl::Hex(target ^ 0x5bd1e995U)),
              &series);
  AppendLabel("service", "application", &series);
  remote_write::AppendSample(value, kTime + target % 15'000, &series);
  return series;
}

}  // namespace

std::vector<std::string> MakeRequests(const WriteLoad& load, int count) {
  std::mt19937 random(42);
  remote_write::Arena arena;
  std::vector<std::string> requests;
  uint32_t target = 0;
  for (int i = 0; i < count; ++i) {
    std::string request;
    for (int n = 0; n < load.series; ++n) {
      const int of_target = n % load.series_of_a_target;
      if (of_target == 0) ++target;
      const int tenant = static_cast<int>(target) % load.tenants;
      remote_write::AppendSeries(
          Series(tenant, target, of_target, random() / 1000.0), &request);
    }
    requests.push_back(remote_write::Compress(request, &arena));
  }
  return requests;
}

}  // namespace insula::bench
