#include "tests/bench/ingest_sender.h"

#include <time.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::bench {
namespace {

constexpr int kConnections = 4;

void SleepUntil(absl::Time time) {
  const timespec at = absl::ToTimespec(time);
  clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, nullptr);
}

}  // namespace

absl::Time TimeOf(const loadgen::Load& load, int64_t n) {
  return absl::FromUnixSeconds(1'764'000'000) +
         n / load.requests * absl::Seconds(15);
}

std::string HttpRequest(const Sending& sending, int64_t n,
                        loadgen::RequestMaker* maker) {
  const std::string body = maker->Make(n, TimeOf(sending.corpus->load(), n));
  return absl::StrCat(
      "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1\r\n"
      "Authorization: Bearer ",
      sending.token,
      "\r\nContent-Type: ", loadgen::ContentType(sending.protocol),
      "\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: ",
      loadgen::Version(sending.protocol),
      "\r\nUser-Agent: ingest-bench\r\nContent-Length: ", body.size(),
      "\r\n\r\n", body);
}

bool Write(Connection* connection, absl::string_view request) {
  const absl::string_view answer =
      connection->Send(request) ? connection->Receive() : "";
  if (absl::StartsWith(answer, "HTTP/1.1 204")) return true;
  std::fprintf(stderr, "%s\n", std::string(answer).c_str());
  return false;
}

bool SendWrites(int port, const Sending& sending, int64_t first, int64_t end) {
  std::atomic<int64_t> next = first;
  std::atomic<bool> failed = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&] {
      Connection connection(Connection::Dial(port));
      loadgen::RequestMaker maker(sending.corpus, sending.protocol);
      for (int64_t n; !failed && (n = next.fetch_add(1)) < end;) {
        if (!Write(&connection, HttpRequest(sending, n, &maker))) failed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return !failed;
}

bool SendPaced(int port, const Sending& sending,
               const std::vector<int64_t>& numbers, absl::Duration pace,
               loadgen::Latencies* took) {
  Connection connection(Connection::Dial(port));
  loadgen::RequestMaker maker(sending.corpus, sending.protocol);
  absl::Time due = absl::Now();
  for (const int64_t n : numbers) {
    const std::string request = HttpRequest(sending, n, &maker);
    SleepUntil(due);
    if (!Write(&connection, request)) return false;
    took->Add(absl::Now() - due);
    due += pace;
  }
  return true;
}

}  // namespace insula::bench
