#include "libs/auth/fake_keystone.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::auth {
namespace {

using nlohmann::json;

// As Keystone prints times: six digits, Z.
std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

http::Response JsonAnswer(int status, const json& body) {
  http::Response response;
  response.status = status;
  response.headers.Add("Content-Type", "application/json");
  response.headers.Add("Vary", "X-Auth-Token");
  response.headers.Add("x-openstack-request-id",
                       "req-5b1a3f3e-7a0e-4b53-8f5b-0c4f0c6d3a11");
  response.body = body.dump();
  return response;
}

http::Response ErrorAnswer(int status, absl::string_view title,
                           absl::string_view message) {
  json body = json::object();
  body["error"]["code"] = status;
  body["error"]["message"] = std::string(message);
  body["error"]["title"] = std::string(title);
  http::Response response = JsonAnswer(status, body);
  if (status == 401) {
    response.headers.Add("WWW-Authenticate",
                         "Keystone uri=\"http://127.0.0.1/\"");
  }
  return response;
}

http::Response Unauthorized() {
  return ErrorAnswer(401, "Unauthorized",
                     "The request you have made requires authentication.");
}

json Named(absl::string_view name) {
  json object = json::object();
  object["id"] = absl::StrCat(name, "-id");
  object["name"] = std::string(name);
  return object;
}

json DefaultDomain() {
  json domain = json::object();
  domain["id"] = "default";
  domain["name"] = "Default";
  return domain;
}

// The members that Keystone 2023.1 answers with, ?nocatalog.
json TokenBody(const FakeKeystone::Token& token, absl::Time issued_at,
               absl::Time expires) {
  json body = json::object();
  json& out = body["token"];
  out["methods"] = json::array({"password"});
  out["user"] = Named(token.user);
  out["user"]["domain"] = DefaultDomain();
  out["user"]["password_expires_at"] = nullptr;
  out["audit_ids"] = json::array({"mAjXQhiYRyKwkB4qygdLVg"});
  out["expires_at"] = TimeText(expires);
  out["issued_at"] = TimeText(issued_at);
  if (token.of_domain) {
    out["domain"] = DefaultDomain();
  } else if (!token.project.empty()) {
    out["project"] = Named(token.project);
    out["project"]["domain"] = DefaultDomain();
    out["is_domain"] = false;
  }
  if (token.of_domain || !token.project.empty()) {
    out["roles"] = json::array();
    for (const std::string& role : token.roles) {
      out["roles"].push_back(Named(role));
    }
  }
  return body;
}

// The text at a JSON pointer, "" if it is not there.
std::string TextAt(const json& object, const char* pointer) {
  const json::json_pointer at(pointer);
  if (!object.contains(at) || !object.at(at).is_string()) return "";
  return object.at(at).get<std::string>();
}

absl::Time ExpiryOf(const FakeKeystone::Token& token, absl::Time issued_at) {
  return token.expires == absl::InfiniteFuture() ? issued_at + absl::Hours(1)
                                                 : token.expires;
}

}  // namespace

FakeKeystone::FakeKeystone(boost::asio::any_io_executor executor,
                           metrics::Registry* metrics) {
  http::ServerOptions options;
  options.name = "keystone";
  auto server = http::Server::Start(
      std::move(options), std::move(executor),
      [this](http::Request request) { return Serve(std::move(request)); },
      metrics);
  if (!server.ok()) std::abort();
  server_ = *std::move(server);
  url_ = absl::StrCat("http://127.0.0.1:", server_->port(), "/identity");
}

FakeKeystone::~FakeKeystone() = default;

std::string FakeKeystone::url() const { return url_; }

std::string FakeKeystone::Keep(Issued issued) {
  // As long as Fernet tokens are.
  std::string text = absl::StrCat("gAAAAAB", std::string(170, 'x'), next_++);
  tokens_.emplace(text, std::move(issued));
  return text;
}

std::string FakeKeystone::Issue(const Token& token) {
  const sync::MutexLock lock(&mutex_);
  Issued issued;
  issued.token = token;
  issued.issued_at = absl::Now();
  return Keep(std::move(issued));
}

void FakeKeystone::Revoke(const std::string& token) {
  const sync::MutexLock lock(&mutex_);
  tokens_.erase(token);
}

void FakeKeystone::RevokeOwn() {
  const sync::MutexLock lock(&mutex_);
  std::erase_if(tokens_, [](const auto& entry) { return entry.second.own; });
}

