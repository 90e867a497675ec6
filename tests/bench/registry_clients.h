// The clients of registry-bench: what its child processes do. The parent never
// touches gRPC, which does not survive a fork.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "tests/bench/shared.h"

namespace insula::bench {

// What a registry is filled with: each tenant has its share of the bindings.
struct RegistrySize {
  int tenants = 0;
  int bindings = 0;
  int objects() const { return 1 + tenants + bindings; }  // And an upstream.
};

// Nanoseconds of a clock that all processes share.
int64_t NowNanos();

// Makes the objects by Applies of 50, many of them on their way.
int LoadRegistry(int port, RegistrySize size);

// Where the registry stands.
struct RegistryHead {
  int64_t revision = 0;
  std::string epoch;
};
RegistryHead ReadHead(int port);

// Changes one tenant at a time, with so many callers, for a while; `done` is
// the number of changes made.
int WriteChanges(int port, int tenants, int callers, absl::Duration time,
                 SharedNumbers::Number* done);

// When each change was asked for, at which revision it was made, and when each
// follower had it.
struct ChangeTimes {
  ChangeTimes(int change_count, int follower_count)
      : changes(change_count),
        followers(follower_count),
        asked(static_cast<size_t>(changes)),
        revision(static_cast<size_t>(changes)),
        had(static_cast<size_t>(followers * (kSpare + changes))),
        base_(1) {}

  // `follower` has all changes after `after` and up to `up_to`.
  void Have(int follower, int64_t after, int64_t up_to, int64_t now) const;
  // When it had that of a revision; 0 if it has not.
  int64_t HadAt(int follower, int64_t at_revision) const;

  static constexpr int kSpare = 100;  // For changes that others make.
  const int changes;
  const int followers;
  // The revision before the first change; set before any is made.
  SharedNumbers::Number& base() const { return base_[0]; }
  SharedNumbers asked;
  SharedNumbers revision;
  SharedNumbers had;

 private:
  const SharedNumbers base_;
};

// Makes `times.changes` changes, `rate` a second.
int PaceChanges(int port, int tenants, int rate, const ChangeTimes& times);

// Opens `count` Watches, followers `first`..., that hold `head` and want to
// know what comes. Each acknowledges what it gets, as real followers do. `open`
// counts those that have heard from the registry. Ends when it is killed.
int WatchChanges(int port, int count, int first, const RegistryHead& head,
                 const ChangeTimes& times, SharedNumbers::Number* open);

// The thread of a real follower that saves its copy.
extern const char* const kSaverThread;

// What a real follower tells.
enum FollowerNumber { kObjects, kRevision, kTakenAt, kFollowerNumbers };

// Follows as a service does, keeping its last good copy in `state_dir`; tells
// `told`, and `times`, if there are any, as follower `number`. Ends when it is
// killed.
int FollowRegistry(int port, const std::string& state_dir, int number,
                   const ChangeTimes* times, const SharedNumbers& told);

}  // namespace insula::bench
