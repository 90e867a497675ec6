#include "tests/bench/callgrind.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bench/harness.h"

namespace insula::bench {
namespace {

constexpr char kControl[] = "/usr/bin/callgrind_control";

void Control(const e2e::TempDir& dir, const std::vector<std::string>& args) {
  e2e::Process control(kControl, args, dir.path() + "/callgrind_control.log");
  if (control.Wait(absl::Minutes(10)) != 0) {
    Die(absl::StrCat(kControl, " has failed: ", control.LogTail()));
  }
}

}  // namespace

bool HasCallgrind() { return access(kControl, X_OK) == 0; }

std::string UnderCallgrind(const e2e::TempDir& dir, const std::string& bin,
                           absl::string_view service) {
  const std::string script = dir.Write(
      service,
      absl::StrCat("#!/bin/sh\nexec valgrind --tool=callgrind "
                   "--instr-atstart=no --callgrind-out-file=",
                   dir.path(), "/calls '", bin, "/", service, "' \"$@\"\n"));
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  return dir.path();
}

double CountInstructions(const e2e::TempDir& dir, pid_t pid,
                         const std::function<void()>& work) {
  const std::string process = absl::StrCat(pid);
  Control(dir, {"-i", "on", process});
  work();
  Control(dir, {"-d", process});
  // On a busy machine the dump is written a little later.
  double count = 0;
  const bool counted = e2e::WaitUntil(
      [&] {
        std::ifstream file(dir.path() + "/calls.1");
        std::string word;
        while (file >> word) {
          if (word == "summary:" && file >> count) return file.get() == '\n';
        }
        return false;
      },
      absl::Minutes(1));
  if (!counted) Die("callgrind has written no summary");
  return count;
}

}  // namespace insula::bench
