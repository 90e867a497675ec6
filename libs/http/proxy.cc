#include "libs/http/proxy.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

namespace ip = boost::asio::ip;

absl::Status Wrong(absl::string_view variable) {
  return absl::InvalidArgumentError(absl::StrCat(
      variable,
      ": must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, user and "
      "password percent-encoded; a proxy that wants TLS is not supported"));
}

absl::StatusOr<std::optional<Proxy>> ParseProxy(absl::string_view variable,
                                                absl::string_view text) {
  if (text.empty()) return std::optional<Proxy>();
  absl::string_view rest = text;
  if (absl::StartsWithIgnoreCase(rest, "http://")) {
    rest.remove_prefix(7);
  } else if (absl::StrContains(rest, "://")) {
    return Wrong(variable);
  }
  Proxy proxy;
  const size_t at = rest.rfind('@');
  if (at != rest.npos) {
    const std::pair<absl::string_view, absl::string_view> user =
        absl::StrSplit(rest.substr(0, at), absl::MaxSplits(':', 1));
    const auto name = PercentDecode(user.first);
    auto password = PercentDecode(user.second);
    if (!name.ok() || !password.ok() || absl::StrContains(*name, ':')) {
      return Wrong(variable);
    }
    std::string pair = absl::StrCat(*name, ":", *password);
    proxy.authorization =
        Secret(absl::StrCat("Basic ", absl::Base64Escape(pair)));
    WipeString(&pair);
    WipeString(&*password);
    rest.remove_prefix(at + 1);
  }
  absl::ConsumeSuffix(&rest, "/");
  const absl::StatusOr<Url> url = Url::Parse(absl::StrCat("http://", rest));
  if (!url.ok() || url->target != "/") return Wrong(variable);
  proxy.host = url->host;
  proxy.port = url->port;
  return std::optional<Proxy>(std::move(proxy));
}

std::optional<ip::address> AddressOf(const std::string& host) {
  boost::system::error_code error;
  const ip::address address = ip::make_address(host, error);
  if (error) return std::nullopt;
  return address;
}

bool IsThisMachine(const std::string& host) {
  if (host == "localhost" || absl::EndsWith(host, ".localhost")) return true;
  const std::optional<ip::address> address = AddressOf(host);
  return address.has_value() && address->is_loopback();
}

// Takes ":80" off the end of `text`, unless that is part of an IPv6 address.
int TakePort(absl::string_view* text) {
  const size_t colon = text->rfind(':');
  if (colon == text->npos) return 0;
  const bool bracketed = colon > 0 && (*text)[colon - 1] == ']';
  if (!bracketed && text->find(':') != colon) return 0;
  int port = 0;
  if (!absl::SimpleAtoi(text->substr(colon + 1), &port)) return 0;
  *text = text->substr(0, colon);
  return port;
}

std::string Variable(const char* upper) {
  for (const std::string& name :
       {std::string(upper), absl::AsciiStrToLower(upper)}) {
    // Read while the process has one thread, when it is wired together.
    const char* const value = std::getenv(name.c_str());  // NOLINT
    if (value != nullptr && *value != '\0') return value;
  }
  return "";
}

}  // namespace

absl::StatusOr<ProxyRules> ProxyRules::Make(const Settings& settings) {
  ProxyRules rules;
  ASSIGN_OR_RETURN(rules.http_, ParseProxy("HTTP_PROXY", settings.http_proxy));
  ASSIGN_OR_RETURN(rules.https_,
                   ParseProxy("HTTPS_PROXY", settings.https_proxy));
  const std::string no_proxy = absl::AsciiStrToLower(settings.no_proxy);
  for (absl::string_view text : absl::StrSplit(no_proxy, ',')) {
    text = absl::StripAsciiWhitespace(text);
    if (text.empty()) continue;
    if (text == "*") {
      rules.none_ = true;
      continue;
    }
    Exception exception;
    exception.port = TakePort(&text);
    if (absl::ConsumePrefix(&text, "[")) absl::ConsumeSuffix(&text, "]");
    absl::StatusOr<Networks> networks = Networks::Parse({std::string(text)});
    if (networks.ok()) {
      exception.networks = *std::move(networks);
    } else {
      absl::ConsumePrefix(&text, "*");
      exception.below_only = absl::ConsumePrefix(&text, ".");
      exception.name = std::string(text);
      if (exception.name.empty()) continue;
    }
    rules.exceptions_.push_back(std::move(exception));
  }
  return rules;
}

absl::StatusOr<ProxyRules> ProxyRules::FromEnvironment() {
  Settings settings;
  settings.http_proxy = Variable("HTTP_PROXY");
  settings.https_proxy = Variable("HTTPS_PROXY");
  settings.no_proxy = Variable("NO_PROXY");
  return Make(settings);
}

bool ProxyRules::IsException(const Url& url) const {
  const std::optional<ip::address> address = AddressOf(url.host);
  return std::any_of(
      exceptions_.begin(), exceptions_.end(),
      [&url, &address](const Exception& exception) {
        if (exception.port != 0 && exception.port != url.port) return false;
        if (exception.name.empty()) {
          return address.has_value() && exception.networks.Contain(*address);
        }
        if (absl::EndsWith(url.host, absl::StrCat(".", exception.name))) {
          return true;
        }
        return !exception.below_only && url.host == exception.name;
      });
}

const Proxy* ProxyRules::For(const Url& url) const {
  const std::optional<Proxy>& proxy = url.scheme == "https" ? https_ : http_;
  if (!proxy.has_value() || none_ || IsThisMachine(url.host) ||
      IsException(url)) {
    return nullptr;
  }
  return &*proxy;
}

}  // namespace insula::http
