// The real ingest-gateway among many and slow connections, without file
// descriptors, under signals, with a clock that jumps, and beside another one
// on the same directory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/process_usage.h"
#include "tests/e2e/harness/service.h"
#include "tests/ingest_faults/gateway_under_test.h"
#include "tests/ingest_faults/power.h"

namespace insula::ingest_faults {
namespace {

using e2e::Connect;
using e2e::Constellation;
using e2e::HttpAnswer;
using e2e::WaitUntil;

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// A write of a series of each tenant.
std::string Body(int64_t number) {
  std::vector<e2e::Series> series;
  for (const char* tenant : {"red", "blue"}) {
    series.push_back({{{"__name__", "hardships"},
                       {"id", absl::StrCat(number)},
                       {"namespace", tenant}},
                      1,
                      absl::Now()});
  }
  return e2e::WriteBody(series);
}

std::string Head(size_t length) {
  return absl::StrCat(
      "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ",
      Constellation::kSender,
      "\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
      "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: ",
      length, "\r\n\r\n");
}

bool SendText(int fd, absl::string_view text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(text.size());
}

// The status of the next answer, of which a head is all. 0: none.
int ReadStatus(int fd) {
  std::string text;
  char buffer[1024];
  ssize_t got = 1;
  while (got > 0 && !absl::StrContains(text, "\r\n\r\n")) {
    got = recv(fd, buffer, sizeof(buffer), 0);
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  }
  int status = 0;
  if (text.size() > 12 && absl::SimpleAtoi(text.substr(9, 3), &status)) {
    return status;
  }
  return 0;
}

// Connections that are there and say nothing, or something now and then.
class Idle {
 public:
  ~Idle() { Close(); }
  // Every other one has been answered once.
  void Open(int port, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int fd = Connect(port);
      ASSERT_GE(fd, 0) << "connection " << i;
      fds_.push_back(fd);
      if (i % 2 == 1) continue;
      ASSERT_TRUE(SendText(fd, Head(1) + "x"));
      ASSERT_GT(ReadStatus(fd), 0);
    }
  }
  void Close() {
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

 private:
  std::vector<int> fds_;
};

// Clients that send a byte now and then, half of them of a header, half of a
// body of a megabyte; who is cut off comes again at once.
class Slow {
 public:
  Slow(int port, int64_t count) : port_(port), fds_(count, -1) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Slow() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
    for (const int fd : fds_) {
      if (fd >= 0) close(fd);
    }
  }
  // How often all have sent something.
  int64_t rounds() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return rounds_;
  }
  int64_t cut_off() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cut_off_;
  }

 private:
  void Run() {
    const std::string body = Head(1'000'000);
    while (true) {
      int64_t lost = 0;
      for (size_t i = 0; i < fds_.size(); ++i) {
        if (fds_[i] >= 0 && send(fds_[i], "a", 1, MSG_NOSIGNAL) == 1) continue;
        if (fds_[i] >= 0) {
          close(fds_[i]);
          ++lost;
        }
        fds_[i] = Connect(port_);
        if (fds_[i] < 0) continue;
        SendText(fds_[i], i % 2 == 0 ? "GET / HTTP/1.1\r\nX-Slow: " : body);
      }
      std::unique_lock<std::mutex> lock(mutex_);
      ++rounds_;
      cut_off_ += lost;
      if (changed_.wait_for(lock, std::chrono::milliseconds(200),
                            [this] { return stop_; })) {
        return;
      }
    }
  }

  const int port_;
  std::vector<int> fds_;  // -1: it could not connect.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  int64_t rounds_ = 0;
  int64_t cut_off_ = 0;
  std::thread thread_;
};

class GatewayHardshipsTest : public testing::Test {
 protected:
  GatewayHardshipsTest() {
    // Also of the gateway.
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    descriptors_ = static_cast<int64_t>(
        std::min<rlim_t>(limit.rlim_cur, uint64_t{1} << 30));
  }

  void Start() { constellation_.StartGateway(); }

  HttpAnswer Write() {
    return constellation_.Write(Constellation::kSender, Body(++number_));
  }

  // What is resident of the gateway.
  int64_t MemoryBytes() const {
    return e2e::MemoryBytes(constellation_.gateway->pid(), "VmRSS").value();
  }
  absl::Duration Cpu() const {
    return e2e::CpuTime(constellation_.gateway->pid()).value();
  }

