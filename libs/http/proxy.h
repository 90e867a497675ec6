// The proxies that requests go through, as the environment names them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/networks.h"
#include "libs/http/url.h"
#include "libs/secret/secret.h"

namespace insula::http {

// A proxy, spoken to in plain HTTP.
struct Proxy {
  std::string host;
  int port = 0;
  Secret authorization;  // For Proxy-Authorization; empty: none.
};

// Which proxy a URL's requests go through. http: the request goes to the proxy
// as it is; https: by CONNECT, so that the proxy sees only host and port.
// Thread-safe, as a value is.
class ProxyRules {
 public:
  // The variables of the environment, as curl, Go and Python read them.
  struct Settings {
    std::string http_proxy;   // "http://[USER:PASSWORD@]HOST:PORT"
    std::string https_proxy;  // The same, for https URLs.
    // Hosts without: names ("example.com", with all below it; ".example.com",
    // only those below it), addresses and networks, each with a port or
    // without, divided by commas; "*" for all.
    std::string no_proxy;
  };

  ProxyRules() = default;  // No proxy.

  // INVALID_ARGUMENT names the variable, and never shows its value: there may
  // be a password in it.
  static absl::StatusOr<ProxyRules> Make(const Settings& settings);
  // By HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their names in lower case.
  static absl::StatusOr<ProxyRules> FromEnvironment();

  // Null: straight. The machine itself ("localhost", 127.0.0.0/8, ::1) is never
  // asked through a proxy.
  const Proxy* For(const Url& url) const;

 private:
  struct Exception {
    std::string name;  // Empty: `networks`.
    bool below_only = false;
    Networks networks;
    int port = 0;  // 0: any.
  };
  bool IsException(const Url& url) const;

  std::optional<Proxy> http_;
  std::optional<Proxy> https_;
  bool none_ = false;  // NO_PROXY=*
  std::vector<Exception> exceptions_;
};

}  // namespace insula::http
