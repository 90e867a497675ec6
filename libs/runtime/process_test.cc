#include "libs/runtime/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/metrics/exposed_value.h"
#include "libs/runtime/http_get.h"
#include "libs/runtime/stall_watch.h"
#include "libs/runtime/version.h"
#include "libs/status/status_matchers.h"

namespace insula::runtime {
namespace {

namespace asio = boost::asio;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

ProcessConfig TestConfig() {
  ProcessConfig config;
  config.admin_listen_address = "127.0.0.1:0";
  config.worker_threads = 2;
  return config;
}

std::unique_ptr<Process> StartProcess(
    const ProcessConfig& config = TestConfig()) {
  auto process = Process::Start("test-service", config, "a: 1\n");
  EXPECT_THAT(process, IsOk());
  return *std::move(process);
}

// Repeats `condition` until it holds; the test's time limit ends it otherwise.
void WaitUntil(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

// The value of a series without labels in a text exposition; -1 without it.
double ValueOf(const std::string& exposition, const std::string& series) {
  return metrics::ExposedValue(exposition, series).value_or(-1);
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(ProcessTest, TheAdminServerAnswersOverHttp) {
  const auto process = StartProcess();
  const std::string admin = process->admin_address();

  EXPECT_THAT(HttpGet(admin, "/livez"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\nok\n")));
  EXPECT_THAT(HttpGet(admin, "/config"), EndsWith("\r\n\r\na: 1\n"));
  EXPECT_THAT(HttpGet(admin, "/none"), StartsWith("HTTP/1.1 404 "));
}

TEST(ProcessTest, MetricsTellOfTheProcessItself) {
  const auto process = StartProcess();
  const std::string metrics = HttpGet(process->admin_address(), "/metrics");

  EXPECT_THAT(metrics,
              HasSubstr(absl::StrCat(
                  "\ninsula_build_info{service=\"test-service\",version=\"",
                  Version(), "\"} 1\n")));
  EXPECT_GT(ValueOf(metrics, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(metrics, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(ValueOf(metrics, "process_open_fds"), 3);
  EXPECT_GT(ValueOf(metrics, "process_max_fds"), 3);
  const double start = ValueOf(metrics, "process_start_time_seconds");
  EXPECT_NEAR(start, absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()),
              120);
  EXPECT_GE(ValueOf(metrics, "insula_executor_stall_seconds"), 0);
}

TEST(ProcessTest, ReadinessBeginsWithSetReadyAndFollowsTheChecks) {
  std::atomic<bool> connected = false;
  const auto process = StartProcess();
  process->AddReadyCheck("registry", [&connected] {
    return connected ? absl::OkStatus()
                     : absl::UnavailableError("not connected");
  });
  const std::string admin = process->admin_address();

  EXPECT_THAT(HttpGet(admin, "/readyz"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("starting")));
  process->SetReady();
  EXPECT_THAT(HttpGet(admin, "/readyz"),
              AllOf(StartsWith("HTTP/1.1 503 "),
                    EndsWith("registry: not connected\n")));
  connected = true;
  EXPECT_THAT(HttpGet(admin, "/readyz"), StartsWith("HTTP/1.1 200 "));
}

TEST(ProcessTest, AnAddressInUseIsAnError) {
  const auto process = StartProcess();
  ProcessConfig config = TestConfig();
  config.admin_listen_address = process->admin_address();

  EXPECT_THAT(
      Process::Start("second", config, ""),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("admin"), HasSubstr(process->admin_address()))));
}

TEST(ProcessTest, SigtermEndsTheWaitUnreadyAndStartsTheDrainTime) {
  ProcessConfig config = TestConfig();
  config.drain_timeout = absl::Seconds(30);
  config.drain_delay = absl::Milliseconds(300);
  const auto process = StartProcess(config);
  process->SetReady();
  EXPECT_EQ(process->DrainTimeLeft(), absl::Seconds(30));
  std::atomic<bool> returned = false;
  std::thread waiter([&] {
    process->WaitForSignal();
    returned = true;
  });
  kill(getpid(), SIGTERM);
  std::string readyz;
  WaitUntil([&] {
    readyz = HttpGet(process->admin_address(), "/readyz");
    return absl::StrContains(readyz, "draining");
  });
  EXPECT_THAT(readyz, StartsWith("HTTP/1.1 503 "));
  waiter.join();

  EXPECT_LE(process->DrainTimeLeft(), absl::Seconds(30) - config.drain_delay);
  EXPECT_GT(process->DrainTimeLeft(), absl::Seconds(1));
  // The admin server lives on, for whoever watches the drain.
  EXPECT_THAT(HttpGet(process->admin_address(), "/livez"),
              StartsWith("HTTP/1.1 200 "));
}

TEST(ProcessTest, ASignalThatComesEarlyIsNotLost) {
  const auto process = StartProcess();
  kill(getpid(), SIGINT);
  process->WaitForSignal();
  EXPECT_LT(process->DrainTimeLeft(), absl::Seconds(20));
}

TEST(ProcessTest, SighupCallsTheReloadHandlersOnTheWaitingThread) {
  const auto process = StartProcess();
  std::latch first(1);
  int reloads = 0;
  std::thread::id reloaded_on;
  process->OnReload([&] {
    ++reloads;
    reloaded_on = std::this_thread::get_id();
    first.count_down();
  });
  process->SetReady();
  kill(getpid(), SIGHUP);
  std::thread ender([&first] {
    first.wait();
    kill(getpid(), SIGTERM);
  });
  process->WaitForSignal();
  ender.join();

  EXPECT_EQ(reloads, 1);
  EXPECT_EQ(reloaded_on, std::this_thread::get_id());
}

TEST(ProcessTest, SigpipeIsIgnored) {
  const auto process = StartProcess();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  close(ends[1]);
}

TEST(ProcessDeathTest, ASecondSignalEndsTheProcessAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const auto process = StartProcess();
        kill(getpid(), SIGTERM);
        process->WaitForSignal();
        kill(getpid(), SIGTERM);
        for (;;) pause();
      },
      testing::ExitedWithCode(130), "msg=\"second signal");
}

TEST(ProcessTest, ThePortsFileAppearsCompleteAtSetReady) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) /
                                    absl::StrCat("process_test.", getpid());
  std::filesystem::create_directories(dir);
  ProcessConfig config = TestConfig();
  config.ports_file = dir / "ports";
  const auto process = StartProcess(config);
  process->Announce("grpc", "127.0.0.1:9701");
  EXPECT_FALSE(std::filesystem::exists(config.ports_file));
  process->SetReady();

  EXPECT_EQ(ReadAll(config.ports_file),
            absl::StrCat("admin ", process->admin_address(),
                         "\ngrpc 127.0.0.1:9701\n"));
  process->Announce("late", "127.0.0.1:1");
  EXPECT_THAT(ReadAll(config.ports_file), EndsWith("\nlate 127.0.0.1:1\n"));
  // Nothing is left of the drafts.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir), {}), 1);
  std::filesystem::remove_all(dir);
}

TEST(ProcessTest, APortsFileThatCannotBeWrittenIsLogged) {
  ProcessConfig config = TestConfig();
  config.ports_file = "/nonexistent/ports";
  const auto process = StartProcess(config);
  testing::internal::CaptureStderr();
  process->SetReady();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("level=error"),
                    HasSubstr("ports_file '/nonexistent/ports'"),
                    HasSubstr("No such file")));
}

