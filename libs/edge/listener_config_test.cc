#include "libs/edge/listener_config.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libs/config/config.h"
#include "libs/status/status_matchers.h"

namespace insula::edge {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct DoorConfig : ListenerConfig {
  DoorConfig() : ListenerConfig("door", "127.0.0.1:1234") {}
  void Describe(config::Fields& fields) {
    DescribeAs("Where to knock.", fields);
  }
};

struct HouseConfig {
  std::vector<DoorConfig> doors = {DoorConfig()};
  void Describe(config::Fields& fields) {
    fields.AddList("doors", doors, "The ways in.");
  }
  absl::Status Validate() const {
    return ValidateListeners("doors", Plain(doors));
  }
};

absl::StatusOr<HouseConfig> Load(const std::string& yaml) {
  config::Sources sources;
  sources.service = "house";
  sources.yaml = yaml;
  sources.yaml_name = "house.yaml";
  return config::Load<HouseConfig>(sources);
}

TEST(ListenerConfigTest, StartsFromTheDefaultsOfTheService) {
  const auto house = Load("doors: [{max_connections: 7}]");
  ASSERT_THAT(house, IsOk());
  ASSERT_EQ(house->doors.size(), 1u);
  const ListenerConfig door = Plain(house->doors)[0];
  EXPECT_EQ(door.name, "door");
  EXPECT_EQ(door.listen_address, "127.0.0.1:1234");
  EXPECT_EQ(door.max_connections, 7);
  EXPECT_TRUE(door.auth.bearer);
  EXPECT_EQ(door.tls_cert_file, "");
}

TEST(ListenerConfigTest, ReadsEveryKey) {
  const auto house = Load(
      "doors:\n"
      "  - {name: front.1, listen_address: '[::]:443', bearer: false,\n"
      "     trusted_header: X-Tenant, trusted_addresses: [10.0.0.0/8],\n"
      "     tls_cert_file: c.pem, tls_key_file: k.pem,\n"
      "     tls_client_ca_file: ca.pem, tls_client_crl_file: crl.pem,\n"
      "     max_connections: 3, max_connections_per_address: 2}\n"
      "  - name: back\n");
  ASSERT_THAT(house, IsOk());
  ASSERT_EQ(house->doors.size(), 2u);
  const ListenerConfig& front = house->doors[0];
  EXPECT_EQ(front.name, "front.1");
  EXPECT_EQ(front.listen_address, "[::]:443");
  EXPECT_FALSE(front.auth.bearer);
  EXPECT_EQ(front.auth.trusted_header, "X-Tenant");
  EXPECT_EQ(front.auth.trusted_addresses,
            std::vector<std::string>{"10.0.0.0/8"});
  EXPECT_EQ(front.tls_cert_file, "c.pem");
  EXPECT_EQ(front.tls_key_file, "k.pem");
  EXPECT_EQ(front.tls_client_ca_file, "ca.pem");
  EXPECT_EQ(front.tls_client_crl_file, "crl.pem");
  EXPECT_EQ(front.max_connections, 3);
  EXPECT_EQ(front.max_connections_per_address, 2);
  EXPECT_EQ(house->doors[1].name, "back");
}

TEST(ListenerConfigTest, SpeaksOfTheListenerInTheWordsOfTheService) {
  DoorConfig door;
  config::Fields fields;
  door.Describe(fields);
  EXPECT_THAT(config::HelpMarkdown(fields),
              HasSubstr("| `listen_address` | string | `127.0.0.1:1234` | "
                        "Where to knock. |\n"));
}

TEST(ListenerConfigTest, NamesTheKeyOfWhatCanNotWork) {
  const std::pair<std::string, std::string> cases[] = {
      {"doors: []", "doors: must have at least one"},
      {"doors: [{name: a}, {name: b}, {name: a}]", "doors: two are named 'a'"},
      {"doors: [{name: ''}]", "doors[0].name: must be 1 to 64"},
      {"doors: [{name: a b}]", "doors[0].name: must be 1 to 64"},
      {absl::StrCat("doors: [{name: ", std::string(65, 'a'), "}]"),
       "doors[0].name: must be 1 to 64"},
      {"doors: [{name: a}, {name: admin}]", "doors[1].name: 'admin' is"},
      {"doors: [{name: grpc}]", "doors[0].name: 'grpc' is"},
      {"doors: [{listen_address: ':80'}]", "doors[0].listen_address: "},
      {"doors: [{listen_address: 'a:65536'}]", "doors[0].listen_address: "},
      {"doors: [{tls_cert_file: a}]", "doors[0].tls_cert_file: set tls_key"},
      {"doors: [{tls_key_file: a}]", "doors[0].tls_cert_file: set tls_key"},
      {"doors: [{tls_client_ca_file: a}]", "doors[0].tls_client_ca_file: set"},
      {"doors: [{tls_client_crl_file: a}]",
       "doors[0].tls_client_crl_file: set tls_client_ca_file"},
      {"doors: [{client_certificate: true}]",
       "doors[0].client_certificate: set tls_client_ca_file"},
      {"doors: [{trusted_header: X-T, trusted_names: [a]}]",
       "doors[0].trusted_names: set tls_client_ca_file"},
      {"doors: [{jwt: [{issuer: 'https://i'}]}]",
       "doors[0].jwt[0].audiences: must name"},
      {"doors: [{keystone: {auth_url: 'http://k'}}]",
       "doors[0].keystone.auth_url: must be an https URL"},
      {"doors: [{max_connections: 0}]", "doors[0].max_connections: must be 1"},
      {"doors: [{max_connections: -1}]", "doors[0].max_connections: must be 1"},
      {"doors: [{max_connections: 1048577}]", "must be 1 to 1048576"},
      {"doors: [{max_connections_per_address: -1}]",
       "doors[0].max_connections_per_address: must be 0 to"},
      {"doors: [{max_connections: 5, max_connections_per_address: 6}]",
       "must be 0 to max_connections, 5, is 6"},
      {"doors: [{bearer: false}]", "doors[0].bearer: nobody could get in"},
      {"doors: [{trusted_header: 'a b'}]", "doors[0].trusted_header: 'a b'"},
  };
  for (const auto& [yaml, what] : cases) {
    EXPECT_THAT(Load(yaml),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("house.yaml:1: "), HasSubstr(what))))
        << yaml;
  }
}

}  // namespace
}  // namespace insula::edge
