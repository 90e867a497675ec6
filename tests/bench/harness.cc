#include "tests/bench/harness.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/tenancy/fact.h"
#include "tests/e2e/harness/process_usage.h"

namespace insula::bench {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

void Die(absl::string_view what) {
  std::fprintf(stderr, "bench: %s\n", std::string(what).c_str());
  std::exit(1);
}

std::string OwnDirectory() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

Child::Child(const std::function<int()>& run) : pid_(fork()) {
  if (pid_ < 0) Die("fork failed");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(run());
  }
}

Child::~Child() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

int Child::Wait() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) Die("waitpid failed");
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

e2e::Service StartOrDie(const e2e::TempDir& dir, const std::string& bin,
                        absl::string_view binary, absl::string_view config) {
  e2e::Service service =
      e2e::StartService(dir, absl::StrCat(bin, "/", binary), binary, config);
  if (service.ports.empty()) Die(service.process->LogTail());
  return service;
}

std::string TokenHash(absl::string_view token) {
  return absl::BytesToHexString(tenancy::Sha256(token));
}

absl::Duration CpuTime(pid_t pid) {
  const absl::StatusOr<absl::Duration> used = e2e::CpuTime(pid);
  if (!used.ok()) Die(used.status().message());
  return *used;
}

int64_t MemoryBytes(pid_t pid, absl::string_view which) {
  const absl::StatusOr<int64_t> bytes = e2e::MemoryBytes(pid, which);
  if (!bytes.ok()) Die(bytes.status().message());
  return *bytes;
}

int Listen(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, any, size) != 0 || listen(fd, 1024) != 0 ||
      getsockname(fd, any, &size) != 0) {
    Die("can't listen on 127.0.0.1");
  }
  *port = ntohs(address.sin_port);
  return fd;
}

Connection::Connection(int fd) : fd_(fd) {
  const int yes = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

Connection::~Connection() { close(fd_); }

int Connection::Dial(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

bool Connection::Send(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

absl::string_view Connection::Receive() {
  buffer_.erase(0, taken_);
  taken_ = 0;
  std::optional<size_t> total = MessageSize();
  while (!total || buffer_.size() < *total) {
    char chunk[64 << 10];
    const ssize_t n = recv(fd_, chunk, sizeof(chunk), 0);
    if (n <= 0) return "";
    buffer_.append(chunk, static_cast<size_t>(n));
    if (!total) total = MessageSize();
  }
  taken_ = *total;
  return absl::string_view(buffer_).substr(0, taken_);
}

size_t Connection::ReceiveToEnd() {
  size_t received = 0;
  char chunk[64 << 10];
  ssize_t n = 0;
  while ((n = recv(fd_, chunk, sizeof(chunk), 0)) > 0) {
    received += static_cast<size_t>(n);
  }
  return n == 0 ? received : 0;
}

std::optional<size_t> Connection::MessageSize() const {
  const size_t head = buffer_.find("\r\n\r\n");
  if (head == std::string::npos) return std::nullopt;
  size_t body = 0;
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(buffer_).substr(0, head), "\r\n")) {
    constexpr absl::string_view kName = "content-length:";
    if (!absl::StartsWithIgnoreCase(line, kName)) continue;
    if (!absl::SimpleAtoi(line.substr(kName.size()), &body)) body = 0;
  }
  return head + 4 + body;
}

void AllowManyFiles() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

double IdleConnectionBytes(pid_t pid, int port,
                           const std::function<void(Connection*)>& ask) {
  constexpr int kConnections = 2000;
  // The first ones are for what the process allocates once.
  constexpr int kFirst = kConnections / 10;
  std::vector<std::unique_ptr<Connection>> open;
  int64_t before = 0;
  for (int i = 0; i < kConnections; ++i) {
    if (i == kFirst) before = MemoryBytes(pid, "VmRSS");
    open.push_back(std::make_unique<Connection>(Connection::Dial(port)));
    ask(open.back().get());
  }
  return static_cast<double>(MemoryBytes(pid, "VmRSS") - before) /
         (kConnections - kFirst);
}

int ServeAlways(int listener, const std::string& answer) {
  for (int fd; (fd = accept(listener, nullptr, nullptr)) >= 0;) {
    std::thread([fd, answer] {
      Connection connection(fd);
      while (!connection.Receive().empty() && connection.Send(answer)) {
      }
    }).detach();
  }
  return 1;
}

int ServeNever(int listener) {
  for (int fd; (fd = accept(listener, nullptr, nullptr)) >= 0;) {
    std::thread([fd] {
      Connection connection(fd);
      while (!connection.Receive().empty()) {
      }
    }).detach();
  }
  return 1;
}

}  // namespace insula::bench
