#include "libs/auth/keystone_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/auth/strict_json.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

using nlohmann::json;

constexpr size_t kMaxRoles = 1000;

absl::Status Senseless(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the answer of Keystone makes no sense: ", what));
}

// The member `name` of an object; null if it is not there.
const json* Member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// A member that must be a text of 1 to 255 bytes, as Keystone's names are.
absl::StatusOr<std::string> TextOf(const json& object, const char* name,
                                   absl::string_view what) {
  const json* member = Member(object, name);
  if (member == nullptr || !member->is_string()) {
    return Senseless(absl::StrCat(what, " has no ", name));
  }
  std::string text = member->get<std::string>();
  if (text.empty() || text.size() > 255) {
    return Senseless(
        absl::StrCat(name, " of ", what, " must have 1 to 255 bytes"));
  }
  return text;
}

absl::StatusOr<json> ReadToken(absl::string_view body) {
  absl::StatusOr<json> answer = ParseStrictObject(body);
  if (!answer.ok()) return Senseless(answer.status().message());
  const json* token = Member(*answer, "token");
  if (token == nullptr || !token->is_object()) return Senseless("no token");
  return *token;
}

absl::StatusOr<absl::Time> ExpiryOf(const json& token) {
  ASSIGN_OR_RETURN(const std::string text,
                   TextOf(token, "expires_at", "the token"));
  absl::Time expires;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &expires, &error)) {
    return Senseless("expires_at is no time");
  }
  return expires;
}

absl::StatusOr<std::vector<std::string>> RolesOf(const json& token) {
  std::vector<std::string> names;
  const json* roles = Member(token, "roles");
  if (roles == nullptr) return names;
  if (!roles->is_array() || roles->size() > kMaxRoles) {
    return Senseless("roles are no array, or too many");
  }
  for (const json& role : *roles) {
    ASSIGN_OR_RETURN(std::string name, TextOf(role, "name", "a role"));
    names.push_back(std::move(name));
  }
  return names;
}

// The id of the domain that a user or project is of.
absl::StatusOr<std::string> DomainOf(const json& owner,
                                     absl::string_view what) {
  const json* domain = Member(owner, "domain");
  if (domain == nullptr) {
    return Senseless(absl::StrCat(what, " has no domain"));
  }
  return TextOf(*domain, "id", absl::StrCat("the domain of ", what));
}

absl::Status CheckRoles(const std::vector<std::string>& roles,
                        const std::vector<std::string>& accepted) {
  const bool has_one =
      accepted.empty() ||
      std::any_of(roles.begin(), roles.end(), [&](const std::string& role) {
        return std::find(accepted.begin(), accepted.end(), role) !=
               accepted.end();
      });
  if (has_one) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("the token has none of the roles ",
                   absl::StrJoin(accepted, ", "), " in its project"));
}

}  // namespace

std::string KeystoneLoginBody(const KeystoneLogin& login,
                              const Secret& password) {
  json user = json::object();
  user["name"] = login.user_name;
  user["domain"]["name"] = login.user_domain;
  user["password"] = password.Reveal();
  json auth = json::object();
  auth["identity"]["methods"] = json::array({"password"});
  auth["identity"]["password"]["user"] = std::move(user);
  if (login.project_name.empty()) {
    auth["scope"]["system"]["all"] = true;
  } else {
    auth["scope"]["project"]["name"] = login.project_name;
    auth["scope"]["project"]["domain"]["name"] = login.project_domain;
  }
  json body = json::object();
  body["auth"] = std::move(auth);
  // What is not UTF-8 would throw; Keystone knows no such password.
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<absl::Time> KeystoneExpiry(absl::string_view body) {
  ASSIGN_OR_RETURN(const json token, ReadToken(body));
  return ExpiryOf(token);
}

absl::StatusOr<Principal> ReadKeystoneToken(
    absl::string_view body, absl::string_view issuer,
    const std::vector<std::string>& accepted_roles, absl::Time now) {
  ASSIGN_OR_RETURN(const json token, ReadToken(body));
  Principal principal;
  principal.method = "keystone";
  principal.issuer = std::string(issuer);
  ASSIGN_OR_RETURN(principal.expires, ExpiryOf(token));
  if (now >= principal.expires) {
    return absl::UnauthenticatedError(
        "the token has expired, get a new one from Keystone");
  }
  const json* user = Member(token, "user");
  if (user == nullptr) return Senseless("the token has no user");
  ASSIGN_OR_RETURN(principal.name, TextOf(*user, "id", "the user"));
  ASSIGN_OR_RETURN(std::string user_name, TextOf(*user, "name", "the user"));
  ASSIGN_OR_RETURN(std::string user_domain, DomainOf(*user, "the user"));

  const json* project = Member(token, "project");
  if (project == nullptr) {
    return absl::PermissionDeniedError(
        "the token is of no project: get one that is scoped to a project");
  }
  ASSIGN_OR_RETURN(std::string id, TextOf(*project, "id", "the project"));
  ASSIGN_OR_RETURN(std::string name, TextOf(*project, "name", "the project"));
  ASSIGN_OR_RETURN(std::string domain, DomainOf(*project, "the project"));
  ASSIGN_OR_RETURN(std::vector<std::string> roles, RolesOf(token));
  RETURN_IF_ERROR(CheckRoles(roles, accepted_roles));

  principal.attributes.push_back({"project_id", {std::move(id)}});
  principal.attributes.push_back({"project_name", {std::move(name)}});
  principal.attributes.push_back({"project_domain_id", {std::move(domain)}});
  principal.attributes.push_back({"roles", std::move(roles)});
  principal.attributes.push_back({"user_name", {std::move(user_name)}});
  principal.attributes.push_back({"user_domain_id", {std::move(user_domain)}});
  return principal;
}

}  // namespace insula::auth
