// Objects in the form that -o asks for.
#pragma once

#include <string>

#include "insula/registry/v1/objects.pb.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// A resource as json, one line, or as yaml, one document that begins with
// "---", with `meta` beside the spec if asked for. Resource files have no meta.
std::string ObjectText(const v1::Object& object, const std::string& format,
                       bool meta);

// Any other message: json, one line, or yaml, one document.
std::string MessageText(const google::protobuf::Message& message,
                        const std::string& format);

}  // namespace insula::insulactl
