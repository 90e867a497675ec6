#include "libs/outbound/credential_config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::outbound {
namespace {

absl::Status Wrong(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", what));
}

// Of a header's name, as RFC 9110 has it.
bool IsToken(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) ||
                  absl::string_view("!#$%&'*+-.^_`|~")
                          .find(static_cast<char>(c)) !=
                      absl::string_view::npos;
         });
}

// Those that say how a message is to be read, or that a service sets itself.
bool IsTaken(absl::string_view name) {
  for (const absl::string_view taken :
       {"host", "content-length", "content-type", "content-encoding", "accept",
        "accept-encoding", "connection", "transfer-encoding", "keep-alive",
        "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade",
        "expect", "authorization"}) {
    if (absl::EqualsIgnoreCase(name, taken)) return true;
  }
  return false;
}

bool IsText(absl::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return absl::ascii_iscntrl(c); });
}

bool IsLoopback(const http::Url& url) {
  return url.host == "localhost" || url.host == "::1" ||
         absl::StartsWith(url.host, "127.");
}

absl::StatusOr<http::Url> BaseUrl(const std::string& text) {
  ASSIGN_OR_RETURN(http::Url url, http::Url::Parse(text));
  if (absl::StrContains(url.target, '?')) {
    return absl::InvalidArgumentError(
        "must be without a query: it belongs to all URLs below it");
  }
  return url;
}

absl::string_view PathOf(const http::Url& url) {
  const absl::string_view target = url.target;
  return target.substr(0, target.find('?'));
}

}  // namespace

void HeaderConfig::Describe(config::Fields& fields) {
  fields.Add("name", name, "Name of the header.");
  fields.Add("file", file, "File with its value, one line.");
}

absl::Status HeaderConfig::Validate() const {
  if (!IsToken(name)) return Wrong("name", "must be the name of a header");
  if (IsTaken(name)) {
    return Wrong("name", absl::StrCat("'", name,
                                      "' is set otherwise: choose another "
                                      "header, or bearer_file or basic_user"));
  }
  if (file.empty()) return Wrong("file", "must be set");
  return absl::OkStatus();
}

void OAuth2Config::Describe(config::Fields& fields) {
  fields.Add("token_url", token_url,
             "Where tokens are given out; https, or http on this machine. "
             "Empty: no OAuth 2.0.");
  fields.Add("client_id", client_id, "Who asks there.");
  fields.Add("client_secret_file", client_secret_file,
             "File with the client's secret, one line.");
  fields.Add("scopes", scopes, "Scopes to ask for.");
  fields.Add("endpoint_params", endpoint_params,
             "Further parameters of the request for a token, as "
             "audience=telemeter.");
  fields.Add("secret_in_body", secret_in_body,
             "Send id and secret as parameters instead of by basic "
             "authentication.");
  fields.Add("tls_ca_file", tls_ca_file,
             "CA of its certificate, PEM. Empty: the system's.");
}

absl::StatusOr<http::Params> OAuth2Config::Params() const {
  http::Params params;
  for (const std::string& param : endpoint_params) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(param, absl::MaxSplits('=', 1));
    if (pair.first.empty() || !absl::StrContains(param, '=')) {
      return Wrong("endpoint_params",
                   absl::StrCat("'", param, "' must be NAME=VALUE"));
    }
    for (const absl::string_view own :
         {"grant_type", "scope", "client_id", "client_secret"}) {
      if (pair.first == own) {
        return Wrong("endpoint_params",
                     absl::StrCat("'", own, "' is set otherwise"));
      }
    }
    params.push_back(pair);
  }
  return params;
}

absl::Status OAuth2Config::Validate() const {
  if (!enabled()) {
    const bool any = !client_id.empty() || !client_secret_file.empty() ||
                     !scopes.empty() || !endpoint_params.empty();
    return any ? Wrong("token_url", "must be set for OAuth 2.0")
               : absl::OkStatus();
  }
  const absl::StatusOr<http::Url> parsed = http::Url::Parse(token_url);
  if (!parsed.ok()) return Annotate(parsed.status(), "token_url");
  if (parsed->scheme != "https" && !IsLoopback(*parsed)) {
    return Wrong("token_url",
                 "must be https: whoever reads a request there has the secret");
  }
  if (client_id.empty() || !IsText(client_id)) {
    return Wrong("client_id", "must be set");
  }
  if (client_secret_file.empty()) {
    return Wrong("client_secret_file", "must be set");
  }
  for (const std::string& scope : scopes) {
    if (scope.empty() ||
        !std::all_of(scope.begin(), scope.end(), absl::ascii_isgraph)) {
      return Wrong("scopes", absl::StrCat("'", scope, "' is no scope"));
    }
  }
  return Params().status();
}

void CredentialConfig::Describe(config::Fields& fields) {
  fields.Add("url", url,
             "Whom it is for: this URL and all below it. Of several that fit, "
             "the one with the longest path counts.");
  fields.Add("bearer_file", bearer_file,
             "File with a bearer token, one line. All such files are read "
             "again when they change.");
  fields.Add("basic_user", basic_user, "User of basic authentication.");
  fields.Add("basic_password_file", basic_password_file,
             "File with the user's password, one line.");
  fields.AddGroup("oauth2", oauth2);
  fields.AddList("headers", headers, "Headers whose values are secrets.");
  fields.Add("tls_ca_file", tls_ca_file,
             "CA of the host's certificate, PEM. If this or one of the next "
             "three is set, all four count for this host, in place of those "
             "of the service.");
  fields.Add("tls_cert_file", tls_cert_file,
             "Certificate to show to the host, PEM.");
  fields.Add("tls_key_file", tls_key_file, "Its private key, PEM.");
  fields.Add("tls_server_name", tls_server_name,
             "Name in the host's certificate. Empty: that of the URL.");
}

