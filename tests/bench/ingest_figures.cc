#include "tests/bench/ingest_figures.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/ingest_gates.h"

namespace insula::bench {

void IngestFigures::Print(absl::string_view name, double value,
                          absl::string_view unit) {
  absl::PrintF("{\"name\":\"ingest.%s\",\"value\":%.3f,\"unit\":\"%s\"}\n",
               name, value, unit);
  std::fflush(stdout);
  for (const IngestGate& gate : kIngestGates) {
    if (gate.name != name || value <= gate.goal) continue;
    const bool failed = value > gate.limit;
    if (failed) within_limits_ = false;
    absl::FPrintF(stderr, "bench: ingest.%s is %.3f, above its %s of %g\n",
                  name, value, failed ? "limit" : "goal",
                  failed ? gate.limit : gate.goal);
  }
}

void IngestFigures::PrintCpu(absl::string_view name, const CpuCost& cost) {
  Print(absl::StrCat(name, ".cpu_s_per_mseries"), cost.seconds_per_mseries,
        "s/Mseries");
  Print(absl::StrCat(name, ".roofline_x"), cost.roofline_x, "x");
}

}  // namespace insula::bench
