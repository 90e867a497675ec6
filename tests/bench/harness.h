// What the benchmarks share: forks, plain HTTP with keep-alive, CPU time.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

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

// SHA-256 of a token, in hex.
std::string TokenHash(absl::string_view token);

// User and system time of a process so far.
absl::Duration CpuTime(pid_t pid);

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

 private:
  std::optional<size_t> MessageSize() const;

  const int fd_;
  std::string buffer_;
  size_t taken_ = 0;  // Of the buffer, by the last message.
};

// Answers every request on `listener` with `answer`, for ever.
int ServeAlways(int listener, const std::string& answer);

}  // namespace insula::bench
