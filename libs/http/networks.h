// Sets of IP addresses that a client does not connect to.
#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::http {

// Thread-safe, as a value is.
class Networks {
 public:
  Networks() = default;  // None.

  // Addresses and networks ("10.1.0.0/16", "fe80::/10"). INVALID_ARGUMENT names
  // the one that is none.
  static absl::StatusOr<Networks> Parse(const std::vector<std::string>& texts);

  // Link-local addresses, and those where clouds hand credentials to whoever
  // asks from inside: 169.254.0.0/16, fe80::/10, fd00:ec2::254,
  // 100.100.100.200.
  static const std::vector<std::string>& LinkLocalAndMetadataTexts();
  static Networks LinkLocalAndMetadata();

  // Whether `address` is in one of them, or is a way to write one that is:
  // IPv4 within IPv6 (::ffff:1.2.3.4, ::1.2.3.4, 64:ff9b::1.2.3.4,
  // 2002:102:304::), and 0.0.0.0 and ::, which lead to the machine itself.
  bool Contain(const boost::asio::ip::address& address) const;

 private:
  using Bytes = std::array<unsigned char, 16>;
  // The first `prefix` bits of an address; IPv4 as in ::ffff:0:0/96.
  struct Network {
    Bytes bytes = {};
    size_t prefix = 0;
  };

  static absl::StatusOr<Network> ParseOne(absl::string_view text);
  static Bytes BytesOf(const boost::asio::ip::address& address);
  bool ContainBytes(const Bytes& address) const;

  std::vector<Network> networks_;
};

}  // namespace insula::http
