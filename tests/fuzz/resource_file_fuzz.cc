// Resource files of the registry: what is taken out of one is valid.

#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/resources/resource_file.h"
#include "libs/resources/resource_printer.h"
#include "libs/tenancy/snapshot.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

FUZZ_TARGET(resource_file) {
  const auto file = resources::ParseResourceFile(input, "f.yaml");
  if (!file.ok()) {
    FUZZ_CHECK(file.status().code() == absl::StatusCode::kInvalidArgument,
               file.status().ToString());
    return;
  }
  for (const resources::Resource& resource : file->resources) {
    const absl::Status status = tenancy::CheckObject(resource.object);
    FUZZ_CHECK(status.ok(), status.ToString());
    FUZZ_CHECK(file->named.count(resources::KeyOf(resource.object)) == 1,
               resource.where);
    // What is printed is read as the same object.
    for (const std::string& text : {resources::ToYaml(resource.object),
                                    resources::ToJson(resource.object)}) {
      const auto again = resources::ParseResourceFile(text, "again.yaml");
      FUZZ_CHECK(again.ok() && again->resources.size() == 1, text);
      FUZZ_CHECK(google::protobuf::util::MessageDifferencer::Equals(
                     again->resources[0].object, resource.object),
                 text);
    }
  }
  FUZZ_CHECK(file->complete || !file->errors.empty(), input);
}

}  // namespace
}  // namespace insula
