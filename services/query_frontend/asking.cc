#include "services/query_frontend/asking.h"

#include <utility>

#include "libs/status/status_macros.h"

namespace insula::query_frontend {

namespace asio = boost::asio;

asio::awaitable<absl::StatusOr<Answer>> Asking::Ask(UpstreamQuery query,
                                                    Policy policy,
                                                    absl::Time deadline) {
  // Till the answer is there.
  CO_ASSIGN_OR_RETURN(const Admission::Place place,
                      co_await admission_.Enter(
                          query.endpoint, policy.tenant_id, policy.tenant_uid,
                          policy.limits.places, query.cost, deadline));
  co_return co_await backend_.Ask(std::move(query), std::move(policy),
                                  deadline);
}

}  // namespace insula::query_frontend
