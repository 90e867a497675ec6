// Speaks to the API server of a Kubernetes cluster.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/http/proxy.h"
#include "libs/http/url.h"
#include "libs/kube/cluster.h"
#include "libs/kube/credentials.h"
#include "libs/kube/json.h"
#include "libs/kube/resource.h"
#include "libs/kube/watch.h"
#include "libs/metrics/metrics.h"

namespace insula::kube {

struct ClientOptions {
  // How often tokens and certificates are read again. Those of pods are
  // replaced well before they end.
  absl::Duration reload_interval = absl::Minutes(1);
  size_t max_answer_bytes = 16 << 20;
  size_t max_event_bytes = 8 << 20;
  // Reads files and parses long answers. Null: where the caller runs.
  RunBlocking run_blocking;
  http::ProxyRules proxy;
};

// A request beyond those that have a method of their own.
struct ApiRequest {
  std::string method = "GET";
  std::string path;  // Of Resource, or "/version".
  http::Params query;
  std::string body;
  std::string content_type = "application/json";
};

// A part of a list.
struct ListPage {
  std::vector<Json> items;  // With apiVersion and kind.
  std::string resource_version;
  std::string continue_token;  // For the next page; empty: this is the last.
  size_t bytes = 0;            // Of the answer.
};

// Which objects a list or a watch is about.
struct Selection {
  Resource resource;
  std::string namespace_name;  // Empty: all.
  std::string label_selector;  // Empty: all.
};

// Thread-safe; outlives the calls. Errors are those of ErrorOf() and of
// http::Client. A token that is refused is read again at once, and a new one
// tried.
//
// Metrics: those of the http::Client "kubernetes", and of Credentials.
class Client {
 public:
  // `metrics` outlives it.
  Client(Cluster cluster, ClientOptions options,
         boost::asio::any_io_executor executor, metrics::Registry* metrics);

  const Cluster& cluster() const { return cluster_; }

  // The answer to `request`.
  boost::asio::awaitable<absl::StatusOr<Json>> Call(ApiRequest request,
                                                    absl::Time deadline);

  // A page of at most `limit` objects. OUT_OF_RANGE if `continue_token` has
  // expired; RESOURCE_EXHAUSTED without an HTTP status if the answer is too
  // large; UNAVAILABLE if it is no list.
  boost::asio::awaitable<absl::StatusOr<ListPage>> List(
      Selection selection, int limit, std::string continue_token,
      absl::Time deadline);

  // Opens a stream of the changes after `resource_version`, with bookmarks,
  // which the server ends after `duration`. To be called on a strand.
  // `deadline` is for the head of the answer.
  boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> OpenWatch(
      Selection selection, std::string resource_version,
      absl::Duration duration, absl::Time deadline);

  // Makes `status` what `field_manager` says about `object`, by server-side
  // apply: fields of others stay, fields it no longer names go. Taken only if
  // `object` is still as given: ABORTED if it has changed, or another has its
  // name now (the API checks no uid here), NOT_FOUND if it is gone. What to say
  // of its newer state is known when that has been looked at. Returns the
  // object as it is then.
  boost::asio::awaitable<absl::StatusOr<Json>> ApplyStatus(
      Resource resource, Json object, Json status, std::string field_manager,
      absl::Time deadline);

 private:
  boost::asio::awaitable<absl::StatusOr<http::Response>> Send(
      ApiRequest request, absl::Time deadline);
  http::ClientRequest ToHttp(const ApiRequest& request,
                             const std::string& token) const;
  boost::asio::awaitable<absl::StatusOr<Json>> Parse(std::string text);

  const Cluster cluster_;
  const ClientOptions options_;
  Credentials credentials_;
};

}  // namespace insula::kube
