#include "services/tenant_registry/digest.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace insula::tenant_registry {

std::string CanonicalBytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string SpecBytes(const registry::v1::Object& object) {
  registry::v1::Object spec = object;
  spec.clear_meta();
  return CanonicalBytes(spec);
}

}  // namespace insula::tenant_registry
