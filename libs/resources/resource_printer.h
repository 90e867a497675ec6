// Objects as resources: what ParseResourceFile reads back as the same object.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"
#include "libs/resources/object_key.h"

namespace insula::resources {

// Prints one document, of kind, id and spec; the rest of the meta is left out.
// Fields in the order of the proto, map keys sorted, those not set left out;
// enums without their prefix, 16 and 32 bytes as hex, others as base64.
//
// The text is fit for a terminal whatever is in the object: characters that
// control it, or the direction of text, are escaped.

// In lines, with a line feed at the end and without "---".
std::string ToYaml(const v1::Object& object);
// On one line, without a line feed. It is YAML too.
std::string ToJson(const v1::Object& object);

// Any other message, printed in the same way, but with numbers that are 0 and
// bools that are false.
std::string MessageToYaml(const google::protobuf::Message& message);
std::string MessageToJson(const google::protobuf::Message& message);

// A string in double quotes, for JSON and YAML, escaped as above.
std::string Quote(absl::string_view text);

// The escaping of Quote() without quotes and without that of '"' and '\': for
// people to read.
std::string Printable(absl::string_view text);

}  // namespace insula::resources
