// Parts of CheckObject, for the sources in this directory.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/map.h>
#include <google/protobuf/repeated_ptr_field.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::tenancy::internal {

// `text` as it may stand in a message: escaped, and cut if it is long.
std::string Shown(absl::string_view text);

// INVALID_ARGUMENT "FIELD: what, cure".
absl::Status Wrong(absl::string_view field, absl::string_view what);

// Of at most `max_bytes`, in UTF-8, without control characters.
absl::Status CheckText(absl::string_view field, absl::string_view text,
                       size_t max_bytes);
absl::Status CheckTenantId(absl::string_view field, absl::string_view id);
// Every id valid, none twice, not too many.
absl::Status CheckTenantIds(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& ids);
// An object id, or nothing.
absl::Status CheckReference(absl::string_view field, absl::string_view id);
absl::Status CheckLabelName(absl::string_view field, absl::string_view name);
absl::Status CheckLabels(
    absl::string_view field,
    const google::protobuf::Map<std::string, std::string>& labels);
// At least `least`, and below `most`.
absl::Status CheckDuration(absl::string_view field,
                           const google::protobuf::Duration& duration,
                           absl::Duration least,
                           absl::Duration most = absl::Hours(1));

// In the years that timestamp.proto allows.
absl::Status CheckTimestamp(absl::string_view field,
                            const google::protobuf::Timestamp& timestamp);

absl::Status CheckFact(const registry::v1::Binding& binding);
absl::Status CheckClaimRule(const registry::v1::ClaimRule& rule);
absl::Status CheckUpstream(const registry::v1::Upstream& upstream);
absl::Status CheckRuleTarget(const registry::v1::RuleTarget& target);
absl::Status CheckLimits(const registry::v1::Limits& limits);
absl::Status CheckJob(const registry::v1::Job& job);
absl::Status CheckInstance(const registry::v1::Instance& instance);

}  // namespace insula::tenancy::internal
