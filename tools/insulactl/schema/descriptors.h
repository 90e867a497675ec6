// The descriptors of the objects, with the comments of the protos: a serialized
// google.protobuf.FileDescriptorSet, made by the build.
#pragma once

#include <cstddef>

namespace insula::insulactl::internal {

extern const unsigned char kDescriptors[];
extern const size_t kDescriptorsSize;

}  // namespace insula::insulactl::internal
