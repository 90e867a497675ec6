#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/auth/address_set.h"
#include "libs/auth/auth.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

bool IsHeaderName(absl::string_view name) {
  return name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-';
         });
}

}  // namespace

void ListenerAuth::Describe(config::Fields& fields) {
  fields.Add("bearer", bearer,
             "Accept bearer tokens that a binding of the registry names.");
  fields.Add("trusted_header", trusted_header,
             "Header that names the tenant, set by an authenticating proxy in "
             "front, e.g. X-Scope-OrgID. Empty: none is trusted.");
  fields.Add("trusted_addresses", trusted_addresses,
             "Addresses and networks (10.1.0.0/16) of the proxies that may set "
             "trusted_header.");
}

absl::Status ListenerAuth::Validate() const {
  if (trusted_header.empty()) {
    if (bearer) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "bearer: nobody could get in: set bearer to true, or trusted_header");
  }
  if (!IsHeaderName(trusted_header)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "trusted_header: '", trusted_header,
        "' must be a header name of [A-Za-z0-9-], such as X-Scope-OrgID"));
  }
  for (const char* taken : {"Authorization", "Host", "Connection"}) {
    if (absl::EqualsIgnoreCase(trusted_header, taken)) {
      return absl::InvalidArgumentError(
          absl::StrCat("trusted_header: '", trusted_header,
                       "' has a meaning of its own, choose another"));
    }
  }
  if (trusted_addresses.empty()) {
    return absl::InvalidArgumentError(
        "trusted_addresses: must name the proxies that set trusted_header");
  }
  for (const std::string& address : trusted_addresses) {
    RETURN_IF_ERROR(Annotate(CheckNetwork(address), "trusted_addresses"));
  }
  return absl::OkStatus();
}

}  // namespace insula::auth
