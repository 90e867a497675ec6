// Values of messages as words for people.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/repeated_field.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "absl/strings/string_view.h"

namespace insula::insulactl {

// The name of an enum's value without `prefix`; `unset` for the one that is
// UNSPECIFIED.
std::string EnumWord(absl::string_view name, absl::string_view prefix,
                     absl::string_view unset);

// "READ,WRITE", of v1::Role.
std::string RoleWords(const google::protobuf::RepeatedField<int>& roles);

// "2026-11-21T10:00:00Z", to the second.
std::string TimeText(const google::protobuf::Timestamp& timestamp);
// "1m30s"
std::string DurationText(const google::protobuf::Duration& duration);

// "1 object", "2 objects".
std::string Count(size_t count, absl::string_view noun);

}  // namespace insula::insulactl