  double Rejected(absl::string_view reason) const {
    return gateway_.Metric(
        absl::StrCat("insula_http_server_rejected_total{reason=\"", reason,
                     "\",server=\"write\"}"));
  }
  double DroppedAsTooOld() const {
    return gateway_.Metric(
        "insula_spool_dropped_records_total{reason=\"too_old\"}");
  }

  GatewayUnderTest gateway_;
  Constellation& constellation_ = gateway_.constellation;
  int64_t descriptors_ = 0;
  int64_t number_ = 0;
};

TEST_F(GatewayHardshipsTest,
       ManyIdleAndSlowConnectionsCostLittleAndHurtNobody) {
  const int64_t idle_count = Setting("FAULT_CONNECTIONS", 1000);
  const int64_t slow_count = idle_count / 5;
  if (descriptors_ < idle_count + slow_count + 500) {
    GTEST_SKIP() << "needs " << idle_count + slow_count + 500
                 << " file descriptors, and may have " << descriptors_
                 << ": raise ulimit -Hn";
  }
  // On a busy machine it takes long until all are there.
  constellation_.gateway_config += "\nwrite: {idle_timeout: 10m}";
  Start();
  const int port = constellation_.gateway_port();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Write().status, 204);
  const int64_t before = MemoryBytes();
  Idle idle;
  idle.Open(port, idle_count);
  if (HasFatalFailure()) return;
  const int64_t with_idle = MemoryBytes();
  Slow slow(port, slow_count);
  ASSERT_TRUE(WaitUntil([&] { return slow.rounds() >= 3; }, absl::Minutes(3)));

  int64_t most = 0;
  std::vector<absl::Duration> took;
  int refused = 0;
  std::mutex mutex;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&, i] {
      for (int n = 0; n < 150; ++n) {
        const absl::Time start = absl::Now();
        const HttpAnswer answer = constellation_.Write(
            Constellation::kSender, Body(1'000'000 * (i + 1) + n));
        const absl::Duration all = absl::Now() - start;
        const int64_t memory = MemoryBytes();
        const std::lock_guard<std::mutex> lock(mutex);
        took.push_back(all);
        if (answer.status != 204) ++refused;
        most = std::max(most, memory);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  // Those who were too slow for the header were cut off, and came again.
  EXPECT_TRUE(WaitUntil([&] { return slow.cut_off() > 0; }));
  most = std::max(most, MemoryBytes());
  std::sort(took.begin(), took.end());
  const absl::Duration p99 = took[took.size() * 99 / 100];
  std::cout << idle_count << " idle and " << slow_count
            << " slow connections: " << ((with_idle - before) >> 10)
            << " KiB for the idle ones, " << ((most - before) >> 10)
            << " KiB with all, p99 of others " << p99 << ", " << slow.cut_off()
            << " slow ones cut off, " << Rejected("crowded")
            << " idle ones made room\n";
  EXPECT_EQ(refused, 0);
  EXPECT_LT(p99, absl::Seconds(2));
  // A sanitizer multiplies what small blocks take.
  EXPECT_LT(most - before, int64_t{kSanitized ? 1024 : 256} << 20);
}

TEST_F(GatewayHardshipsTest, WithoutFileDescriptorsItPausesAndGoesOn) {
  gateway_.store.SetMood("red", Mood::kFails);
  Start();
  const int port = constellation_.gateway_port();
  const int kept = Connect(port);
  const auto write = [&] {
    const std::string body = Body(++number_);
    EXPECT_TRUE(SendText(kept, Head(body.size()) + body));
    return ReadStatus(kept);
  };
  ASSERT_EQ(write(), 204);
  ASSERT_EQ(write(), 204);
  rlimit before;
  const pid_t pid = constellation_.gateway->pid();
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, nullptr, &before), 0);
  rlimit few = before;
  few.rlim_cur = 100;
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, &few, nullptr), 0);

  std::vector<int> crowd;
  for (int i = 0; i < 200; ++i) crowd.push_back(Connect(port));
  ASSERT_TRUE(WaitUntil([&] { return Rejected("accept") >= 3; }));
  // It does not spin: it looks again every 100 ms.
  const absl::Time start = absl::Now();
  const absl::Duration cpu = Cpu();
  const double pauses = Rejected("accept");
  ASSERT_TRUE(WaitUntil([&] { return Rejected("accept") >= pauses + 10; }));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(900));
  EXPECT_LT(Cpu() - cpu, (absl::Now() - start) / 2);
  // Who is in is served, and files can be written.
  const double queued = gateway_.Metric("insula_spool_records");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(write(), 204);
  EXPECT_GE(gateway_.Metric("insula_spool_records"), queued + 20);
  EXPECT_EQ(gateway_.Metric("insula_spool_writable"), 1);
  EXPECT_EQ(e2e::HttpSend(constellation_.gateway_admin_port(), "GET", "/readyz")
                .status,
            200);
  // And everybody is when there are some again.
  for (const int fd : crowd) close(fd);
  EXPECT_EQ(Write().status, 204);
  close(kept);
}

