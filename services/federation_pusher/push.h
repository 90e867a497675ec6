// Sends batches to the ingest-gateway.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/url.h"
#include "libs/time/backoff.h"
#include "libs/time/clock.h"
#include "services/federation_pusher/config.h"
#include "services/federation_pusher/convert.h"
#include "services/federation_pusher/metrics.h"
#include "services/federation_pusher/push_answer.h"

namespace insula::federation_pusher {

http::ClientOptions GatewayClientOptions(const Config& config);

// Thread-safe.
class Pusher {
 public:
  struct Options {
    http::Url url;  // Takes remote write 1.0.
    std::string user_agent;
    absl::Duration try_timeout = absl::Seconds(10);
    Backoff::Options backoff = {absl::Milliseconds(100), absl::Seconds(5)};
  };

  // Returns the token to show, empty for none; or a Failure() of run.h.
  using TokenSource =
      std::function<boost::asio::awaitable<absl::StatusOr<std::string>>()>;

  // All outlive this.
  Pusher(Options options, TokenSource token, http::Client* client,
         const Clock* clock, Metrics* metrics);

  // Sends `batches` in their order, one after the other, as `tenant`. One that
  // the ingest-gateway refuses is given up and the next one sent, unless the
  // answer speaks against all. One that it can't take now is sent again, byte
  // for byte, after what Retry-After says or longer and longer waits, until
  // `deadline`; the run ends there.
  //
  // `*delivered` counts the samples accepted while this goes on, so that it is
  // right however it ends. OK if all were accepted; else a Failure() of run.h:
  // kPartlyRefused, kGatewayRefused, kGatewayUnavailable, kGatewayToken. The
  // caller runs on a strand; `batches` and `delivered` outlive the call.
  boost::asio::awaitable<absl::Status> Push(std::string tenant,
                                            const std::vector<Batch>* batches,
                                            absl::Time deadline,
                                            int64_t* delivered) const;

 private:
  // Tries till there is a verdict other than kLater or `deadline` is too near.
  boost::asio::awaitable<absl::StatusOr<PushVerdict>> PushOne(
      std::string tenant, const Batch* batch, absl::Time deadline) const;
  boost::asio::awaitable<absl::StatusOr<PushVerdict>> Try(
      std::string tenant, const Batch* batch, int attempt,
      absl::Time deadline) const;

  const Options options_;
  const TokenSource token_;
  http::Client* const client_;
  const Clock* const clock_;
  Metrics* const metrics_;
};

}  // namespace insula::federation_pusher
