// Child processes of the tests.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::e2e {

// A directory that goes away with its owner.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // Writes a file below it, atomically, and returns its path.
  std::string Write(absl::string_view name, absl::string_view text) const;

 private:
  std::string path_;
};

// For a process to get ready: the first start of a program reads a hundred
// megabytes, and the disk may be a slow one.
constexpr absl::Duration kStartTimeout = absl::Minutes(2);

// Asks `condition` again and again until it is true. False after `timeout`.
bool WaitUntil(const std::function<bool()>& condition,
               absl::Duration timeout = absl::Minutes(1));

// How long something took to become true.
struct Waited {
  bool in_time = false;    // False: it had not when the timeout was over.
  absl::Duration took;     // By the clock.
  absl::Duration slowest;  // The longest that one look at the condition took.

  // `took` less what a busy machine adds to it: ten looks as slow as the
  // slowest. InfiniteDuration() unless it came true in time. So a bound on this
  // holds on any machine if what is waited for takes no longer than the bound
  // on an idle one, and about ten requests' work besides.
  absl::Duration OnIdleMachine() const;
};

// As WaitUntil(), with the times. `condition` asks one thing, quick to answer.
Waited TimeUntil(const std::function<bool()>& condition,
                 absl::Duration timeout = absl::Minutes(1));

// A TCP port of 127.0.0.1 that nobody listens on, and that is this process' own
// until it ends: a server that is stopped finds its port again. The kernel
// hands it out to nobody, neither to a connection nor to a server that listens
// on port 0, and no other process is given it by this function or by
// claim_ports() of tools/ports.py, which does the same. Safe to call from any
// thread.
int ClaimPort();

// A running program; its stdout and stderr go to a file. Killed and reaped by
// process id when destroyed.
class Process {
 public:
  // Aborts the test program if the binary can't be started.
  Process(std::string binary, std::vector<std::string> args,
          std::string log_path);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  bool Running();

  // Waits for the end: the exit code, or 128 + signal. Nullopt after `timeout`.
  std::optional<int> Wait(absl::Duration timeout);

  // SIGKILL, and waits for the end.
  void Kill();

  // The end of its output, to show with a failure.
  std::string LogTail() const;

 private:
  std::string binary_;
  std::string log_path_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace insula::e2e
