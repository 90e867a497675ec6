// Objects as resources: what ParseResourceFile reads back as the same object.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "libs/resources/object_key.h"

namespace insula::resources {

// Prints one document, of kind, id and spec; the rest of the meta is left out.
// Fields in the order of the proto, map keys sorted, those not set left out;
// enums without their prefix, 32 bytes as hex, other bytes as base64.
//
// The text is fit for a terminal whatever is in the object: characters that
// control it, or the direction of text, are escaped.

// In lines, with a line feed at the end and without "---".
std::string ToYaml(const v1::Object& object);
// On one line, without a line feed. It is YAML too.
std::string ToJson(const v1::Object& object);

// A string in double quotes, for JSON and YAML, escaped as above.
std::string Quote(absl::string_view text);

// The escaping of Quote() without quotes and without that of '"' and '\': for
// people to read.
std::string Printable(absl::string_view text);

}  // namespace insula::resources
