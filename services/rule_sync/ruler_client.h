// The configuration API of a Cortex or Mimir ruler, for one ruler tenant.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/rules/group.h"
#include "services/rule_sync/desired.h"
#include "services/rule_sync/prometheus_client.h"

namespace insula::rule_sync {

// The groups of a ruler tenant, by namespace.
using RulerGroups = std::map<std::string, std::vector<rules::Group>>;

// Reads the answer to the list of all groups. Only what a ruler says is
// believed: a list, or, with 404, that there are no groups. Every other 404, a
// page of HTML, an empty body are failures: taken for "no groups" they would
// have all of them made again.
absl::StatusOr<RulerGroups> ReadList(absl::string_view call,
                                     const http::Response& answer,
                                     absl::Time now, size_t max_bytes,
                                     CallFailure* failure);

// The most groups that a ruler allows a tenant, if it is that which `message`
// complains of. It counts one more than there are, also for one that exists.
std::optional<int64_t> GroupLimitIn(absl::string_view message);

class RulerClient {
 public:
  // `client` outlives it. INVALID_ARGUMENT for a URL that is none.
  static absl::StatusOr<RulerClient> Create(const UnitSpec& spec,
                                            size_t max_list_bytes,
                                            http::Client* client);

  boost::asio::awaitable<absl::StatusOr<RulerGroups>> List(
      CallFailure* failure);

  // Makes or replaces a group. INVALID_ARGUMENT, and Failure::kRefused, if the
  // ruler does not take what is in it.
  boost::asio::awaitable<absl::Status> Put(std::string name_space,
                                           const rules::Group* group,
                                           CallFailure* failure);

  // OK also if there is no such group.
  boost::asio::awaitable<absl::Status> Delete(std::string name_space,
                                              std::string group,
                                              CallFailure* failure);

 private:
  RulerClient(http::Url url, const UnitSpec& spec, size_t max_list_bytes,
              http::Client* client)
      : url_(std::move(url)),
        spec_(spec),
        max_list_bytes_(max_list_bytes),
        client_(client) {}

  http::ClientRequest Request(std::string method, absl::string_view path) const;

  http::Url url_;
  UnitSpec spec_;
  size_t max_list_bytes_;
  http::Client* client_;
};

}  // namespace insula::rule_sync
