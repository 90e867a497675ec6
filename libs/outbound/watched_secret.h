// A secret in a file, read where blocking is allowed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/secret/secret.h"
#include "libs/secret/secret_file.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"

namespace insula::outbound {

// Runs `work` where it may block, and resumes the caller's executor. That of
// services is runtime::BlockingPool::Run.
using RunBlocking = std::function<boost::asio::awaitable<absl::Status>(
    std::function<absl::Status()> work)>;

// What SecretFile promises, without blocking the caller's thread. Thread-safe.
class WatchedSecret {
 public:
  // The file is looked at again after so long, and after each refusal.
  static constexpr absl::Duration kReloadInterval = absl::Seconds(10);

  // `clock` outlives this.
  WatchedSecret(std::string path, RunBlocking run_blocking, const Clock* clock);

  // The secret as of the last kReloadInterval, and while it is being read
  // again, the last one. Errors are those of SecretFile, as long as there never
  // was one, or of `run_blocking`.
  boost::asio::awaitable<absl::StatusOr<Secret>> Get();
  // The same, as of now: the one that was had does not work.
  boost::asio::awaitable<absl::StatusOr<Secret>> GetNow();

  const std::string& path() const { return file_.path(); }

 private:
  boost::asio::awaitable<absl::StatusOr<Secret>> Read(absl::Time now);

  SecretFile file_;
  const RunBlocking run_blocking_;
  const Clock& clock_;

  sync::Mutex mutex_;
  Secret secret_ ABSL_GUARDED_BY(mutex_);  // Empty: never read.
  absl::Time read_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace insula::outbound
