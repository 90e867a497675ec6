#include "libs/kube/watch.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/kube/api_error.h"
#include "libs/status/status_macros.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;

absl::Status Malformed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("malformed watch event: ", what));
}

absl::StatusOr<WatchEvent> ParseEvent(absl::string_view line) {
  absl::StatusOr<Json> json = ParseJson(line);
  if (!json.ok()) return Malformed(json.status().message());
  const std::string type = StringAt(*json, {"type"});
  WatchEvent event;
  event.bytes = line.size();
  if (type == "ERROR") return ErrorOf(At(*json, {"object"}), "watch");
  if (type == "ADDED") {
    event.type = WatchEvent::Type::kAdded;
  } else if (type == "MODIFIED") {
    event.type = WatchEvent::Type::kModified;
  } else if (type == "DELETED") {
    event.type = WatchEvent::Type::kDeleted;
  } else if (type == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
  } else {
    return Malformed("its type is unknown");
  }
  event.resource_version =
      StringAt(*json, {"object", "metadata", "resourceVersion"});
  if (event.resource_version.empty()) {
    return Malformed("it has no resourceVersion");
  }
  event.object = std::move((*json)["object"]);
  return event;
}

}  // namespace

Watch::Watch(std::unique_ptr<http::ResponseStream> stream,
             size_t max_event_bytes)
    : stream_(std::move(stream)), max_event_bytes_(max_event_bytes) {}

asio::awaitable<absl::StatusOr<WatchEvent>> Watch::Next(absl::Time deadline) {
  size_t searched = at_;
  while (true) {
    const size_t end = pending_.find('\n', searched);
    if (end != pending_.npos) {
      const absl::string_view line =
          absl::string_view(pending_).substr(at_, end - at_);
      at_ = end + 1;
      searched = at_;
      if (line.empty()) continue;
      co_return ParseEvent(line);
    }
    pending_.erase(0, std::exchange(at_, 0));
    searched = pending_.size();
    if (pending_.size() > max_event_bytes_) {
      co_return absl::ResourceExhaustedError(absl::StrCat(
          "a watch event has more than ", max_event_bytes_, " bytes"));
    }
    CO_ASSIGN_OR_RETURN(const absl::string_view piece,
                        co_await stream_->Read(deadline));
    if (piece.empty()) {
      if (!pending_.empty()) co_return Malformed("it is cut off");
      co_return WatchEvent();
    }
    pending_.append(piece.data(), piece.size());
  }
}

}  // namespace insula::kube
