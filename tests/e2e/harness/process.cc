#include "tests/e2e/harness/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::e2e {
namespace {

constexpr int kLowestPort = 15000;

[[noreturn]] void Die(const std::string& what) {
  std::perror(what.c_str());
  std::abort();
}

// The first port that the kernel may give to anybody.
int EphemeralPorts() {
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0;
  file >> first;
  if (first <= kLowestPort) Die("ports below those that the kernel hands out");
  return first;
}

// A claim is a socket with a name in this network namespace: the kernel lets go
// of it when the process ends.
bool Claim(int port) {
  const int claim = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The byte before the name is 0.
  const std::string name = absl::StrCat("insula-port-", port);
  name.copy(address.sun_path + 1, name.size());
  const socklen_t size =
      offsetof(sockaddr_un, sun_path) + 1 + static_cast<socklen_t>(name.size());
  if (claim < 0) Die("a socket to claim a port with");
  if (bind(claim, reinterpret_cast<sockaddr*>(&address), size) == 0) {
    return true;  // Stays open.
  }
  close(claim);
  return false;
}

bool CanListen(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free =
      bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(socket);
  return free;
}

}  // namespace

TempDir::TempDir() {
  path_ = (std::filesystem::temp_directory_path() / "insula-e2e.XXXXXX");
  if (mkdtemp(path_.data()) == nullptr) Die(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::Write(absl::string_view name,
                           absl::string_view text) const {
  const std::string path = absl::StrCat(path_, "/", name);
  const std::string part = path + ".part";
  std::ofstream(part) << text;
  std::filesystem::rename(part, path);
  return path;
}

bool WaitUntil(const std::function<bool()>& condition, absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));  // Between two looks.
  }
  return true;
}

absl::Duration Waited::OnIdleMachine() const {
  if (!in_time) return absl::InfiniteDuration();
  return std::max(took - 10 * slowest, absl::ZeroDuration());
}

Waited TimeUntil(const std::function<bool()>& condition,
                 absl::Duration timeout) {
  Waited waited;
  const absl::Time start = absl::Now();
  const auto look = [&] {
    const absl::Time asked = absl::Now();
    const bool is_true = condition();
    waited.slowest = std::max(waited.slowest, absl::Now() - asked);
    return is_true;
  };
  waited.in_time = WaitUntil(look, timeout);
  waited.took = absl::Now() - start;
  return waited;
}

int ClaimPort() {
  const int end = EphemeralPorts();
  std::random_device random;
  int port = std::uniform_int_distribution<>(kLowestPort, end - 1)(random);
  for (int tried = kLowestPort; tried < end; ++tried) {
    if (Claim(port) && CanListen(port)) return port;
    if (++port == end) port = kLowestPort;
  }
  Die("a free port");
}

Process::Process(std::string binary, std::vector<std::string> args,
                 std::string log_path)
    : binary_(std::move(binary)), log_path_(std::move(log_path)) {
  std::vector<char*> argv = {binary_.data()};
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) Die("fork");
  if (pid_ == 0) {
    // Only async-signal-safe calls from here to exec.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log =
        open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(argv[0], argv.data());
    _exit(127);
  }
}

Process::~Process() { Kill(); }

void Process::Signal(int signal) const {
  if (!exit_code_) kill(pid_, signal);
}

bool Process::Running() { return !Wait(absl::ZeroDuration()); }

std::optional<int> Process::Wait(absl::Duration timeout) {
  WaitUntil(
      [this] {
        int status = 0;
        if (!exit_code_ && waitpid(pid_, &status, WNOHANG) == pid_) {
          exit_code_ =
              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        return exit_code_.has_value();
      },
      timeout);
  return exit_code_;
}

void Process::Kill() {
  Signal(SIGKILL);
  Wait(absl::Minutes(1));
}

std::string Process::LogTail() const {
  std::ifstream file(log_path_);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  constexpr size_t kMost = 4000;
  return absl::StrCat(
      "--- end of the output of ", binary_, " ---\n",
      text.size() > kMost ? text.substr(text.size() - kMost) : text);
}

}  // namespace insula::e2e
