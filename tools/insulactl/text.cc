#include "tools/insulactl/text.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::insulactl {

std::string EnumWord(absl::string_view name, absl::string_view prefix,
                     absl::string_view unset) {
  absl::ConsumePrefix(&name, prefix);
  return std::string(name == "UNSPECIFIED" ? unset : name);
}

std::string RoleWords(const google::protobuf::RepeatedField<int>& roles) {
  std::vector<std::string> words;
  for (const int role : roles) {
    words.push_back(
        EnumWord(registry::v1::Role_Name(static_cast<registry::v1::Role>(role)),
                 "ROLE_", ""));
  }
  return absl::StrJoin(words, ",");
}

std::string TimeText(const google::protobuf::Timestamp& timestamp) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ",
                          absl::FromUnixSeconds(timestamp.seconds()),
                          absl::UTCTimeZone());
}

std::string DurationText(const google::protobuf::Duration& duration) {
  return absl::FormatDuration(absl::Seconds(duration.seconds()) +
                              absl::Nanoseconds(duration.nanos()));
}

std::string Count(size_t count, absl::string_view noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

}  // namespace insula::insulactl
