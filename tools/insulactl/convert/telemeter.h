// What the conversions of Telemeter's client and of its server share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tools/insulactl/convert/convert.h"
#include "tools/insulactl/convert/draft.h"
#include "tools/insulactl/convert/settings.h"

namespace insula::insulactl::telemeter {

// Of all objects, and of the tenant if none is given.
inline constexpr char kId[] = "telemeter";

inline constexpr absl::string_view kTracing = "There is no tracing.";

absl::Span<const Known> ClientFlags();
absl::StatusOr<Conversion> ConvertClient(const ConvertInput& input,
                                         const Settings& settings);

absl::Span<const Known> ServerFlags();
absl::StatusOr<Conversion> ConvertServer(const ConvertInput& input,
                                         const Settings& settings);

// --label NAME=VALUE.
absl::StatusOr<std::pair<std::string, std::string>> LabelOf(
    const Setting& setting, const Value& value);

// The values of `setting`, each of them a series selector.
absl::StatusOr<std::vector<std::string>> SelectorsOf(const Setting& setting);

// --log-level, -v and --verbose, for the configuration of `service`.
absl::Status LogLevel(const Settings& settings, absl::string_view service,
                      Draft& draft);

}  // namespace insula::insulactl::telemeter
