// registry-bench [--large] [BIN_DIR]: how the tenant-registry and its followers
// do with many tenants.
//
// Starts the tenant-registry of BIN_DIR (default: its own directory), fills it
// with 10,000 tenants and 100,000 bindings, or with --large ten times as many,
// and lets writers, real followers and 1,000 light ones at it; each is a
// process of its own. Prints a line a figure, see docs/performance.md:
//   {"name":"registry.load_s","value":...,"unit":"s"}
// Exits with 1 if a figure is beyond its limit, see registry_gates.h.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/harness.h"
#include "tests/bench/registry_clients.h"
#include "tests/bench/registry_gates.h"

namespace insula::bench {
namespace {

constexpr int kRate = 100;  // Changes a second.
constexpr int kAloneChanges = 500;
constexpr int kWatchedChanges = 1'000;
constexpr int kLightWatchers = 1'000;
constexpr int kLightProcesses = 4;
constexpr int kRealFollowers = 3;
constexpr int kCallers = 256;
constexpr absl::Duration kWriteTime = absl::Seconds(5);
constexpr absl::Duration kLongest = absl::Minutes(2);  // Of any step.

class Report {
 public:
  explicit Report(bool large) : large_(large) {}

  void Print(absl::string_view name, double value, absl::string_view unit) {
    const std::string full_name =
        absl::StrCat(large_ ? "registry.large." : "registry.", name);
    std::printf("{\"name\":\"%s\",\"value\":%.4g,\"unit\":\"%s\"}\n",
                full_name.c_str(), value, std::string(unit).c_str());
    std::fflush(stdout);
    for (const Gate& gate : kRegistryGates) {
      if (gate.name != name) continue;
      ++gates_;
      const double limit = large_ ? gate.goal : gate.limit;
      if (value <= limit) continue;
      std::fprintf(stderr, "bench: %s is %.4g %s, %s %.4g at most\n",
                   full_name.c_str(), value, std::string(unit).c_str(),
                   large_ ? "the goal is" : "may be", limit);
      if (!large_) failed_ = true;
    }
  }
  // Whether each gate had its figure, and none was beyond it.
  bool ok() const { return !failed_ && gates_ == kRegistryGates.size(); }