TEST(ProcessTest, TheDestructorFinishesWhatWasPosted) {
  std::atomic<int> done = 0;
  {
    const auto process = StartProcess();
    for (int i = 0; i < 100; ++i) {
      asio::post(process->executor(), [&done] { ++done; });
    }
  }
  EXPECT_EQ(done, 100);
}

TEST(ProcessTest, TheDestructorDropsWorkThatDoesNotEnd) {
  auto process = StartProcess();
  auto timer = std::make_shared<asio::steady_timer>(process->executor(),
                                                    std::chrono::hours(1));
  bool ran = false;
  timer->async_wait(
      [timer, &ran](const boost::system::error_code&) { ran = true; });
  timer.reset();
  testing::internal::CaptureStderr();
  process.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("work left on the executor is dropped"));
  EXPECT_FALSE(ran);
}

TEST(StallWatchTest, AStallIsMeasuredAndItsMaximumKeptUntilRead) {
  metrics::Registry metrics;
  asio::thread_pool executor(1);
  asio::io_context background(1);
  asio::thread_pool idle_executor(1);
  StallWatch watch(&background, &metrics, absl::Milliseconds(1));
  watch.Watch(executor.get_executor());
  watch.Watch(idle_executor.get_executor());
  std::latch release(1);
  asio::post(executor, [&release] { release.wait(); });
  std::thread thread([&background] { background.run(); });

  // While the executor hangs, the probe that waits counts.
  const std::string last = "insula_executor_stall_seconds";
  const std::string longest = "insula_executor_stall_max_seconds";
  WaitUntil([&] { return ValueOf(metrics.Expose(), last) > 0.05; });
  release.count_down();
  // Afterwards the last delay is short again.
  std::string exposition;
  WaitUntil([&] {
    exposition = metrics.Expose();
    return ValueOf(exposition, last) < 0.05;
  });
  EXPECT_GE(ValueOf(exposition, longest), ValueOf(exposition, last));
  WaitUntil([&] { return ValueOf(metrics.Expose(), longest) < 0.05; });
  background.stop();
  thread.join();
  executor.join();
  idle_executor.join();
}

TEST(ProcessConfigTest, ValidateNamesTheKey) {
  const auto error = [](const std::function<void(ProcessConfig&)>& change) {
    ProcessConfig config = TestConfig();
    change(config);
    return std::string(config.Validate().message());
  };
  EXPECT_EQ(error([](ProcessConfig&) {}), "");
  EXPECT_THAT(error([](auto& c) { c.admin_listen_address = "9801"; }),
              StartsWith("admin.listen_address: '9801' must be HOST:PORT"));
  EXPECT_EQ(error([](auto& c) { c.worker_threads = -1; }),
            "worker_threads: -1 must be from 0 to 1024");
  EXPECT_EQ(error([](auto& c) { c.blocking_threads = 0; }),
            "blocking_threads: 0 must be from 1 to 256");
  EXPECT_EQ(error([](auto& c) { c.drain_delay = absl::Seconds(21); }),
            "drain_delay: must not be longer than drain_timeout");
  EXPECT_THAT(error([](auto& c) { c.log_level = "loud"; }),
              StartsWith("log_level: log level 'loud' must be "));
  EXPECT_THAT(error([](auto& c) { c.log_format = "xml"; }),
              StartsWith("log_format: log format 'xml' must be "));
}

}  // namespace
}  // namespace insula::runtime
