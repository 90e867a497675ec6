// base64url as JWTs have it (RFC 7515 §2, RFC 4648 §5).
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace insula::auth {

// The bytes that `text` stands for; nothing if it is not the one way to write
// them: without padding, white space or bits that mean nothing.
std::optional<std::string> DecodeBase64Url(absl::string_view text);

// Without padding.
std::string EncodeBase64Url(absl::string_view bytes);

}  // namespace insula::auth
