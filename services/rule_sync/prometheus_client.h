// Asks a Prometheus to load its rule files, and what it has loaded.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/rules/group.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

// The groups that a Prometheus has, by the last element of the path of their
// file: where that lies may look different from there. Durations that its
// answer does not give are zero.
using LoadedRules = std::map<std::string, std::vector<rules::Group>>;

// Reads the answer of `GET /api/v1/rules`; INVALID_ARGUMENT if it is none.
absl::StatusOr<LoadedRules> ParseLoadedRules(absl::string_view json);

// Whether `loaded` is what became of `wanted` in a Prometheus.
bool IsLoaded(const rules::Group& wanted, const rules::Group& loaded);

// Whether `loaded` is what became of a file of the groups `wanted`, no more and
// no less.
bool AreLoaded(const std::vector<CheckedGroup>& wanted,
               const std::vector<rules::Group>& loaded);

// A failed call, and what kind of failure it is.
struct CallFailure {
  Failure failure = Failure::kNone;
  absl::Duration retry_after;
};

// Names an answer that is not the one hoped for: "POST http://...: 403: text".
absl::Status ExplainAnswer(absl::string_view call, const http::Response& answer,
                           absl::Time now, CallFailure* failure);
// The same if there is none.
absl::Status ExplainSilence(absl::string_view call, const absl::Status& status,
                            CallFailure* failure);

class PrometheusClient {
 public:
  // `client` outlives it. INVALID_ARGUMENT for a URL that is none.
  static absl::StatusOr<PrometheusClient> Create(const std::string& url,
                                                 absl::Duration timeout,
                                                 http::Client* client);

  boost::asio::awaitable<absl::StatusOr<LoadedRules>> ReadRules(
      CallFailure* failure);

  // FAILED_PRECONDITION with its words, and Failure::kRefused, if it does not
  // take the files: it goes on with those before.
  boost::asio::awaitable<absl::Status> Reload(CallFailure* failure);

 private:
  PrometheusClient(http::Url url, absl::Duration timeout, http::Client* client)
      : url_(std::move(url)), timeout_(timeout), client_(client) {}

  http::Url url_;
  absl::Duration timeout_;
  http::Client* client_;
};

}  // namespace insula::rule_sync
