#include "services/query_frontend/result_stream.h"

#include <utility>

namespace insula::query_frontend {

namespace asio = boost::asio;

ResultStream::ResultStream(std::shared_ptr<http::BodySource> upstream,
                           ResultFilter filter, Observer observer)
    : upstream_(std::move(upstream)),
      filter_(std::move(filter)),
      observer_(std::move(observer)) {}

asio::awaitable<absl::StatusOr<absl::string_view>> ResultStream::Next() {
  while (!ended_) {
    const absl::StatusOr<absl::string_view> piece = co_await upstream_->Next();
    if (!piece.ok()) co_return Failed(piece.status());
    if (piece->empty()) {
      absl::StatusOr<ResultFilter::Ending> ending = filter_.Finish();
      if (!ending.ok()) co_return Failed(ending.status());
      if (!ending->withheld.empty()) observer_.withheld(ending->withheld);
      end_ = std::move(ending->text);
      ended_ = true;
      co_return end_;
    }
    const absl::StatusOr<absl::string_view> passed = filter_.Pass(*piece);
    if (!passed.ok()) co_return Failed(passed.status());
    if (!passed->empty()) co_return *passed;
  }
  co_return absl::string_view();
}

absl::Status ResultStream::Failed(absl::Status why) {
  if (!absl::IsCancelled(why)) observer_.failed(why);
  return why;
}

}  // namespace insula::query_frontend