bool CredentialConfig::has_tls() const {
  return !tls_ca_file.empty() || !tls_cert_file.empty() ||
         !tls_key_file.empty() || !tls_server_name.empty();
}

http::ClientTls CredentialConfig::Tls() const {
  http::ClientTls tls;
  tls.ca_file = tls_ca_file;
  tls.cert_file = tls_cert_file;
  tls.key_file = tls_key_file;
  tls.server_name = tls_server_name;
  return tls;
}

bool CredentialConfig::has_authorization() const {
  return !bearer_file.empty() || !basic_user.empty() || oauth2.enabled();
}

bool CredentialConfig::has_secret() const {
  return has_authorization() || !headers.empty();
}

absl::Status CredentialConfig::Validate() const {
  const absl::StatusOr<http::Url> parsed = BaseUrl(url);
  if (!parsed.ok()) return Annotate(parsed.status(), "url");
  if (basic_user.empty() != basic_password_file.empty()) {
    return Wrong("basic_user", "set basic_password_file with it, or neither");
  }
  if (absl::StrContains(basic_user, ':') || !IsText(basic_user)) {
    return Wrong("basic_user", "must be without ':' and control characters");
  }
  if (!bearer_file.empty() + !basic_user.empty() + oauth2.enabled() > 1) {
    return Wrong("url",
                 "has several of bearer_file, basic_user and oauth2: set one");
  }
  RETURN_IF_ERROR([this] {
    const absl::Status valid = oauth2.Validate();
    if (valid.ok()) return valid;
    return absl::Status(valid.code(), absl::StrCat("oauth2.", valid.message()));
  }());
  for (size_t i = 0; i < headers.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (absl::EqualsIgnoreCase(headers[i].name, headers[k].name)) {
        return Wrong("headers", absl::StrCat("'", headers[i].name,
                                             "' is there twice, keep one"));
      }
    }
  }
  if (tls_cert_file.empty() != tls_key_file.empty()) {
    return Wrong("tls_cert_file", "set tls_key_file with it, or neither");
  }
  if (has_tls() && parsed->scheme != "https") {
    return Wrong("url", "must be https for the tls_ settings to count");
  }
  if (!has_tls() && !has_secret()) {
    return Wrong("url", "has no credential, set one");
  }
  return absl::OkStatus();
}

bool Covers(const http::Url& url, const http::Url& at) {
  if (url.scheme != at.scheme || url.host != at.host || url.port != at.port) {
    return false;
  }
  absl::string_view above = PathOf(url);
  const absl::string_view path = PathOf(at);
  absl::ConsumeSuffix(&above, "/");
  return absl::StartsWith(path, above) &&
         (path.size() == above.size() || path[above.size()] == '/');
}

absl::Status ValidateCredentials(
    absl::string_view key, const std::vector<CredentialConfig>& credentials) {
  std::map<std::string, size_t> urls;
  std::map<std::string, size_t> tls;
  for (size_t i = 0; i < credentials.size(); ++i) {
    const absl::StatusOr<http::Url> url = BaseUrl(credentials[i].url);
    if (!url.ok()) return Annotate(url.status(), key);
    absl::string_view path = PathOf(*url);
    absl::ConsumeSuffix(&path, "/");
    const std::string whole =
        absl::StrCat(url->scheme, "://", url->HostPort(), path);
    const auto [same, added] = urls.emplace(whole, i);
    if (!added) {
      return Wrong(absl::StrCat(key, "[", i, "].url"),
                   absl::StrCat("is that of ", key, "[", same->second,
                                "], too: make one of them"));
    }
    if (!credentials[i].has_tls()) continue;
    const auto [first, alone] = tls.emplace(url->HostPort(), i);
    const CredentialConfig& other = credentials[first->second];
    if (alone) continue;
    const http::ClientTls a = credentials[i].Tls();
    const http::ClientTls b = other.Tls();
    if (a.ca_file != b.ca_file || a.cert_file != b.cert_file ||
        a.key_file != b.key_file || a.server_name != b.server_name) {
      return Wrong(
          absl::StrCat(key, "[", i, "].tls_ca_file"),
          absl::StrCat("the tls_ settings must be those of ", key, "[",
                       first->second,
                       "], or none: connections to a host are shared"));
    }
  }
  return absl::OkStatus();
}

const CredentialConfig* FindCredential(
    const std::vector<CredentialConfig>& credentials, const http::Url& url) {
  const CredentialConfig* best = nullptr;
  size_t longest = 0;
  for (const CredentialConfig& credential : credentials) {
    const absl::StatusOr<http::Url> own = http::Url::Parse(credential.url);
    if (!own.ok() || !Covers(*own, url)) continue;
    if (best == nullptr || own->target.size() > longest) {
      best = &credential;
      longest = own->target.size();
    }
  }
  return best;
}

}  // namespace insula::outbound
