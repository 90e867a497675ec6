// The services and a real Prometheus as their store, on free ports.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"

namespace insula::e2e {

namespace v1 = ::insula::registry::v1;

// One sample of one series.
struct Series {
  std::map<std::string, std::string> labels;  // With __name__.
  double value = 0;
  absl::Time time;
};

// The snappy body of a remote write request.
std::string WriteBody(const std::vector<Series>& series);

// Starts everything but what a test wants to start itself. The registry has,
// from a resource file: tenants `red` and `blue`, kept apart in the store by
// their label `namespace`; a sender that may write for both, by that label;
// a reader of each. All is killed by process id at the end.
class Constellation {
 public:
  // Tokens of the resource file.
  static constexpr char kSender[] = "sender-token";
  static constexpr char kRed[] = "red-token";
  static constexpr char kBlue[] = "blue-token";

  Constellation();
  ~Constellation();

  // All parts, ready.
  void StartAll();

  void StartStore();  // The same address and data after a restart.
  std::string store_config = "global: {}\n";
  void StartRegistry();         // The same address and data after a restart.
  std::string registry_config;  // More of its configuration, YAML.
  void StartGateway();
  std::string gateway_config;  // More of its configuration, YAML.
  std::vector<std::string> gateway_environment;  // "NAME=value" each.
  void StartFrontend();
  // The one whose confinement is broken on purpose.
  void StartBrokenFrontend();

  // Changes objects by gRPC. Fails the test if the registry refuses.
  int64_t Apply(const std::vector<v1::Operation>& operations);
  std::unique_ptr<v1::TenantRegistry::Stub> RegistryStub() const;

  // Writes through the gateway / asks the frontend as the bearer of `token`.
  HttpAnswer Write(absl::string_view token, const std::string& body) const;
  HttpAnswer Get(absl::string_view token, absl::string_view target) const;
  HttpAnswer Query(absl::string_view token, absl::string_view query) const;

  // Asks the store itself, past the frontend: the `result` of an instant query
  // as JSON text.
  std::string AskStore(absl::string_view query) const;

  int store_port() const { return store_port_; }
  int gateway_port() const { return gateway_port_; }
  int gateway_admin_port() const { return gateway_admin_port_; }
  int frontend_port() const { return frontend_port_; }
  int registry_port() const { return registry_port_; }

  std::unique_ptr<Process> store;
  std::unique_ptr<Process> registry;
  std::unique_ptr<Process> gateway;
  std::unique_ptr<Process> frontend;

  // The end of everybody's output.
  std::string Logs() const;
  const TempDir& dir() const { return dir_; }

 private:
  std::unique_ptr<Process> StartService(
      absl::string_view binary, absl::string_view name,
      absl::string_view config, std::map<std::string, int>* ports,
      const std::vector<std::string>& environment = {});
  void StartFrontendBinary(absl::string_view path);

  TempDir dir_;
  int store_port_ = 0;
  int registry_port_ = 0;
  int gateway_port_ = 0;
  int gateway_admin_port_ = 0;
  int frontend_port_ = 0;
};

// The SHA-256 of a token, as bindings hold it.
std::string TokenHash(absl::string_view token);

// "Bearer TOKEN" as a header.
std::pair<std::string, std::string> Bearer(absl::string_view token);

}  // namespace insula::e2e
