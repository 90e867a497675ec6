// The JSON schema of resource files, for editors that check and complete YAML.
//
//   # yaml-language-server: $schema=resources.schema.json
//   kind: Tenant
//   id: red
//   spec: ...
#pragma once

#include <string>
#include <vector>

namespace insula::insulactl {

// Of one document of a resource file: JSON Schema draft 2020-12, out of the
// protos and their comments. Ends with a line feed.
//
// A document that it refuses the registry refuses too, with few exceptions: a
// number in quotes, and a field that is set to the empty text. The other way
// around it can't tell all: whether a selector parses, whether an object that
// is named exists.
std::string ResourceSchema();

// The fields that the schema has bounds for, "Tenant.display_name".
std::vector<std::string> BoundedFields();

}  // namespace insula::insulactl
