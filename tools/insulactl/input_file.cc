#include "tools/insulactl/input_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/status_macros.h"

namespace insula::insulactl {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr size_t kMaxTokenBytes = 16 << 10;

absl::StatusOr<std::string> ReadStream(std::istream* in,
                                       const std::string& name, size_t most) {
  std::string text;
  while (text.size() < most && in->good()) {
    const size_t before = text.size();
    text.resize(std::min(before + kPiece, most));
    in->read(text.data() + before,
             static_cast<std::streamsize>(text.size() - before));
    text.resize(before + static_cast<size_t>(in->gcount()));
  }
  if (in->bad()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": can't be read"));
  }
  return text;
}

}  // namespace

std::string InputName(const std::string& path) {
  return path == "-" ? "stdin" : path;
}

absl::StatusOr<std::string> ReadInputFile(const std::string& path,
                                          std::istream* in, size_t max_bytes) {
  if (path == "-") return ReadStream(in, InputName(path), max_bytes + 1);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": can't be opened: ", strerror(errno)));
  }
  return ReadStream(&file, path, max_bytes + 1);
}

absl::StatusOr<std::string> ReadToken(const std::string& path,
                                      std::istream* in) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadInputFile(path, in, kMaxTokenBytes));
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  const bool visible = std::all_of(token.begin(), token.end(),
                                   [](char c) { return c > ' ' && c < 0x7f; });
  // Never shown: it is a secret, or half of one.
  if (token.empty() || text.size() > kMaxTokenBytes || !visible) {
    return absl::InvalidArgumentError(absl::StrCat(
        InputName(path), ": must hold one token, of 1 to ", kMaxTokenBytes,
        " visible ASCII characters without white space between them"));
  }
  return std::string(token);
}

}  // namespace insula::insulactl
