// Keeps a copy of the objects of one kind, and tells what changes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/kube/client.h"
#include "libs/kube/object_cache.h"
#include "libs/metrics/metrics.h"
#include "libs/time/backoff.h"

namespace insula::kube {

struct InformerOptions {
  Selection selection;
  ObjectCache::Limits limits;
  int page_size = 500;  // Objects of one answer; fewer if that is too large.
  // How long one watch lasts. HTTP/1.1 has no sign of life: that a connection
  // is stalled shows when the server does not end the watch in time. So a stall
  // is found after `watch_duration` and `stall_timeout`, 30 s, at the latest.
  absl::Duration watch_duration = absl::Seconds(25);
  absl::Duration stall_timeout = absl::Seconds(5);
  absl::Duration answer_timeout = absl::Seconds(30);  // Of a page of a list.
  absl::Duration list_timeout = absl::Minutes(5);     // Of all pages.
  Backoff::Options backoff = {absl::Milliseconds(800), absl::Seconds(30)};
};

// Lists the objects, then watches them for ever. What can't be listed or
// watched (the server is away, access was withdrawn, the kind is gone, there
// are too many objects) leaves the copy as it was; only a list that came to its
// end, and the watch after it, change the copy. When the server has forgotten
// where the watch was, the objects are listed again and compared, so no change
// is missed, though several of one object may become one.
//
// Thread-safe. Metrics, labelled with resource and namespace:
// insula_kube_informer_objects, insula_kube_informer_synced,
// insula_kube_informer_last_contact_timestamp_seconds,
// insula_kube_informer_changes_total,
// insula_kube_informer_lists_total{result}, by "ok", "error", and
// insula_kube_informer_watches_total{result}, by "ended", "expired", "stalled",
// "error".
class Informer {
 public:
  // Gets the changes that belong together, one call at a time, after the copy
  // has them: first all objects, as additions, once the first list is there (an
  // empty call if there are none), then whatever changes. Runs on the executor;
  // must be quick, and must not destroy the informer.
  using Listener = std::function<void(const std::vector<Change>& changes)>;

  // `client` and `metrics` outlive the informer; the executor runs till then.
  Informer(InformerOptions options, Client* client, Listener listener,
           boost::asio::any_io_executor executor, metrics::Registry* metrics);

  // Ends the watch and waits for a listener that runs. Blocks, so not on the
  // executor.
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  // Whether the first list is there: then the copy is one that was true at some
  // moment.
  bool synced() const;

  // OK while the copy follows the server, else why it does not. A copy that
  // does not is no reason to stop serving.
  absl::Status status() const;

  // When the server last said something.
  absl::Time last_contact() const;

  Object Find(absl::string_view key) const;  // Null: there is none.
  std::vector<Object> All() const;           // By key.

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::kube
