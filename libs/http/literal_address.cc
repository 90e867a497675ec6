#include "libs/http/literal_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace insula::http {
namespace {

namespace ip = boost::asio::ip;

constexpr absl::string_view kMetadataNames[] = {
    "instance-data", "instance-data.ec2.internal", "metadata",
    "metadata.goog", "metadata.google.internal",
};

bool IsMetadata(absl::string_view name) {
  return std::any_of(std::begin(kMetadataNames), std::end(kMetadataNames),
                     [name](absl::string_view each) {
                       return absl::EqualsIgnoreCase(each, name);
                     });
}

}  // namespace

std::optional<ip::address> AddressInText(absl::string_view host) {
  absl::ConsumeSuffix(&host, ".");
  const std::string text =
      IsMetadata(host) ? "169.254.169.254" : std::string(host);
  boost::system::error_code error;
  const ip::address address = ip::make_address(text, error);
  if (!error) return address;
  in_addr odd = {};
  if (inet_aton(text.c_str(), &odd) == 0) return std::nullopt;
  return ip::address_v4(ntohl(odd.s_addr));
}

}  // namespace insula::http
