#include "libs/http/networks.h"

#include <gmock/gmock.h>

#include <boost/asio/ip/address.hpp>
#include <string>

#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

using testing::HasSubstr;

bool Refused(const Networks& networks, const std::string& address) {
  return networks.Contain(boost::asio::ip::make_address(address));
}

TEST(NetworksTest, LinkLocalAndMetadataAreFoundHoweverTheyAreWritten) {
  const Networks networks = Networks::LinkLocalAndMetadata();
  for (const char* address :
       {"169.254.169.254", "169.254.0.0", "169.254.255.255",
        "::ffff:169.254.169.254", "::169.254.169.254",
        "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "fe80::1", "fe80::1%1",
        "febf::1", "fd00:ec2::254", "100.100.100.200",
        "::ffff:100.100.100.200"}) {
    EXPECT_TRUE(Refused(networks, address)) << address;
  }
}

TEST(NetworksTest, LoopbackPrivateAndPublicAddressesAreNotLinkLocal) {
  const Networks networks = Networks::LinkLocalAndMetadata();
  for (const char* address :
       {"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1",
        "169.253.255.255", "169.255.0.0", "100.100.100.201", "8.8.8.8",
        "fd00:ec2::253", "fec0::1", "fe7f::1", "2001:db8::1", "0.0.0.0"}) {
    EXPECT_FALSE(Refused(networks, address)) << address;
  }
}

TEST(NetworksTest, WhoeverRefusesTheMachineRefusesItsOtherNamesToo) {
  const Networks networks = Networks::Parse({"127.0.0.0/8"}).value();
  EXPECT_TRUE(Refused(networks, "127.9.9.9"));
  EXPECT_TRUE(Refused(networks, "0.0.0.0"));
  EXPECT_TRUE(Refused(networks, "::"));
  EXPECT_FALSE(Refused(networks, "::1"));
}

TEST(NetworksTest, PrefixesEndWithinAByte) {
  const Networks networks =
      Networks::Parse({"10.64.0.0/10", "2001:db8::/33", "192.0.2.7"}).value();
  EXPECT_TRUE(Refused(networks, "10.127.255.255"));
  EXPECT_FALSE(Refused(networks, "10.128.0.0"));
  EXPECT_TRUE(Refused(networks, "2001:db8:7fff::1"));
  EXPECT_FALSE(Refused(networks, "2001:db8:8000::1"));
  EXPECT_TRUE(Refused(networks, "192.0.2.7"));
  EXPECT_FALSE(Refused(networks, "192.0.2.6"));
}

TEST(NetworksTest, NoNetworksContainNothing) {
  EXPECT_FALSE(Refused(Networks(), "169.254.169.254"));
}

TEST(NetworksTest, RefusesWhatIsNoNetwork) {
  for (const char* text :
       {"", "metadata", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0.0/-1",
        "10.0.0.0/8/8", "fe80::1%eth0", "10.0.0.0/ 8", "1.2.3"}) {
    EXPECT_THAT(Networks::Parse({"10.0.0.1", text}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("must be an IP address")))
        << text;
  }
}

}  // namespace
}  // namespace insula::http
