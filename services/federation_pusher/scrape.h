// Fetches the slice of a source's metrics that a job wants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "services/federation_pusher/config.h"

namespace insula::federation_pusher {

// For the client that a Scraper uses: it holds whole answers, bounded by
// `scrape.max_body`, and keeps away from `scrape.refused_networks`.
http::ClientOptions SourceClientOptions(const ScrapeConfig& config);

// The source's URL with a match[] parameter for each of the job's selectors.
absl::StatusOr<http::Url> ScrapeUrl(const registry::v1::Job& job);

// Whether an answer of a source can be parsed: 200, the text format of version
// 0.0.4, and no content coding left. Otherwise kSourceStatus or
// kSourceContentType of run.h.
absl::Status CheckScrapeAnswer(const http::Response& answer);

// Thread-safe.
class Scraper {
 public:
  // `client`, which knows what addresses a source may have, outlives this.
  Scraper(std::string user_agent, http::Client* client);

  // The whole text, which came complete by HTTP's rules. Otherwise a Failure()
  // of run.h that names what to change. Redirects are not followed. The caller
  // runs on a strand, and `job` outlives the call.
  boost::asio::awaitable<absl::StatusOr<std::string>> Scrape(
      const registry::v1::Job* job, absl::Time deadline) const;

 private:
  const std::string user_agent_;
  http::Client* const client_;
};

}  // namespace insula::federation_pusher
