// The real ingest-gateway while a store is away for long, and in little memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/e2e/harness/http.h"
#include "tests/ingest_faults/gateway_under_test.h"
#include "tests/ingest_faults/moody_store.h"
#include "tests/ingest_faults/power.h"
#include "tests/ingest_faults/taken_series.h"

namespace insula::ingest_faults {
namespace {

using e2e::Constellation;
using e2e::WaitUntil;

#ifdef __SANITIZE_ADDRESS__
constexpr int64_t kMemoryMiB = 1536;
#else
constexpr int64_t kMemoryMiB = 512;
#endif

// Senders that write a sample of a series of their own of each tenant, so many
// times a second in all.
class PacedSenders {
 public:
  PacedSenders(const Constellation* constellation, int64_t per_second)
      : constellation_(*constellation),
        pause_(absl::Seconds(kSenders) / per_second) {
    for (int i = 0; i < kSenders; ++i) {
      threads_.emplace_back([this, i] { Run(i); });
    }
  }
  ~PacedSenders() { Stop(); }

  void Stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    stopped_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  int64_t acknowledged() const { return acknowledged_; }
  // How many samples of each series were answered with 204. After Stop().
  const std::map<int, int64_t>& sent() const { return sent_; }

 private:
  static constexpr int kSenders = 4;

  // The values of a series count from 1; each is sent until it is taken.
  void Run(int number) {
    absl::Time due = absl::Now();
    int64_t value = 1;
    while (true) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        if (stopped_.wait_until(lock, absl::ToChronoTime(due),
                                [this] { return stop_; })) {
          break;
        }
      }
      due += pause_;
      std::vector<e2e::Series> series;
      for (const char* tenant : {"red", "blue"}) {
        series.push_back({{{"__name__", "outage"},
                           {"namespace", tenant},
                           {"sender", absl::StrCat(number)}},
                          static_cast<double>(value),
                          absl::FromUnixMillis(1760000000000 + value)});
      }
      if (constellation_.Write(Constellation::kSender, WriteBody(series))
              .status != 204) {
        continue;
      }
      ++value;
      ++acknowledged_;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    sent_[number] = value - 1;
  }

  const Constellation& constellation_;
  const absl::Duration pause_;
  std::atomic<int64_t> acknowledged_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::map<int, int64_t> sent_;
  std::vector<std::thread> threads_;
};

// What has arrived at a store, of each series of a tenant.
class Arrived {
 public:
  void Add(const std::vector<MoodyStore::Taken>& all) {
    ForEachSeries(all, [this](const std::string& tenant, const auto& series) {
      for (const auto& label : series.labels()) {
        if (label.name() != "sender") continue;
        int number = 0;
        ASSERT_TRUE(absl::SimpleAtoi(label.value(), &number));
        for (const auto& sample : series.samples()) {
          Note(tenant, number, static_cast<int64_t>(sample.value()));
        }
      }
    });
  }

  // Up to which value all of a series have arrived.
  int64_t Last(const std::string& tenant, int number) {
    return last_[{tenant, number}];
  }
  int64_t gaps() const { return gaps_; }

 private:
  // What is sent twice comes again; what is left out never does.
  void Note(const std::string& tenant, int number, int64_t value) {
    int64_t& last = last_[{tenant, number}];
    if (value > last + 1) ++gaps_;
    last = std::max(last, value);
  }

