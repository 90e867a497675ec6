// Stand-ins for those that verifiers ask, for tests.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/auth/verifier.h"

namespace insula::auth {

// Knows the texts in `answers` after a while, and "cached-NAME" at once. For
// one thread at a time.
class FakeVerifier final : public Verifier {
 public:
  explicit FakeVerifier(std::string method, std::string challenge = "Fake")
      : method_(std::move(method)), challenge_(std::move(challenge)) {}

  boost::asio::awaitable<absl::StatusOr<Principal>> Verify(
      Credential credential) override {
    asked.push_back(credential);
    co_await boost::asio::post(boost::asio::use_awaitable);
    const auto it = answers.find(credential.text);
    if (it != answers.end()) co_return it->second;
    co_return absl::UnauthenticatedError("the fake does not know you");
  }
  std::optional<absl::StatusOr<Principal>> Known(
      const Credential& credential) override {
    if (credential.text.rfind("cached-", 0) != 0) return std::nullopt;
    return Named(credential.text.substr(7));
  }
  std::string Challenge() const override { return challenge_; }

  absl::StatusOr<Principal> Named(const std::string& name) const {
    Principal principal;
    principal.method = method_;
    principal.name = name;
    if (method_ == "jwt") {
      principal.issuer = "https://id";
      principal.attributes = {{"sub", {name}}};
    }
    return principal;
  }

  std::map<std::string, absl::StatusOr<Principal>> answers;
  std::vector<Credential> asked;

 private:
  const std::string method_;
  const std::string challenge_;
};

// Answers `answer` to all questions. For one thread at a time.
class FakeReviewer final : public AccessReviewer {
 public:
  boost::asio::awaitable<absl::Status> Review(
      Principal principal, AccessQuestion question) override {
    asked.push_back(absl::StrCat(principal.name, " ", question.verb, " ",
                                 question.namespace_name));
    deadline = question.deadline;
    co_await boost::asio::post(boost::asio::use_awaitable);
    co_return answer;
  }

  std::vector<std::string> asked;
  absl::Time deadline;
  absl::Status answer;
};

}  // namespace insula::auth