TEST_F(GatewayHardshipsTest, SignalsWithoutEndChangeNothing) {
  Start();
  for (int i = 0; i < 300; ++i) {
    for (const int signal : {SIGHUP, SIGPIPE, SIGXFSZ}) {
      constellation_.gateway->Signal(signal);
    }
    if (i % 10 == 0) {
      ASSERT_EQ(Write().status, 204);
    }
  }
  constellation_.gateway->Signal(SIGTERM);
  EXPECT_EQ(constellation_.gateway->Wait(absl::Minutes(1)), 0);
}

TEST_F(GatewayHardshipsTest, AClockThatJumpsLosesAndDelaysNothing) {
  const std::string file = constellation_.dir().path() + "/clock";
  const auto set_clock = [&](absl::Duration ahead) {
    const int64_t seconds = absl::ToInt64Seconds(ahead);
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(pwrite(fd, &seconds, sizeof(seconds), 0),
              static_cast<ssize_t>(sizeof(seconds)));
    close(fd);
  };
  set_clock(absl::ZeroDuration());
  constellation_.gateway_environment = {
      "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0",
      absl::StrCat("LD_PRELOAD=", CLOCK_SHIM),
      absl::StrCat("CLOCK_SHIM_FILE=", file)};
  gateway_.store.SetMood("red", Mood::kFails);
  Start();
  double waiting = 0;
  for (const absl::Duration ahead :
       {absl::ZeroDuration(), absl::Hours(1), -absl::Hours(1),
        30 * absl::Hours(24), absl::ZeroDuration()}) {
    SCOPED_TRACE(absl::StrCat("ahead by ", absl::FormatDuration(ahead)));
    set_clock(ahead);
    for (int i = 0; i < 10; ++i) {
      const absl::Time start = absl::Now();
      EXPECT_EQ(Write().status, 204);
      EXPECT_LT(absl::Now() - start, absl::Seconds(20));
    }
    waiting += 10;
    // What is too old is looked for every second, at the latest now.
    const double commits =
        gateway_.Metric("insula_spool_appended_records_total");
    EXPECT_EQ(commits, waiting);
    EXPECT_EQ(gateway_.Metric("insula_spool_records"), waiting);
    EXPECT_EQ(DroppedAsTooOld(), 0);
  }
  set_clock(30 * absl::Hours(24));
  // It has looked since then, more than once.
  const absl::Time looked = absl::Now() + absl::Seconds(3);
  EXPECT_TRUE(WaitUntil([&] { return absl::Now() > looked; }));
  EXPECT_EQ(DroppedAsTooOld(), 0);
  gateway_.store.SetMood("red", Mood::kWell);
  EXPECT_TRUE(
      WaitUntil([&] { return gateway_.Metric("insula_spool_records") == 0; }));
  EXPECT_EQ(DroppedAsTooOld(), 0);
}

TEST_F(GatewayHardshipsTest, ASecondOneOnTheSameDirectoryDoesNotStart) {
  Start();
  const auto& dir = constellation_.dir();
  auto second = e2e::StartService(
      dir, BIN_DIR "/ingest-gateway", "second",
      absl::StrCat(
          "registry: {address: 127.0.0.1:", constellation_.registry_port(),
          "}\nqueue: {dir: ", dir.path(),
          "/queue}\nlisteners:\n"
          "  - {name: write, listen_address: 127.0.0.1:0}"));
  EXPECT_EQ(second.process->Wait(absl::Minutes(1)), 1);
  EXPECT_THAT(second.process->LogTail(),
              testing::HasSubstr("another process uses it"));
  EXPECT_EQ(Write().status, 204);
}

}  // namespace
}  // namespace insula::ingest_faults
