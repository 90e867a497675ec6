// What the benchmarks share: child processes, plain HTTP, CPU time.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::bench {

// Prints what went wrong and ends the program with 1.
[[noreturn]] void Die(absl::string_view what);

// The directory of this program, where the services' binaries are too.
std::string OwnDirectory();

// A directory below /tmp that goes away with its owner.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(absl::string_view name, absl::string_view text) const;

 private:
  std::string path_;
};

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

// For Child: runs `binary --config config` with its output in `log`.
std::function<int()> Program(std::string binary, std::string config,
                             std::string log);

// The ports that a service announced in DIR/NAME.ports, once it is ready. Dies
// with the log DIR/NAME.log after half a minute.
std::map<std::string, int> WaitUntilReady(const std::string& dir,
                                          const std::string& name);

// The settings that WaitUntilReady needs, as YAML.
std::string CommonConfig(const std::string& dir, const std::string& name);

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
