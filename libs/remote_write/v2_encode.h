// Makes remote write 2.0 requests of 1.0 ones.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::remote_write {

// The Request message for a well-formed WriteRequest `body` without unknown
// fields beside the start timestamps that V2Decoder leaves in samples and
// histograms. Its symbols are those of `body` and no others; metadata goes to
// each series of its family. A series with samples and histograms becomes two.
//
// FAILED_PRECONDITION if 2.0 has no place for a part of it, so that it has to
// stay 1.0: series without samples and histograms, metadata without a series,
// unknown fields of a series or a label. INVALID_ARGUMENT if it is malformed.
absl::StatusOr<std::string> EncodeV2(absl::string_view body);

}  // namespace insula::remote_write
