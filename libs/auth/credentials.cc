#include "libs/auth/credentials.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "libs/auth/caller.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

constexpr size_t kMaxBytes = 8192;
constexpr absl::string_view kAuthorization = "Authorization";
constexpr absl::string_view kAuthToken = "X-Auth-Token";

absl::Status CheckText(absl::string_view what, absl::string_view text) {
  if (text.empty() || text.size() > kMaxBytes ||
      !std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_isgraph(c) != 0;
      })) {
    return absl::UnauthenticatedError(absl::StrCat(
        what, " must have 1 to ", kMaxBytes, " visible ASCII characters"));
  }
  return absl::OkStatus();
}

// Takes "Scheme " off a value of header Authorization.
bool ConsumeScheme(absl::string_view scheme, absl::string_view* value) {
  if (!absl::StartsWithIgnoreCase(*value, scheme) ||
      value->size() == scheme.size() || (*value)[scheme.size()] != ' ') {
    return false;
  }
  value->remove_prefix(scheme.size());
  while (absl::ConsumePrefix(value, " ")) {
  }
  return true;
}

class Finder {
 public:
  Finder(const http::Request& request, const ListenerAuth& listener)
      : request_(request), listener_(listener) {}

  absl::StatusOr<std::optional<Credential>> Run() {
    if (listener_.TakesAuthorization()) RETURN_IF_ERROR(ReadAuthorization());
    if (listener_.keystone.enabled()) {
      RETURN_IF_ERROR(ReadHeader(kAuthToken, "token", "a token"));
    }
    if (!listener_.api_key_header.empty()) {
      RETURN_IF_ERROR(
          ReadHeader(listener_.api_key_header, "api-key", "an API key"));
    }
    if (listener_.client_certificate &&
        (!request_.peer.san_uris.empty() || !request_.peer.san_dns.empty())) {
      Note("certificate", "", "client certificate");
    }
    if (places_.size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("the request has ", places_.size(), " credentials (",
                       absl::StrJoin(places_, ", "), "), send one"));
    }
    return std::move(found_);
  }

 private:
  absl::Status ReadAuthorization() {
    ASSIGN_OR_RETURN(const std::optional<absl::string_view> value,
                     ReadOnce(request_.headers, kAuthorization));
    if (!value.has_value()) return absl::OkStatus();
    const bool bearer = listener_.bearer || listener_.AsksAboutBearer();
    absl::string_view text = *value;
    if (bearer && ConsumeScheme("Bearer", &text)) {
      RETURN_IF_ERROR(CheckText("a bearer token", text));
      Note("bearer", text, kAuthorization);
      return absl::OkStatus();
    }
    if (listener_.basic.enabled() && ConsumeScheme("Basic", &text)) {
      RETURN_IF_ERROR(CheckText("user and password", text));
      Note("basic", text, kAuthorization);
      return absl::OkStatus();
    }
    return absl::UnauthenticatedError(absl::StrCat(
        "header Authorization must be ", bearer ? "'Bearer TOKEN'" : "",
        bearer && listener_.basic.enabled() ? " or " : "",
        listener_.basic.enabled() ? "'Basic ' with user and password" : ""));
  }

  absl::Status ReadHeader(absl::string_view name, absl::string_view scheme,
                          absl::string_view what) {
    ASSIGN_OR_RETURN(const std::optional<absl::string_view> value,
                     ReadOnce(request_.headers, name));
    if (!value.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckText(what, *value));
    Note(scheme, *value, name);
    return absl::OkStatus();
  }

  void Note(absl::string_view scheme, absl::string_view text,
            absl::string_view place) {
    places_.emplace_back(place);
    found_ = Credential{std::string(scheme), std::string(text),
                        request_.peer.address, request_.deadline};
  }

  const http::Request& request_;
  const ListenerAuth& listener_;
  std::optional<Credential> found_;
  std::vector<std::string> places_;
};

}  // namespace

absl::StatusOr<std::optional<Credential>> FindCredential(
    const http::Request& request, const ListenerAuth& listener) {
  return Finder(request, listener).Run();
}

absl::StatusOr<std::optional<absl::string_view>> ReadOnce(
    const http::Headers& headers, absl::string_view name) {
  for (const auto& [other, value] : headers) {
    if (absl::StrContains(other, '_') &&
        absl::EqualsIgnoreCase(absl::StrReplaceAll(other, {{"_", "-"}}),
                               name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("header ", absl::CHexEscape(other), " must be spelled ",
                       name, ", with '-'"));
    }
  }
  if (headers.Count(name) > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("header ", name, " comes more than once, send one"));
  }
  return headers.Get(name);
}

absl::StatusOr<std::optional<tenancy::TenantId>> ReadTenantHeader(
    const http::Headers& headers, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<absl::string_view> value,
                   ReadOnce(headers, name));
  if (!value.has_value()) return std::nullopt;
  return ParseTenantHeader(*value, name);
}

}  // namespace insula::auth
