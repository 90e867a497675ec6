// Sends parts to stores, in the remote write protocol that a store takes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/remote_write/splitter.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/metrics.h"

namespace insula::ingest_gateway {

// A store that takes remote write 2.0, by its upstream's write_protocol, gets
// it. It gets 1.0 all the same
//  - for `fallback` after it has answered 415, or 2xx without the headers that
//    say how much was written: some stores read 2.0 as an empty 1.0 request.
//    The part is sent again at once, so that nothing is lost;
//  - if 2.0 has no place for a part of it, as EncodeV2() says.
//
// Thread-safe.
class StoreClient {
 public:
  struct Options {
    std::string user_agent;  // "insula/0.1.0".
    absl::Duration fallback = absl::Minutes(5);
    // URLs that are remembered to take 1.0 only. Above it all are forgotten.
    size_t max_remembered = 10'000;
  };

  struct Answer {
    absl::StatusOr<http::Response> response = absl::UnknownError("");
    // What the store says it has written, if it was 2.0. Histograms are
    // samples, too. Never more than what was sent.
    std::optional<remote_write::Counts> written = {};
  };

  // All outlive this.
  StoreClient(Options options, http::Client* client, const Clock* clock,
              Metrics* metrics);

  // `request` has a URL, a body, which is a remote write 1.0 request of `sent`
  // in a snappy block, and perhaps the header that names the tenant. The
  // headers of the protocol are set here.
  boost::asio::awaitable<Answer> Send(
      http::ClientRequest request,
      registry::v1::Upstream::WriteProtocol protocol, remote_write::Counts sent,
      absl::Time deadline);

 private:
  bool TakesOnly1(const std::string& url) ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteTakesOnly1(const std::string& url) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  http::Client* const client_;
  const Clock* const clock_;
  Metrics* const metrics_;
  sync::Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> only_1_until_
      ABSL_GUARDED_BY(mutex_);
};

// What the X-Prometheus-Remote-Write-*-Written headers of `response` say, each
// at most what was sent; one that is missing says 0. Nullopt if there is none.
std::optional<remote_write::Counts> ParseWritten(
    const http::Response& response, const remote_write::Counts& sent);

}  // namespace insula::ingest_gateway
