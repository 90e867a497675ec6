// The settings of a place where tenants connect over HTTP.
//
// A service gives them its defaults, and the table of its settings its words:
//
//   struct ListenerConfig : edge::ListenerConfig {
//     ListenerConfig() : edge::ListenerConfig("write", "127.0.0.1:19093") {}
//     void Describe(config::Fields& fields) {
//       DescribeAs("Where to take writes.", fields);
//     }
//   };
//   struct Config {
//     std::vector<ListenerConfig> listeners = {ListenerConfig()};
//     void Describe(config::Fields& fields) {
//       fields.AddList("listeners", listeners, "Where senders connect.");
//     }
//     absl::Status Validate() const {
//       return edge::ValidateListeners("listeners", edge::Plain(listeners));
//     }
//   };
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libs/auth/auth.h"
#include "libs/config/config.h"

namespace insula::edge {

struct ListenerConfig {
  ListenerConfig(absl::string_view default_name,
                 absl::string_view default_address);

  std::string name;  // In logs, metrics and the ports file.
  std::string listen_address;
  auth::ListenerAuth auth;
  // PEM files.
  std::string tls_cert_file;  // Empty: plain text.
  std::string tls_key_file;
  std::string
      tls_client_ca_file;  // Not empty: client certificates are demanded.
  std::string tls_client_crl_file;  // Empty: none are revoked.
  int max_connections = 10'000;
  int max_connections_per_address = 0;  // 0: max_connections.

  // Keys: name, listen_address, those of auth::ListenerAuth, tls_cert_file,
  // tls_key_file, tls_client_ca_file, tls_client_crl_file, max_connections,
  // max_connections_per_address.
  // `what` is the help of listen_address.
  void DescribeAs(absl::string_view what, config::Fields& fields);

  // INVALID_ARGUMENT, naming the key, for what can't work whatever the files
  // hold.
  absl::Status Validate() const;
};

// The settings of listeners without what a service made of their type.
template <typename Listener>
std::vector<ListenerConfig> Plain(const std::vector<Listener>& listeners) {
  return std::vector<ListenerConfig>(listeners.begin(), listeners.end());
}

// Whether `listeners`, each of them valid, can work together: there is one, and
// names are not shared. INVALID_ARGUMENT names `key`.
absl::Status ValidateListeners(absl::string_view key,
                               const std::vector<ListenerConfig>& listeners);

}  // namespace insula::edge
