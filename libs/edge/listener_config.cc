#include "libs/edge/listener_config.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::edge {
namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr int kMaxConnections = 1 << 20;

absl::Status CheckName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes ||
      !std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
      })) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: must be 1 to ", kMaxNameBytes, " of [A-Za-z0-9_.-]"));
  }
  if (name == "admin" || name == "grpc") {
    return absl::InvalidArgumentError(
        absl::StrCat("name: '", name,
                     "' is the name of another listener of the service, choose "
                     "a different one"));
  }
  return absl::OkStatus();
}

}  // namespace

ListenerConfig::ListenerConfig(absl::string_view default_name,
                               absl::string_view default_address)
    : name(default_name), listen_address(default_address) {}

void ListenerConfig::DescribeAs(absl::string_view what,
                                config::Fields& fields) {
  fields.Add("name", name, "Names the listener in logs and metrics.");
  fields.Add("listen_address", listen_address, what);
  auth.Describe(fields);
  fields.Add("tls_cert_file", tls_cert_file,
             "Certificate chain, PEM. Empty: plain text.");
  fields.Add("tls_key_file", tls_key_file, "Its private key, PEM.");
  fields.Add("tls_client_ca_file", tls_client_ca_file,
             "CA of client certificates, PEM. Set: they are demanded.");
  fields.Add("tls_client_crl_file", tls_client_crl_file,
             "Client certificates that are revoked: a CRL of each CA of a "
             "client's chain, PEM. Empty: none.");
  fields.Add("max_connections", max_connections,
             "Open connections; further ones wait.");
  fields.Add("max_connections_per_address", max_connections_per_address,
             "Open connections from one address (IPv6: a network of /64); "
             "further ones are closed. 0: max_connections. A proxy is one "
             "address.");
}

absl::Status ListenerConfig::Validate() const {
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(
      Annotate(config::CheckAddress(listen_address), "listen_address"));
  if (tls_cert_file.empty() != tls_key_file.empty()) {
    return absl::InvalidArgumentError(
        "tls_cert_file: set tls_key_file with it, or neither");
  }
  if (!tls_client_ca_file.empty() && tls_cert_file.empty()) {
    return absl::InvalidArgumentError(
        "tls_client_ca_file: set tls_cert_file and tls_key_file too");
  }
  if (tls_client_ca_file.empty()) {
    if (!tls_client_crl_file.empty()) {
      return absl::InvalidArgumentError(
          "tls_client_crl_file: set tls_client_ca_file, whose certificates it "
          "revokes");
    }
    if (auth.client_certificate) {
      return absl::InvalidArgumentError(
          "client_certificate: set tls_client_ca_file, whose certificates "
          "count");
    }
    if (!auth.trusted_names.empty()) {
      return absl::InvalidArgumentError(
          "trusted_names: set tls_client_ca_file, whose certificates count");
    }
  }
  if (max_connections < 1 || max_connections > kMaxConnections) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_connections: must be 1 to ", kMaxConnections, ", is ",
                     max_connections));
  }
  if (max_connections_per_address < 0 ||
      max_connections_per_address > max_connections) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_connections_per_address: must be 0 to max_connections, ",
        max_connections, ", is ", max_connections_per_address));
  }
  return auth.Validate();
}

absl::Status ValidateListeners(absl::string_view key,
                               const std::vector<ListenerConfig>& listeners) {
  if (listeners.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": must have at least one"));
  }
  std::set<std::string> names;
  for (const ListenerConfig& listener : listeners) {
    if (!names.insert(listener.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(key, ": two are named '", listener.name,
                       "', give each a name of its own"));
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::edge
