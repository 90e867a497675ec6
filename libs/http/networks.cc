#include "libs/http/networks.h"

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

namespace ip = boost::asio::ip;

constexpr size_t kMappedBits = 96;

absl::Status NoNetwork(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", text,
      "' must be an IP address, or a network such as 169.254.0.0/16"));
}

// As ::ffff:a.b.c.d.
std::array<unsigned char, 16> Mapped(const unsigned char* v4) {
  std::array<unsigned char, 16> bytes = {};
  bytes[10] = bytes[11] = 0xff;
  std::copy(v4, v4 + 4, bytes.begin() + 12);
  return bytes;
}

bool StartsWith(const std::array<unsigned char, 16>& bytes,
                std::initializer_list<unsigned char> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

}  // namespace

Networks::Bytes Networks::BytesOf(const ip::address& address) {
  if (address.is_v6()) return address.to_v6().to_bytes();
  return Mapped(address.to_v4().to_bytes().data());
}

absl::StatusOr<Networks::Network> Networks::ParseOne(absl::string_view text) {
  const size_t slash = text.find('/');
  boost::system::error_code error;
  const ip::address address =
      ip::make_address(std::string(text.substr(0, slash)), error);
  if (error || (address.is_v6() && address.to_v6().scope_id() != 0)) {
    return NoNetwork(text);
  }
  Network network{BytesOf(address), 128};
  if (slash == text.npos) return network;
  const absl::string_view digits = text.substr(slash + 1);
  const size_t most = address.is_v4() ? 32 : 128;
  size_t bits = 0;
  if (digits.empty() || digits.size() > 3 ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &bits) || bits > most) {
    return NoNetwork(text);
  }
  network.prefix = address.is_v4() ? kMappedBits + bits : bits;
  return network;
}

absl::StatusOr<Networks> Networks::Parse(
    const std::vector<std::string>& texts) {
  Networks networks;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const Network network, ParseOne(text));
    networks.networks_.push_back(network);
  }
  return networks;
}

const std::vector<std::string>& Networks::LinkLocalAndMetadataTexts() {
  static const auto* const texts = new std::vector<std::string>{
      "169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200"};
  return *texts;
}

Networks Networks::LinkLocalAndMetadata() {
  return Parse(LinkLocalAndMetadataTexts()).value();
}

bool Networks::ContainBytes(const Bytes& address) const {
  return std::any_of(
      networks_.begin(), networks_.end(), [&address](const Network& network) {
        const size_t whole = network.prefix / 8;
        const size_t rest = network.prefix % 8;
        if (!std::equal(
                network.bytes.begin(),
                network.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                address.begin())) {
          return false;
        }
        return rest == 0 ||
               (network.bytes[whole] ^ address[whole]) >> (8 - rest) == 0;
      });
}

bool Networks::Contain(const ip::address& address) const {
  if (networks_.empty()) return false;
  const Bytes bytes = BytesOf(address);
  if (ContainBytes(bytes)) return true;
  static const Bytes kNowhere4 = BytesOf(ip::address_v4::any());
  static const Bytes kNowhere6 = BytesOf(ip::address_v6::any());
  if (bytes == kNowhere4 || bytes == kNowhere6) {
    return ContainBytes(BytesOf(ip::address_v4::loopback())) ||
           ContainBytes(BytesOf(ip::address_v6::loopback()));
  }
  const auto embedded = [this, &bytes](size_t at) {
    return ContainBytes(Mapped(bytes.data() + at));
  };
  const bool compatible =
      StartsWith(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const bool nat64 =
      StartsWith(bytes, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
  if ((compatible || nat64) && embedded(12)) return true;
  return StartsWith(bytes, {0x20, 0x02}) && embedded(2);
}

}  // namespace insula::http
