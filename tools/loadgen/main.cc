// Sends remote write to see what a receiver can take. See docs/loadgen.md.
#include <atomic>
#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/loadgen/options.h"
#include "tools/loadgen/run.h"

namespace {

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

int main(int argc, char** argv) {
  using namespace insula::loadgen;
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  if (!line.ok()) {
    std::cerr << "loadgen: " << line.status().message() << "\n";
    return 2;
  }
  if (!line->options) {
    std::cout << line->text;
    return 0;
  }
  const auto on_signal = [](int) { stop = true; };
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  const Report report = SendLoad(*line->options, stop,
                                 line->options->quiet ? nullptr : &std::cerr);
  std::cout << Summary(report.totals, report.took) << std::endl;
  return report.totals.failed == 0 && report.totals.requests > 0 &&
                 std::cout.good()
             ? 0
             : 1;
}
