// Addresses that are known without a look-up. For libs/http alone.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>

#include "absl/strings/string_view.h"

namespace insula::http {

// The address that `host`, which somebody else will look up, stands for: in any
// spelling that C libraries take ("2852039166", "0xa9fe.43518"), or as one of
// the names that clouds give to 169.254.169.254 ("metadata.google.internal").
// Nothing for other names.
std::optional<boost::asio::ip::address> AddressInText(absl::string_view host);

}  // namespace insula::http
