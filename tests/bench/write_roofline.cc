#include "tests/bench/write_roofline.h"

#include <time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "libs/remote_write/block.h"
#include "tests/bench/harness.h"
#include "tests/bench/ingest_sender.h"

namespace insula::bench {
namespace {

constexpr int kThreads = 2;
constexpr int kPasses = 2;  // The first is not counted.

absl::Duration CpuTimeOfThread() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

// The time of all passes that count.
absl::Duration Work(const loadgen::Corpus& corpus) {
  const loadgen::Load& load = corpus.load();
  loadgen::RequestMaker maker(&corpus, loadgen::Protocol::kV1);
  remote_write::Arena arena;
  remote_write::Arena decoded;
  std::vector<std::string> parts(static_cast<size_t>(load.tenants));
  absl::Duration used;
  size_t bytes = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    if (pass == 1) used = absl::ZeroDuration();
    for (int i = 0; i < load.requests; ++i) {
      const int64_t n = int64_t{pass} * load.requests + i;
      const std::string body = maker.Make(n, TimeOf(load, n));
      const absl::Duration before = CpuTimeOfThread();
      const auto raw = remote_write::Decompress(body, 64 << 20, &decoded);
      if (!raw.ok()) Die(raw.status().ToString());
      for (std::string& part : parts) part.clear();
      size_t begin = 0;
      for (const loadgen::Corpus::Series& series : corpus.SeriesOf(n)) {
        parts[static_cast<size_t>(series.tenant)].append(raw->data() + begin,
                                                         series.end - begin);
        begin = series.end;
      }
      for (const std::string& part : parts) {
        if (!part.empty()) bytes += remote_write::Compress(part, &arena).size();
      }
      used += CpuTimeOfThread() - before;
    }
  }
  if (bytes == 0) Die("nothing was compressed");
  return used;
}

}  // namespace

double RooflineSeconds(const loadgen::Corpus& corpus) {
  std::array<absl::Duration, kThreads> used;
  std::vector<std::thread> threads;
  for (absl::Duration& each : used) {
    threads.emplace_back([&corpus, &each] { each = Work(corpus); });
  }
  for (std::thread& thread : threads) thread.join();
  const absl::Duration all =
      std::accumulate(used.begin(), used.end(), absl::ZeroDuration());
  return absl::ToDoubleSeconds(all) * 1e6 /
         (double{kThreads} * (kPasses - 1) * corpus.load().requests *
          corpus.load().series);
}

}  // namespace insula::bench
