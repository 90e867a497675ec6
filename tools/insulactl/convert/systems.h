// A conversion for each system, and the names of its settings.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/insulactl/convert/convert.h"

namespace insula::insulactl {

absl::StatusOr<Conversion> ConvertCortexTenant(const ConvertInput& input);
std::vector<std::string> CortexTenantSettings();

absl::StatusOr<Conversion> ConvertOpenMetricsProxy(const ConvertInput& input);
std::vector<std::string> OpenMetricsProxySettings();

absl::StatusOr<Conversion> ConvertAdobeProxy(const ConvertInput& input);
std::vector<std::string> AdobeProxySettings();

absl::StatusOr<Conversion> ConvertPromLabelProxy(const ConvertInput& input);
std::vector<std::string> PromLabelProxySettings();

absl::StatusOr<Conversion> ConvertTelemeter(const ConvertInput& input);
std::vector<std::string> TelemeterSettings();

absl::StatusOr<Conversion> ConvertCortexOverrides(const ConvertInput& input);
std::vector<std::string> CortexOverridesSettings();

}  // namespace insula::insulactl
