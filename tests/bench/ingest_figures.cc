#include "tests/bench/ingest_figures.h"

#include "absl/strings/str_cat.h"

namespace insula::bench {

void IngestFigures::PrintCpu(absl::string_view name, const CpuCost& cost) {
  Print(absl::StrCat(name, ".cpu_s_per_mseries"), cost.seconds_per_mseries,
        "s/Mseries");
  Print(absl::StrCat(name, ".roofline_x"), cost.roofline_x, "x");
}

}  // namespace insula::bench
