// The one type for tenant ids.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::tenancy {

// 1 to 150 of [A-Za-z0-9!_.*'()-], not ".", "..", "__*" (anything that begins
// with two underscores) or "user-index.json.gz": ids become path elements and
// header values at stores. `.*`, `(a)`, `a'b`, `!x` are legal ids, so quote
// them wherever text is interpreted. A value that parsed is valid from then on.
class TenantId {
 public:
  static constexpr size_t kMaxLength = 150;

  static absl::StatusOr<TenantId> Parse(absl::string_view text);

  // Whether Parse(text) would succeed. Does not allocate.
  static bool IsValid(absl::string_view text);

  const std::string& value() const { return value_; }

  friend bool operator==(const TenantId&, const TenantId&) = default;
  friend auto operator<=>(const TenantId&, const TenantId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TenantId& id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  explicit TenantId(absl::string_view text) : value_(text) {}
  std::string value_;
};

// Checks the id of an object other than a tenant: 1 to 253 of [A-Za-z0-9._/-]
// without empty, "." or ".." segments.
absl::Status CheckObjectId(absl::string_view text);

}  // namespace insula::tenancy
