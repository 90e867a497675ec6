// The figures of a benchmark, and what becomes of those beyond their limit.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace insula::bench {

// A figure beyond its limit makes the run fail; one beyond its goal is told.
struct Gate {
  absl::string_view name;
  double limit;
  double goal;
};

class Figures {
 public:
  // `gates` outlive it.
  Figures(absl::string_view group, absl::Span<const Gate> gates)
      : group_(group), gates_(gates) {}

  // {"name":"GROUP.NAME","value":...,"unit":...} on stdout, and on stderr
  // whether it is beyond what its gate says.
  void Print(absl::string_view name, double value, absl::string_view unit);

  bool within_limits() const { return within_limits_; }

 private:
  const std::string group_;
  const absl::Span<const Gate> gates_;
  bool within_limits_ = true;
};

}  // namespace insula::bench
