// TLS for servers and clients.
#pragma once

#include <string>

namespace insula::http {

// PEM files. TLS 1.2 or newer.
struct ServerTls {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // Not empty: a client certificate is demanded.
  // Of certificates that are revoked: a CRL of each CA of a client's chain. One
  // that has ended lets nobody in. Empty: nothing is asked about revocation.
  std::string client_crl_file;
};

struct ClientTls {
  std::string ca_file;    // Empty: the system's.
  std::string cert_file;  // Own certificate, may be empty.
  std::string key_file;
  std::string server_name;  // Expected name; empty: the URL's host.

  // The same as text, for those who have no files. Not both.
  std::string ca_pem;
  std::string cert_pem;
  std::string key_pem;
};

}  // namespace insula::http