  std::map<std::pair<std::string, int>, int64_t> last_;
  int64_t gaps_ = 0;
};

TEST(GatewayOutageTest, WhatWaitedForAStoreArrivesInOrderWhileMoreComes) {
  const int64_t seconds = Setting("FAULT_AWAY_SECONDS", 3);
  const int64_t per_second = Setting("FAULT_WRITES_PER_SECOND", 100);
  GatewayUnderTest gateway;
  gateway.constellation.StartGateway();
  if (testing::Test::HasFatalFailure()) return;
  Arrived arrived;
  PacedSenders senders(&gateway.constellation, per_second);
  ASSERT_TRUE(WaitUntil([&] { return senders.acknowledged() >= 10; }));

  gateway.store.SetMood("red", Mood::kFails);
  const absl::Time away = absl::Now();
  const int64_t before = senders.acknowledged();
  // As long as it is away, nobody notices: neither senders nor the other
  // tenant.
  ASSERT_TRUE(WaitUntil(
      [&] {
        arrived.Add(gateway.store.Take());
        return absl::Now() - away >= absl::Seconds(seconds) &&
               senders.acknowledged() - before >= per_second;
      },
      absl::Seconds(10 * seconds)));
  const int64_t during = senders.acknowledged() - before;
  const double rate =
      static_cast<double>(during) / absl::ToDoubleSeconds(absl::Now() - away);
  const double waited = gateway.Metric("insula_spool_records");
  EXPECT_GT(waited, 0.9 * static_cast<double>(during));
  EXPECT_EQ(arrived.gaps(), 0);

  gateway.store.SetMood("red", Mood::kWell);
  const absl::Time back = absl::Now();
  ASSERT_TRUE(WaitUntil(
      [&] {
        arrived.Add(gateway.store.Take());
        return gateway.Metric("insula_spool_records") == 0;
      },
      absl::Seconds(60 + 10 * seconds)));
  const absl::Duration drained = absl::Now() - back;
  senders.Stop();
  ASSERT_TRUE(WaitUntil([&] {
    arrived.Add(gateway.store.Take());
    return std::all_of(
        senders.sent().begin(), senders.sent().end(), [&](const auto& each) {
          return arrived.Last("red", each.first) >= each.second &&
                 arrived.Last("blue", each.first) >= each.second;
        });
  }));
  EXPECT_EQ(arrived.gaps(), 0);
  std::cout << "a store was away for " << seconds << " s at " << rate
            << " writes a second: " << waited << " parts waited, all sent "
            << drained << " after it was back, in order, while more came\n";
}

// A bound of the kernel on the memory of processes; null where a test may not
// set one.
class MemoryBound {
 public:
  static std::unique_ptr<MemoryBound> Make(int64_t mebibytes) {
    const std::filesystem::path root = "/sys/fs/cgroup";
    for (const auto& [parent, limit] :
         {std::pair(root / "memory", "memory.limit_in_bytes"),
          std::pair(root, "memory.max")}) {
      const std::filesystem::path dir =
          parent / absl::StrCat("insula-test-", getpid());
      std::error_code error;
      std::filesystem::create_directory(dir, error);
      if (error) continue;
      std::unique_ptr<MemoryBound> bound(new MemoryBound(dir));
      if (Write(dir / limit, absl::StrCat(mebibytes << 20))) return bound;
    }
    return nullptr;
  }
  // The processes must have ended.
  ~MemoryBound() {
    std::error_code ignored;
    std::filesystem::remove(dir_, ignored);
  }

  bool Add(pid_t pid) const {
    return Write(dir_ / "cgroup.procs", absl::StrCat(pid));
  }

 private:
  explicit MemoryBound(std::filesystem::path dir) : dir_(std::move(dir)) {}
  static bool Write(const std::filesystem::path& file,
                    const std::string& text) {
    std::ofstream out(file);
    out << text;
    out.close();
    return !out.fail();
  }

  const std::filesystem::path dir_;
};

TEST(GatewayMemoryTest, BodiesThatNeverEndDoNotKillItWhereMemoryIsBounded) {
  const std::unique_ptr<MemoryBound> bound = MemoryBound::Make(kMemoryMiB);
  if (bound == nullptr) GTEST_SKIP() << "no memory cgroup may be made here";
  constexpr int64_t kBody = 16 << 20;
  constexpr int kBodies = 64;  // A gibibyte; 256 MiB of it may be held.
  GatewayUnderTest gateway;
  gateway.constellation.StartGateway();
  if (testing::Test::HasFatalFailure()) return;
  ASSERT_TRUE(bound->Add(gateway.constellation.gateway->pid()));

  const std::string head = absl::StrCat(
      "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ",
      Constellation::kSender,
      "\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
      "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: ",
      kBody, "\r\n\r\n");
  const std::string body(kBody - 1, 'x');  // One byte never comes.
  std::vector<int> connections;
  int refused = 0;
  for (int i = 0; i < kBodies; ++i) {
    const int fd = e2e::Connect(gateway.constellation.gateway_port());
    ASSERT_GE(fd, 0);
    connections.push_back(fd);
    std::string text = head + body;
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t more =
          send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (more <= 0) break;  // Refused meanwhile.
      sent += static_cast<size_t>(more);
    }
    char answer[16] = {};
    const ssize_t got = recv(fd, answer, sizeof(answer) - 1,
                             sent < text.size() ? 0 : MSG_DONTWAIT);
    if (got > 0 && absl::StartsWith(answer, "HTTP/1.1 503")) ++refused;
  }
  // Those beyond the bound, of which some lose the answer to what they still
  // sent.
  EXPECT_GT(refused, 0);
  EXPECT_GE(
      gateway.Metric("insula_http_server_rejected_total{reason=\"memory\","
                     "server=\"write\"}"),
      kBodies / 2);
  for (const int fd : connections) close(fd);
  EXPECT_TRUE(WaitUntil([&] {
    return gateway.constellation
               .Write(Constellation::kSender,
                      e2e::WriteBody(
                          {{{{"__name__", "small"}, {"namespace", "red"}},
                            1,
                            absl::Now()}}))
               .status == 204;
  }));
  EXPECT_TRUE(gateway.constellation.gateway->Running());
  gateway.constellation.gateway->Kill();
}

}  // namespace
}  // namespace insula::ingest_faults
