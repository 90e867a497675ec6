#include "tests/bench/figures.h"

#include <cstdio>

#include "absl/strings/str_format.h"

namespace insula::bench {

void Figures::Print(absl::string_view name, double value,
                    absl::string_view unit) {
  absl::PrintF("{\"name\":\"%s.%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", group_,
               name, value, unit);
  std::fflush(stdout);
  for (const Gate& gate : gates_) {
    if (gate.name != name || value <= gate.goal) continue;
    const bool failed = value > gate.limit;
    if (failed) within_limits_ = false;
    absl::FPrintF(stderr, "bench: %s.%s is %.3f, above its %s of %g\n", group_,
                  name, value, failed ? "limit" : "goal",
                  failed ? gate.limit : gate.goal);
  }
}

}  // namespace insula::bench
