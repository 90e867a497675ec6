// The most common of long answers, told from others without reading it.
#pragma once

#include "absl/strings/string_view.h"

namespace insula::query_frontend {

// Whether `body` is, to the byte, what a Prometheus writes of a success of a
// range query: JSON without white space, warnings, infos, histograms and,
// within its strings, without escapes and other than printable ASCII. What is
// so is valid JSON, has each member of the envelope once, and is a matrix. Of
// others false says nothing.
bool IsPlainMatrix(absl::string_view body);

}  // namespace insula::query_frontend
