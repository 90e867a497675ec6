#include "tests/bench/ingest_hung.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/bench/ingest_sender.h"
#include "tests/bench/ingest_setup.h"
#include "tools/loadgen/latencies.h"

namespace insula::bench {
namespace {

constexpr int kConnections = 4;
constexpr absl::Duration kPace = absl::Milliseconds(16);  // Of a connection.
constexpr absl::Duration kSlice = absl::Seconds(5);
// A tenant's part of 250 requests a second.
constexpr absl::Duration kHungPace = absl::Milliseconds(400);
constexpr double kShare = 0.99;

// Sends for one slice, from request `*next` on, and adds the times of the
// tenants whose stores answer.
void SendSlice(const Setup& setup, const Sending& sending, int64_t* next,
               loadgen::Latencies* took) {
  std::array<std::vector<int64_t>, kConnections> numbers;
  const auto of_a_connection = static_cast<size_t>(kSlice / kPace);
  for (size_t i = 0; numbers.back().size() < of_a_connection; ++*next) {
    if (*next % kMaxTenants == kHungTenant) continue;
    numbers[i++ % kConnections].push_back(*next);
  }
  std::vector<int64_t> of_hung;
  for (int64_t i = 0; i < kSlice / kHungPace; ++i) {
    of_hung.push_back((*next / kMaxTenants + i) * kMaxTenants + kHungTenant);
  }

  std::array<loadgen::Latencies, kConnections> times;
  std::array<bool, kConnections + 1> sent{};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kConnections; ++i) {
    threads.emplace_back([&, i] {
      sent[i] = SendPaced(setup.port(), sending, numbers[i], kPace, &times[i]);
    });
  }
  threads.emplace_back([&] {
    loadgen::Latencies of_no_interest;
    sent[kConnections] =
        SendPaced(setup.port(), sending, of_hung, kHungPace, &of_no_interest);
  });
  for (std::thread& thread : threads) thread.join();
  for (const bool all : sent) {
    if (!all) Die("a write was not answered with 204");
  }
  for (const loadgen::Latencies& some : times) took->Add(some);
}

}  // namespace

void MeasureHungStore(const std::string& bin, absl::Duration hang,
                      IngestFigures* figures) {
  const loadgen::Corpus corpus({.tenants = kMaxTenants,
                                .series = 200,
                                .requests = kMaxTenants,
                                .one_tenant_a_request = true});
  const Sending sending = {.corpus = &corpus, .token = kSplitToken};
  const Setup hung({.bin = bin, .queue_mode = "spill", .one_hangs = true});
  const Setup control({.bin = bin, .queue_mode = "spill"});

  // The first slices are to fill caches and pools, and the queue.
  loadgen::Latencies warm_up;
  int64_t next_of_hung = 0;
  int64_t next_of_control = 0;
  SendSlice(hung, sending, &next_of_hung, &warm_up);
  SendSlice(control, sending, &next_of_control, &warm_up);

  loadgen::Latencies with_hang;
  loadgen::Latencies without;
  const absl::Time end = absl::Now() + hang;
  bool hung_first = true;
  do {
    if (hung_first) SendSlice(hung, sending, &next_of_hung, &with_hang);
    SendSlice(control, sending, &next_of_control, &without);
    if (!hung_first) SendSlice(hung, sending, &next_of_hung, &with_hang);
    hung_first = !hung_first;
  } while (absl::Now() < end);

  const absl::Duration p99 = with_hang.Quantile(kShare);
  const absl::Duration control_p99 = without.Quantile(kShare);
  figures->Print("hung.p99_ms", absl::ToDoubleMilliseconds(p99), "ms");
  figures->Print("hung.control_p99_ms", absl::ToDoubleMilliseconds(control_p99),
                 "ms");
  figures->Print("hung.p99_ratio", absl::FDivDuration(p99, control_p99), "x");
}

}  // namespace insula::bench