void FakeKeystone::SetPassword(std::string password) {
  const sync::MutexLock lock(&mutex_);
  password_ = std::move(password);
}

void FakeKeystone::SetMayValidate(bool may) {
  const sync::MutexLock lock(&mutex_);
  may_validate_ = may;
}

void FakeKeystone::SetOwnLifetime(absl::Duration lifetime) {
  const sync::MutexLock lock(&mutex_);
  own_lifetime_ = lifetime;
}

void FakeKeystone::Answer(std::optional<http::Response> answer) {
  const sync::MutexLock lock(&mutex_);
  answer_ = std::move(answer);
}

void FakeKeystone::Stop() { server_.reset(); }

FakeKeystone::Counts FakeKeystone::counts() const {
  const sync::MutexLock lock(&mutex_);
  return counts_;
}

std::string FakeKeystone::last_login() const {
  const sync::MutexLock lock(&mutex_);
  return last_login_;
}

http::Headers FakeKeystone::last_validation() const {
  const sync::MutexLock lock(&mutex_);
  return last_validation_;
}

boost::asio::awaitable<http::Response> FakeKeystone::Serve(
    http::Request request) {
  const sync::MutexLock lock(&mutex_);
  if (request.path() != "/identity/v3/auth/tokens") {
    co_return ErrorAnswer(404, "Not Found",
                          "The requested URL was not found on the server.");
  }
  if (request.method == "POST") co_return LogIn(request);
  if (request.method == "GET") co_return Validate(request);
  co_return http::TextResponse(405, "");
}

http::Response FakeKeystone::LogIn(const http::Request& request) {
  ++counts_.logins;
  const absl::string_view text = request.body.view();
  last_login_ = std::string(text);
  const json body = json::parse(last_login_, nullptr, false);
  const std::string user = "/auth/identity/password/user";
  if (!body.is_object() ||
      TextAt(body, "/auth/identity/methods/0") != "password") {
    return ErrorAnswer(400, "Bad Request", "'password' is a required property");
  }
  if (TextAt(body, (user + "/name").c_str()) != "insula" ||
      TextAt(body, (user + "/domain/name").c_str()) != "Default" ||
      TextAt(body, (user + "/password").c_str()) != password_) {
    return Unauthorized();
  }
  Issued issued;
  issued.own = true;
  issued.issued_at = absl::Now();
  issued.token.user = "insula";
  issued.token.project = TextAt(body, "/auth/scope/project/name");
  issued.token.roles = {"service"};
  issued.token.expires = issued.issued_at + own_lifetime_;
  const json answer =
      TokenBody(issued.token, issued.issued_at, issued.token.expires);
  http::Response response = JsonAnswer(201, answer);
  response.headers.Add("X-Subject-Token", Keep(std::move(issued)));
  return response;
}

http::Response FakeKeystone::Validate(const http::Request& request) {
  ++counts_.validations;
  last_validation_ = request.headers;
  if (answer_.has_value()) return *answer_;
  const absl::Time now = absl::Now();
  const auto own = tokens_.find(
      std::string(request.headers.Get("X-Auth-Token").value_or("")));
  if (own == tokens_.end() ||
      now >= ExpiryOf(own->second.token, own->second.issued_at)) {
    return Unauthorized();
  }
  if (!own->second.own || !may_validate_) {
    return ErrorAnswer(403, "Forbidden",
                       "You are not authorized to perform the requested "
                       "action: identity:validate_token.");
  }
  const std::string subject(
      request.headers.Get("X-Subject-Token").value_or(""));
  const auto found = tokens_.find(subject);
  const absl::Time expires =
      found == tokens_.end()
          ? now
          : ExpiryOf(found->second.token, found->second.issued_at);
  // Who does not say that it obeys access rules is not told of such tokens.
  const bool hidden =
      found != tokens_.end() && found->second.token.has_access_rules &&
      !request.headers.Get("OpenStack-Identity-Access-Rules").has_value();
  if (now >= expires || hidden) {
    return ErrorAnswer(404, "Not Found", "Could not find token.");
  }
  http::Response response = JsonAnswer(
      200, TokenBody(found->second.token, found->second.issued_at, expires));
  response.headers.Add("X-Subject-Token", subject);
  return response;
}

}  // namespace insula::auth
