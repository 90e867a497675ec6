// Keystone's Identity API v3, as far as tokens go: POST, GET and DELETE of
// /v3/auth/tokens, with the answers of the real one. For tests.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/sync/mutex.h"

namespace insula::auth {

// Thread-safe.
class FakeKeystone {
 public:
  struct Token {
    std::string user = "alice";
    std::string project = "red";  // Empty: of no project.
    bool of_domain = false;       // Scoped to a domain instead.
    std::vector<std::string> roles = {"member", "reader"};
    absl::Time expires = absl::InfiniteFuture();  // An hour, if infinite.
    bool has_access_rules = false;  // Of an application credential.
  };
  struct Counts {
    int logins = 0;
    int validations = 0;
  };

  // The user "insula" of domain Default may validate tokens, in project
  // "service" or of the system, with password "s3cret".
  FakeKeystone(boost::asio::any_io_executor executor,
               metrics::Registry* metrics);
  ~FakeKeystone();

  std::string url() const;

  std::string Issue(const Token& token) ABSL_LOCKS_EXCLUDED(mutex_);
  void Revoke(const std::string& token) ABSL_LOCKS_EXCLUDED(mutex_);
  // All tokens that the user insula has logged in for.
  void RevokeOwn() ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPassword(std::string password) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes the role off the user insula: 403.
  void SetMayValidate(bool may) ABSL_LOCKS_EXCLUDED(mutex_);
  // How long the tokens live that it gives out at a login.
  void SetOwnLifetime(absl::Duration lifetime) ABSL_LOCKS_EXCLUDED(mutex_);
  // What validations are answered with instead; unset: as they are.
  void Answer(std::optional<http::Response> answer) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends its listener: nobody can connect any more.
  void Stop();

  Counts counts() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The body of the last login, and the headers of the last validation.
  std::string last_login() const ABSL_LOCKS_EXCLUDED(mutex_);
  http::Headers last_validation() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Issued {
    Token token;
    bool own = false;
    absl::Time issued_at;
  };

  boost::asio::awaitable<http::Response> Serve(http::Request request);
  http::Response LogIn(const http::Request& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  http::Response Validate(const http::Request& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Keep(Issued issued) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable sync::Mutex mutex_;
  std::map<std::string, Issued> tokens_ ABSL_GUARDED_BY(mutex_);
  std::string password_ ABSL_GUARDED_BY(mutex_) = "s3cret";
  bool may_validate_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Duration own_lifetime_ ABSL_GUARDED_BY(mutex_) = absl::Hours(1);
  std::optional<http::Response> answer_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  int next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string last_login_ ABSL_GUARDED_BY(mutex_);
  http::Headers last_validation_ ABSL_GUARDED_BY(mutex_);

  std::string url_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace insula::auth
