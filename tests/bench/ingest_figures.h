// The figures of ingest-bench, and what becomes of those beyond their limit.
#pragma once

#include "absl/strings/string_view.h"
#include "tests/bench/figures.h"
#include "tests/bench/ingest_gates.h"
#include "tests/bench/ingest_setup.h"

namespace insula::bench {

class IngestFigures : public Figures {
 public:
  IngestFigures() : Figures("ingest", kIngestGates) {}

  // NAME.cpu_s_per_mseries of the gateway, and NAME.roofline_x: how many times
  // the roofline that is.
  void PrintCpu(absl::string_view name, const CpuCost& cost);
};

}  // namespace insula::bench
