// The Kubernetes API server of the tests, as a process that tests can harm, and
// a connection to it that they can cut.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"

namespace insula::e2e {

// Starts an etcd and the server on it; both end with this object.
class KubeApi {
 public:
  // `flags` go to the server. `tokens`: lines TOKEN,USER,UID,"GROUPS". The test
  // ends if they do not start.
  explicit KubeApi(std::vector<std::string> flags = {},
                   absl::string_view tokens = "");
  ~KubeApi();

  int port() const { return port_; }  // https
  std::string url() const;
  std::string ca_file() const;

  void Kill();   // kill -9 of the server; etcd goes on.
  void Start();  // The server again, at the same address.
  void Signal(int signal) { server_->Signal(signal); }

  // Sends a request in clear HTTP, past everything that is under test.
  HttpAnswer Send(absl::string_view method, absl::string_view target,
                  absl::string_view body = "", absl::string_view token = "",
                  absl::string_view content_type = "application/json");

  // Makes etcd forget what was before its present revision.
  void Compact();

 private:
  TempDir directory_;
  std::vector<std::string> arguments_;
  int etcd_port_;
  int port_;
  int plain_port_;
  std::unique_ptr<Process> etcd_;
  std::unique_ptr<Process> server_;
};

// The tokens of a server with `--authz rbac`: one that may do everything, and
// that of the user `red`, who needs rights.
inline constexpr char kAdminToken[] = "root-token";
inline constexpr char kRedToken[] = "red-token";
inline constexpr char kRbacTokens[] =
    "root-token,root,1,\"system:masters\"\nred-token,red,2\n";

// What `red` may do in the whole cluster, given and taken away. The test fails
// if the server refuses.
class RightsOfRed {
 public:
  // Gives them. `rule` is one of a ClusterRole, JSON. `api` outlives this.
  RightsOfRed(KubeApi* api, absl::string_view rule);

  void Give();
  void Withdraw();

 private:
  KubeApi& api_;
};

// Passes TCP connections on to a port of 127.0.0.1. Thread-safe.
class Proxy {
 public:
  explicit Proxy(int to);
  ~Proxy();

  int port() const { return port_; }

  void Stall();   // Present connections stay open, and carry nothing any more.
  void Cut();     // Closes all connections, and new ones at once.
  void Resume();  // Passes new connections on again.

 private:
  struct State;
  std::shared_ptr<State> state_;
  boost::asio::thread_pool pool_{1};
  boost::asio::ip::tcp::acceptor acceptor_{pool_};
  int port_ = 0;
};

}  // namespace insula::e2e