 private:
  const bool large_;
  size_t gates_ = 0;  // That figures came to.
  bool failed_ = false;
};

double Mebibytes(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// The CPU time of the threads of a name.
absl::Duration ThreadCpuTime(pid_t pid, absl::string_view name) {
  const std::string tasks = absl::StrCat("/proc/", pid, "/task");
  absl::Duration sum;
  bool found = false;
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::string comm;
    std::ifstream(task.path() / "comm") >> comm;
    if (comm != name) continue;
    int64_t nanos = -1;
    std::ifstream(task.path() / "schedstat") >> nanos;
    if (nanos < 0) Die("the kernel does not tell the CPU time of threads");
    sum += absl::Nanoseconds(nanos);
    found = true;
  }
  if (!found) Die(absl::StrCat("a process has no thread '", name, "'"));
  return sum;
}

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

double SecondsSince(absl::Time begin) {
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

void WaitOrDie(const std::function<bool()>& condition, absl::string_view what) {
  if (!e2e::WaitUntil(condition, kLongest)) Die(absl::StrCat("no end: ", what));
}

void Run(const std::function<int()>& work, absl::string_view what) {
  Child child(work);
  if (child.Wait() != 0) Die(absl::StrCat(what, " failed"));
}

class RegistryBench {
 public:
  RegistryBench(std::string bin, bool large)
      : bin_(std::move(bin)),
        size_(large ? RegistrySize{100'000, 1'000'000}
                    : RegistrySize{10'000, 100'000}),
        report_(large) {}

  bool Measure() {
    StartRegistry();
    MeasureLoad();
    MeasureWrites("single_writes_per_s", 1);
    MeasureWrites("durable_writes_per_s", kCallers);
    MeasureRestart();
    MeasureFollower();
    MeasurePropagation();
    return report_.ok();
  }

 private:
  // A real follower, in a process of its own.
  struct Follower {
    Follower(int port, std::string dir, int number, const ChangeTimes* times)
        : state_dir(std::move(dir)),
          told(kFollowerNumbers),
          begin(NowNanos()),
          child([=, this] {
            return FollowRegistry(port, state_dir, number, times, told);
          }) {}
    const std::string state_dir;
    const SharedNumbers told;
    const int64_t begin;
    const Child child;
  };

  void StartRegistry() {
    registry_ = StartOrDie(
        dir_, bin_, "tenant-registry",
        absl::StrCat("storage: {path: ", dir_.path(), "/registry.db}"));
    port_ = registry_.ports.at("grpc");
  }
  pid_t registry_pid() const { return registry_.process->pid(); }

  void MeasureLoad();
  void MeasureWrites(absl::string_view name, int callers);
  void MeasureRestart();
  void MeasureFollower();
  void MeasurePropagation();
  void PrintPropagation(const ChangeTimes& times);
  std::unique_ptr<Follower> StartFollower(int number, const ChangeTimes* times);

  const std::string bin_;
  const RegistrySize size_;
  Report report_;
  const e2e::TempDir dir_;
  e2e::Service registry_;
  int port_ = 0;
};

void RegistryBench::MeasureLoad() {
  const absl::Time begin = absl::Now();
  const absl::Duration before = CpuTime(registry_pid());
  Run([this] { return LoadRegistry(port_, size_); }, "loading");
  report_.Print("load_s", SecondsSince(begin), "s");
  const absl::Duration used = CpuTime(registry_pid()) - before;
  report_.Print("load_cpu_us_per_object",
                absl::ToDoubleMicroseconds(used) / size_.objects(), "us");
}

void RegistryBench::MeasureWrites(absl::string_view name, int callers) {
  const SharedNumbers done(1);
  const absl::Time begin = absl::Now();
  Run(
      [&] {
        return WriteChanges(port_, size_.tenants, callers, kWriteTime,
                            &done[0]);
      },
      "writing");
  report_.Print(name, static_cast<double>(done[0]) / SecondsSince(begin),
                "writes/s");
}

void RegistryBench::MeasureRestart() {
  registry_.process->Signal(SIGTERM);
  if (registry_.process->Wait(absl::Minutes(1)) != 0) {
    Die("the registry did not end well");
  }
  const absl::Time begin = absl::Now();
  StartRegistry();
  report_.Print("restart_s", SecondsSince(begin), "s");
}

std::unique_ptr<RegistryBench::Follower> RegistryBench::StartFollower(
    int number, const ChangeTimes* times) {
  auto follower = std::make_unique<Follower>(
      port_, absl::StrCat(dir_.path(), "/follower-", number), number, times);
  WaitOrDie([&] { return follower->told[kObjects] >= size_.objects(); },
            "a follower does not get its snapshot");
  return follower;
}

void RegistryBench::MeasureFollower() {
  const std::unique_ptr<Follower> follower = StartFollower(0, nullptr);
  report_.Print("cold_snapshot_s",
                Seconds(follower->told[kTakenAt] - follower->begin), "s");
  const pid_t pid = follower->child.pid();
  const absl::Duration taking = CpuTime(pid) - ThreadCpuTime(pid, kSaverThread);
  report_.Print("cold_cpu_s", absl::ToDoubleSeconds(taking), "s");
  const std::string saved = follower->state_dir + "/registry-snapshot";
  WaitOrDie([&] { return access(saved.c_str(), F_OK) == 0; },
            "a follower does not save its copy");
  report_.Print("follower_rss_mb", Mebibytes(MemoryBytes(pid, "VmRSS")), "MiB");
  report_.Print("follower_peak_mb", Mebibytes(MemoryBytes(pid, "VmHWM")),
                "MiB");
  report_.Print("rss_mb", Mebibytes(MemoryBytes(registry_pid(), "VmRSS")),
                "MiB");
  // Saves are apart: they come as time passes, however few changes there are.
  const absl::Duration saving = ThreadCpuTime(pid, kSaverThread);
  report_.Print("save_cpu_s", absl::ToDoubleSeconds(saving), "s");

  ChangeTimes times(kAloneChanges, 1);
  const absl::Duration before = CpuTime(pid);
  Run([&] { return PaceChanges(port_, size_.tenants, kRate, times); },
      "changing");
  WaitOrDie(
      [&] {
        return follower->told[kRevision] >= times.revision[kAloneChanges - 1];
      },
      "a follower does not get the changes");
  const absl::Duration used =
      CpuTime(pid) - before - (ThreadCpuTime(pid, kSaverThread) - saving);
  report_.Print("change_cpu_us",
                absl::ToDoubleMicroseconds(used) / kAloneChanges, "us");
}

void RegistryBench::MeasurePropagation() {
  ChangeTimes times(kWatchedChanges, kLightWatchers + kRealFollowers);
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < kRealFollowers; ++i) {
    followers.push_back(StartFollower(kLightWatchers + i, &times));
  }
  const RegistryHead head = ReadHead(port_);
  times.base() = head.revision;
  const SharedNumbers open(1);
  std::vector<std::unique_ptr<Child>> watchers;
  constexpr int kEach = kLightWatchers / kLightProcesses;
  for (int i = 0; i < kLightProcesses; ++i) {
    watchers.push_back(std::make_unique<Child>([&, i] {
      return WatchChanges(port_, kEach, i * kEach, head, times, &open[0]);
    }));
  }
  WaitOrDie([&] { return open[0] == kLightWatchers; },
            "the watchers do not begin");

  const absl::Time begin = absl::Now();
  const absl::Duration before = CpuTime(registry_pid());
  Run([&] { return PaceChanges(port_, size_.tenants, kRate, times); },
      "changing");
  const int64_t last = times.revision[kWatchedChanges - 1];
  WaitOrDie(
      [&] {
        for (int i = 0; i < times.followers; ++i) {
          if (times.HadAt(i, last) == 0) return false;
        }
        return true;
      },
      "a watcher does not get the changes");
  const double passed = SecondsSince(begin);
  const absl::Duration used = CpuTime(registry_pid()) - before;
  PrintPropagation(times);
  report_.Print("propagation_cores", absl::ToDoubleSeconds(used) / passed,
                "cores");
  report_.Print("propagation_cpu_us_per_watcher",
                absl::ToDoubleMicroseconds(used) / kWatchedChanges /
                    (kLightWatchers + kRealFollowers),
                "us");
}

void RegistryBench::PrintPropagation(const ChangeTimes& times) {
  std::vector<double> passed;
  for (int change = 0; change < times.changes; ++change) {
    const auto at = static_cast<size_t>(change);
    for (int i = 0; i < times.followers; ++i) {
      const int64_t had = times.HadAt(i, times.revision[at]);
      if (had == 0) Die("a watcher has missed a change");
      passed.push_back(Seconds(had - times.asked[at]));
    }
  }
  std::sort(passed.begin(), passed.end());
  report_.Print("propagation_p50_s", passed[passed.size() / 2], "s");
  report_.Print("propagation_p99_s", passed[passed.size() * 99 / 100], "s");
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  std::string bin = insula::bench::OwnDirectory();
  bool large = false;
  for (int i = 1; i < argc; ++i) {
    if (absl::string_view(argv[i]) == "--large") {
      large = true;
    } else {
      bin = argv[i];
    }
  }
  return insula::bench::RegistryBench(bin, large).Measure() ? 0 : 1;
}
