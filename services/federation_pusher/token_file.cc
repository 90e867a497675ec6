#include "services/federation_pusher/token_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

constexpr size_t kMaxBytes = 16 << 10;

}  // namespace

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    return Failure(
        Result::kGatewayToken,
        absl::StrCat("gateway.token_file '", path, "' can't be read: ",
                     errno == 0 ? "unknown error" : std::strerror(errno)));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  if (token.empty() || text.size() > kMaxBytes ||
      !std::all_of(token.begin(), token.end(),
                   [](unsigned char c) { return absl::ascii_isgraph(c); })) {
    return Failure(Result::kGatewayToken,
                   absl::StrCat("gateway.token_file '", path,
                                "' must hold a token of visible ASCII "
                                "characters, and nothing else"));
  }
  return std::string(token);
}

}  // namespace insula::federation_pusher
