// Password hashes of bcrypt, as `htpasswd -B` writes them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/secret/secret.h"

namespace insula::auth {

// bcrypt takes no notice of what comes after so many bytes.
inline constexpr size_t kMaxBcryptPassword = 72;

// The cost of a hash $2b$COST$... or $2y$...: hashing takes 2^COST rounds.
// INVALID_ARGUMENT, without the text, if it is none, or of another kind: that
// includes $2a$ and $2x$, which name more than one algorithm.
absl::StatusOr<int> BcryptCost(absl::string_view hash);

// Whether `password` is the one that was hashed. Takes as long for a wrong one
// as for the right one, about 80 ms at cost 10 and twice that for each more:
// not for the executor. False for a password that bcrypt would not take as a
// whole: longer than kMaxBcryptPassword, or with a NUL. Thread-safe.
bool BcryptMatches(const Secret& password, const std::string& hash);

}  // namespace insula::auth
