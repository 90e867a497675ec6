#include "tools/insulactl/object_output.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/resources/resource_printer.h"

namespace insula::insulactl {
namespace {

// What the registry says of an object, but for its name, which is there
// already.
v1::Meta MetaOf(const v1::Object& object) {
  v1::Meta meta = object.meta();
  meta.clear_kind();
  meta.clear_id();
  return meta;
}

}  // namespace

std::string ObjectText(const v1::Object& object, const std::string& format,
                       bool meta) {
  if (format == "json") {
    std::string text = resources::ToJson(object);
    if (meta) {
      text.pop_back();
      absl::StrAppend(
          &text, ", \"meta\": ", resources::MessageToJson(MetaOf(object)), "}");
    }
    return text + "\n";
  }
  std::string text = absl::StrCat("---\n", resources::ToYaml(object));
  if (meta) {
    absl::StrAppend(&text, "meta: ", resources::MessageToJson(MetaOf(object)),
                    "\n");
  }
  return text;
}

std::string MessageText(const google::protobuf::Message& message,
                        const std::string& format) {
  if (format == "json") return resources::MessageToJson(message) + "\n";
  return absl::StrCat("---\n", resources::MessageToYaml(message));
}

}  // namespace insula::insulactl
