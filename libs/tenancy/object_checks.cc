#include "libs/tenancy/object_checks.h"

#include <algorithm>
#include <cstddef>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/labels/validity.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::tenancy::internal {
namespace {

constexpr int kMaxTenantIds = 4096;
constexpr size_t kMaxLabels = 32;
constexpr size_t kMaxLabelNameBytes = 200;
constexpr size_t kMaxLabelValueBytes = 2048;

}  // namespace

std::string Shown(absl::string_view text) {
  constexpr size_t kMost = 200;
  return absl::StrCat(absl::CHexEscape(text.substr(0, kMost)),
                      text.size() > kMost ? "..." : "");
}

absl::Status Wrong(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::Status CheckText(absl::string_view field, absl::string_view text,
                       size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Wrong(field, absl::StrCat("has ", text.size(),
                                     " bytes, must have at most ", max_bytes));
  }
  if (!labels::IsValidUtf8(text)) return Wrong(field, "must be valid UTF-8");
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_iscntrl(c) != 0;
      })) {
    return Wrong(field, "must not have control characters, remove them");
  }
  return absl::OkStatus();
}

absl::Status CheckTenantId(absl::string_view field, absl::string_view id) {
  return Annotate(TenantId::Parse(id).status(), field);
}

absl::Status CheckTenantIds(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& ids) {
  if (ids.size() > kMaxTenantIds) {
    return Wrong(
        field,
        absl::StrCat("has ", ids.size(), " entries, may have ", kMaxTenantIds,
                     ": split the object, or use every_tenant"));
  }
  // A million bindings name one tenant each: what costs is done for others.
  std::set<absl::string_view> seen;
  for (int i = 0; i < ids.size(); ++i) {
    if (!TenantId::IsValid(ids[i])) {
      return CheckTenantId(absl::StrCat(field, "[", i, "]"), ids[i]);
    }
    if (ids.size() > 1 && !seen.insert(ids[i]).second) {
      return Wrong(absl::StrCat(field, "[", i, "]"),
                   absl::StrCat("'", Shown(ids[i]), "' is listed twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckReference(absl::string_view field, absl::string_view id) {
  return id.empty() ? absl::OkStatus() : Annotate(CheckObjectId(id), field);
}

absl::Status CheckLabelName(absl::string_view field, absl::string_view name) {
  if (name.size() > kMaxLabelNameBytes || !labels::IsLegacyLabelName(name)) {
    return Wrong(
        field,
        absl::StrCat("'", Shown(name), "' is no label name: 1 to ",
                     kMaxLabelNameBytes, " of [a-zA-Z0-9_], no digit first"));
  }
  if (name == "__name__") {
    return Wrong(field,
                 "'__name__' is the name of the metric, choose another label");
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(
    absl::string_view field,
    const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.size() > kMaxLabels) {
    return Wrong(field, absl::StrCat("has ", labels.size(),
                                     " labels, may have ", kMaxLabels));
  }
  for (const auto& [name, value] : labels) {
    const std::string element = absl::StrCat(field, "[", Shown(name), "]");
    RETURN_IF_ERROR(CheckLabelName(element, name));
    if (value.empty()) {
      return Wrong(element,
                   "must have a value: an empty one matches every series "
                   "without the label");
    }
    if (value.size() > kMaxLabelValueBytes) {
      return Wrong(element,
                   absl::StrCat("has a value of ", value.size(),
                                " bytes, may have ", kMaxLabelValueBytes));
    }
    if (!::insula::labels::IsValidUtf8(value)) {
      return Wrong(element, "must have a value of valid UTF-8");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDuration(absl::string_view field,
                           const google::protobuf::Duration& duration,
                           absl::Duration least, absl::Duration most) {
  const absl::Duration value =
      absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (duration.nanos() < 0 || duration.nanos() > 999999999 || value < least ||
      value >= most) {
    return Wrong(
        field,
        absl::StrCat(
            "must be at least ", absl::FormatDuration(least), " and below ",
            most == absl::Hours(1) ? "one hour" : absl::FormatDuration(most)));
  }
  return absl::OkStatus();
}

absl::Status CheckTimestamp(absl::string_view field,
                            const google::protobuf::Timestamp& timestamp) {
  // 0001-01-01 to 9999-12-31, as timestamp.proto says.
  if (timestamp.seconds() < -62135596800 ||
      timestamp.seconds() > 253402300799 || timestamp.nanos() < 0 ||
      timestamp.nanos() > 999999999) {
    return Wrong(field, "must be in the years 1 to 9999");
  }
  return absl::OkStatus();
}

}  // namespace insula::tenancy::internal
