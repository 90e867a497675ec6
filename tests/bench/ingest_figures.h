// The figures of ingest-bench, and what becomes of those beyond their limit.
#pragma once

#include "absl/strings/string_view.h"
#include "tests/bench/ingest_setup.h"

namespace insula::bench {

class IngestFigures {
 public:
  // {"name":"ingest.NAME","value":...,"unit":...} on stdout, and on stderr
  // whether it is beyond what ingest_gates.h says.
  void Print(absl::string_view name, double value, absl::string_view unit);

  // NAME.cpu_s_per_mseries of the gateway, and NAME.roofline_x: how many times
  // the roofline that is.
  void PrintCpu(absl::string_view name, const CpuCost& cost);

  bool within_limits() const { return within_limits_; }

 private:
  bool within_limits_ = true;
};

}  // namespace insula::bench
