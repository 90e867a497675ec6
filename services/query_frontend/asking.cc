#include "services/query_frontend/asking.h"

#include <memory>
#include <optional>
#include <utility>

#include "libs/http/body_source.h"
#include "libs/status/status_macros.h"

namespace insula::query_frontend {

namespace asio = boost::asio;

namespace {

// Keeps the place of an answer whose rest still comes.
class RestWithPlace : public http::BodySource {
 public:
  RestWithPlace(std::shared_ptr<http::BodySource> rest, Admission::Place place)
      : place_(std::move(place)), rest_(std::move(rest)) {}

  asio::awaitable<absl::StatusOr<absl::string_view>> Next() override {
    return rest_->Next();
  }

 private:
  const Admission::Place place_;
  const std::shared_ptr<http::BodySource> rest_;  // Goes before the place.
};

}  // namespace

asio::awaitable<absl::StatusOr<Answer>> Asking::Ask(UpstreamQuery query,
                                                    SharedPolicy policy,
                                                    absl::Time deadline) {
  // Till all of the answer is there.
  std::optional<Admission::Place> place = admission_.TryEnter(
      query.endpoint, policy->tenant_uid, policy->limits.places, query.cost);
  if (!place.has_value()) {
    absl::StatusOr<Admission::Place> had = co_await admission_.Enter(
        query.endpoint, policy->tenant_id, policy->tenant_uid,
        policy->limits.places, query.cost, deadline);
    if (!had.ok()) co_return had.status();
    place.emplace(*std::move(had));
  }
  absl::StatusOr<Answer> answer =
      co_await backend_.Ask(&query, policy.get(), deadline);
  if (answer.ok() && answer->rest != nullptr) {
    answer->rest = std::make_shared<RestWithPlace>(std::move(answer->rest),
                                                   *std::move(place));
  }
  co_return answer;
}

}  // namespace insula::query_frontend
