# Writes the bytes of IN as an array into the source OUT; see descriptors.h.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)"
  "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include \"tools/insulactl/schema/descriptors.h\"

namespace insula::insulactl::internal {

const unsigned char kDescriptors[] = {
${bytes}
};
const size_t kDescriptorsSize = sizeof(kDescriptors);

}  // namespace insula::insulactl::internal
")
