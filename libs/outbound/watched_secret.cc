#include "libs/outbound/watched_secret.h"

#include <utility>

namespace insula::outbound {

namespace asio = boost::asio;

namespace {

SecretFileOptions LookEachTime() {
  SecretFileOptions options;
  options.reload_interval = absl::ZeroDuration();
  return options;
}

}  // namespace

WatchedSecret::WatchedSecret(std::string path, RunBlocking run_blocking,
                             const Clock* clock)
    : file_(std::move(path), LookEachTime()),
      run_blocking_(std::move(run_blocking)),
      clock_(*clock) {}

asio::awaitable<absl::StatusOr<Secret>> WatchedSecret::Get() {
  const absl::Time now = clock_.Now();
  {
    const sync::MutexLock lock(&mutex_);
    const bool fresh = now - read_at_ < kReloadInterval && now >= read_at_;
    if (fresh && !secret_.empty()) co_return secret_;
    // One reads; the others use what there is.
    read_at_ = now;
  }
  co_return co_await Read(now);
}

asio::awaitable<absl::StatusOr<Secret>> WatchedSecret::GetNow() {
  // All that were refused look, for what another is about to read is not yet
  // there; a file that has not changed costs them a stat.
  return Read(clock_.Now());
}

asio::awaitable<absl::StatusOr<Secret>> WatchedSecret::Read(absl::Time now) {
  absl::StatusOr<Secret> secret = absl::InternalError("not read");
  const std::function<absl::Status()> read = [this, &secret, now] {
    secret = file_.Get(now);
    return absl::OkStatus();
  };
  const absl::Status ran = co_await run_blocking_(read);
  const sync::MutexLock lock(&mutex_);
  if (ran.ok() && secret.ok()) {
    secret_ = *secret;
    // A file that has just been written is looked at again at once.
    if (absl::IsUnavailable(file_.problem())) read_at_ = absl::InfinitePast();
  }
  if (!secret_.empty()) co_return secret_;
  if (!ran.ok()) co_return ran;
  co_return secret.status();
}

}  // namespace insula::outbound
