// Times in messages.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

#include "absl/time/time.h"

namespace insula::tenant_registry {

inline void SetTimestamp(absl::Time time,
                         google::protobuf::Timestamp* timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // Rounds down.
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

inline absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

// Of a duration that is not negative.
inline void SetDuration(absl::Duration time,
                        google::protobuf::Duration* duration) {
  duration->set_seconds(absl::ToInt64Seconds(time));
  duration->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time % absl::Seconds(1))));
}

}  // namespace insula::tenant_registry
