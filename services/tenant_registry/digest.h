// One form of a message, and its fingerprint.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "insula/registry/v1/objects.pb.h"
#include "libs/tenancy/fact.h"

namespace insula::tenant_registry {

// The message in one form: equal messages give equal bytes, in one build of
// this program.
std::string CanonicalBytes(const google::protobuf::Message& message);

// The same of an object without its meta data.
std::string SpecBytes(const registry::v1::Object& object);

using tenancy::Sha256;

}  // namespace insula::tenant_registry
