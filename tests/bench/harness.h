// What the benchmarks share: forks, plain HTTP with keep-alive, CPU time.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/service.h"

namespace insula::bench {

// Prints what went wrong and ends the program with 1.
[[noreturn]] void Die(absl::string_view what);

// The directory of this program, where the services' binaries are too.
std::string OwnDirectory();

// A child process that runs a function; asked to end, and waited for, when this
// goes. Also ends when this process does.
class Child {
 public:
  explicit Child(const std::function<int()>& run);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // Its exit code, once it has ended.
  int Wait();

 private:
  pid_t pid_;
};

// Starts BIN/BINARY with the settings `config`; see e2e::StartService. Dies
// with its output if it does not get ready.
e2e::Service StartOrDie(const e2e::TempDir& dir, const std::string& bin,
                        absl::string_view binary, absl::string_view config);

// Of at least one value; the upper one of the middle two.
template <typename T>
T MedianOf(std::vector<T> values) {
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// SHA-256 of a token, in hex.
std::string TokenHash(absl::string_view token);

// As those of e2e; dies if the process has ended.
absl::Duration CpuTime(pid_t pid);
int64_t MemoryBytes(pid_t pid, absl::string_view which);

// A listening socket on a free port of 127.0.0.1.
int Listen(int* port);

// One end of a keep-alive connection. Messages have a Content-Length, or none
// and so no body.
class Connection {
 public:
  explicit Connection(int fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A socket connected to 127.0.0.1, or -1.
  static int Dial(int port);

  bool Send(absl::string_view text);
  // The next message, head and body, good until the next call; "" at the end.
  absl::string_view Receive();
  // How many bytes come until the end of the connection; 0 if it is broken off.
  size_t ReceiveToEnd();

 private:
  std::optional<size_t> MessageSize() const;

  const int fd_;
  std::string buffer_;
  size_t taken_ = 0;  // Of the buffer, by the last message.
};

// Lets this process open as many files as it ever may.
void AllowManyFiles();

// The memory that `pid` needs for a connection to `port` that is open, has been
// used by `ask` once, and does nothing. Bytes.
double IdleConnectionBytes(pid_t pid, int port,
                           const std::function<void(Connection*)>& ask);

// Answers every request on `listener` with `answer`, for ever.
int ServeAlways(int listener, const std::string& answer);

// Takes all that comes to `listener` and answers nothing, for ever.
int ServeNever(int listener);

}  // namespace insula::bench
