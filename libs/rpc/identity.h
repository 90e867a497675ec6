// Who a certificate says that its holder is.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::rpc {

// From the one URI among a certificate's alternative names that begins with
// spiffe://. Services are spiffe://TRUST_DOMAIN/insula/SERVICE; other paths are
// people's and programs'.
struct Identity {
  std::string uri;
  std::string trust_domain;
  std::string service;  // "ingest-gateway"; empty: no service.
};

// INVALID_ARGUMENT if `uri` is no SPIFFE id: a trust domain of [a-z0-9._-], and
// a path of [A-Za-z0-9._-] between single slashes, at most 2048 bytes together.
absl::StatusOr<Identity> ParseIdentity(absl::string_view uri);

// Of the URIs of a certificate. INVALID_ARGUMENT if none or several of them
// begin with spiffe://, or if the one is no SPIFFE id.
absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris);

}  // namespace insula::rpc
