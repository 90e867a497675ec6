// A stream of changes from the Kubernetes API.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/kube/json.h"

namespace insula::kube {

struct WatchEvent {
  // kBookmark: all changes up to `resource_version` have been told. kEnd: the
  // server has ended the watch, as it does after a while.
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kEnd };

  Type type = Type::kEnd;
  Json object;                   // Of the first three.
  std::string resource_version;  // To watch on from; not of kEnd.
  size_t bytes = 0;              // Of the event as text.
};

// Made by Client::OpenWatch. Used on the strand that it was opened on;
// destroying it ends the watch.
class Watch {
 public:
  // `max_event_bytes` bounds the memory that one event may take as text.
  Watch(std::unique_ptr<http::ResponseStream> stream, size_t max_event_bytes);

  // The next change. DEADLINE_EXCEEDED if none comes till `deadline`,
  // UNAVAILABLE if the stream is cut off or makes no sense,
  // RESOURCE_EXHAUSTED for an event that is too large; errors of the API as
  // ErrorOf() makes them, OUT_OF_RANGE above all. After an error, and after
  // kEnd, only the destructor may be called.
  boost::asio::awaitable<absl::StatusOr<WatchEvent>> Next(absl::Time deadline);

 private:
  const std::unique_ptr<http::ResponseStream> stream_;
  const size_t max_event_bytes_;
  std::string pending_;  // Read and not returned yet.
  size_t at_ = 0;        // Where the next event begins.
};

}  // namespace insula::kube
