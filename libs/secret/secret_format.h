// A Secret among the arguments of fmt::format and spdlog: prints <redacted>.
// A header of its own, for whoever includes fmt anyway.
#pragma once

#include <spdlog/fmt/fmt.h>

#include "libs/secret/secret.h"

template <>
struct fmt::formatter<insula::Secret> : fmt::formatter<fmt::string_view> {
  template <typename Context>
  auto format(const insula::Secret&, Context& context) const {
    constexpr absl::string_view kShown = insula::Secret::kShown;
    return fmt::formatter<fmt::string_view>::format(
        fmt::string_view(kShown.data(), kShown.size()), context);
  }
};
