// Answers that are passed on while they come.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/http/body_source.h"
#include "services/query_frontend/result_filter.h"

namespace insula::query_frontend {

// The rest of an answer whose beginning has gone through `filter`. Holds no
// more than a piece of it.
class ResultStream : public http::BodySource {
 public:
  struct Observer {
    // Called at most once, when the answer can't become whole: with the errors
    // of the upstream's body and of ResultFilter. Not if the client has left.
    std::function<void(const absl::Status& why)> failed;
    // Called with texts of the upstream that were left out.
    std::function<void(absl::string_view text)> withheld;
  };

  ResultStream(std::shared_ptr<http::BodySource> upstream, ResultFilter filter,
               Observer observer);

  boost::asio::awaitable<absl::StatusOr<absl::string_view>> Next() override;

 private:
  absl::Status Failed(absl::Status why);

  const std::shared_ptr<http::BodySource> upstream_;
  ResultFilter filter_;
  const Observer observer_;
  std::string end_;
  bool ended_ = false;
};

}  // namespace insula::query_frontend
