#include "libs/auth/address_set.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace insula::auth {
namespace {

namespace ip = boost::asio::ip;

// The first `prefix` bits of an address; IPv4 as in ::ffff:0:0/96.
struct Network {
  std::array<unsigned char, 16> bytes;
  size_t prefix;
};

std::optional<Network> ParseAddress(absl::string_view text) {
  boost::system::error_code error;
  const ip::address address = ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  if (address.is_v6()) {
    if (address.to_v6().scope_id() != 0) return std::nullopt;
    return Network{address.to_v6().to_bytes(), 128};
  }
  Network network{{}, 128};
  network.bytes[10] = network.bytes[11] = 0xff;
  const auto v4 = address.to_v4().to_bytes();
  std::copy(v4.begin(), v4.end(), network.bytes.begin() + 12);
  return network;
}

std::optional<Network> ParseNetwork(absl::string_view text) {
  const size_t slash = text.find('/');
  std::optional<Network> network = ParseAddress(text.substr(0, slash));
  if (!network.has_value() || slash == absl::string_view::npos) return network;
  const bool is_v4 = text.substr(0, slash).find(':') == absl::string_view::npos;
  unsigned bits = 0;
  const absl::string_view digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3 ||
      !std::all_of(digits.begin(), digits.end(),
                   [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(digits, &bits) || bits > (is_v4 ? 32U : 128U)) {
    return std::nullopt;
  }
  network->prefix = is_v4 ? 96 + bits : bits;
  return network;
}

bool Contains(const Network& network, const Network& address) {
  const size_t whole = network.prefix / 8;
  const size_t rest = network.prefix % 8;
  if (!std::equal(network.bytes.begin(),
                  network.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  address.bytes.begin())) {
    return false;
  }
  return rest == 0 ||
         (network.bytes[whole] ^ address.bytes[whole]) >> (8 - rest) == 0;
}

}  // namespace

absl::Status CheckNetwork(absl::string_view text) {
  const std::optional<Network> network = ParseNetwork(text);
  if (!network.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text,
                     "' must be an IP address, or a network such as "
                     "10.1.0.0/16"));
  }
  const bool is_v4 = text.find(':') == absl::string_view::npos;
  if (network->prefix == (is_v4 ? 96U : 0U)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is everybody: name the addresses of the proxies"));
  }
  return absl::OkStatus();
}

bool Contains(const std::vector<std::string>& networks,
              absl::string_view address) {
  const std::optional<Network> wanted = ParseAddress(address);
  if (!wanted.has_value()) return false;
  return std::any_of(
      networks.begin(), networks.end(), [&wanted](const std::string& text) {
        const std::optional<Network> network = ParseNetwork(text);
        return network.has_value() && Contains(*network, *wanted);
      });
}

}  // namespace insula::auth
