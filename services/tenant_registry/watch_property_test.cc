// Whatever happens on the way, each follower is told exactly what has changed.
//
// WATCH_RUNS=N runs N seeds more, from WATCH_SEED on or from a random one.
#include "services/tenant_registry/watch_property.h"

#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/numbers.h"

namespace insula::tenant_registry {
namespace {

using ::testing::Gt;

constexpr int kSteps = 150;

std::unique_ptr<Store> AsItIs(std::unique_ptr<Store> store) { return store; }

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

void ExpectToHold(uint64_t seed, WatchRun::Counts* total) {
  const WatchSteps steps = MakeSteps(seed, kSteps);
  WatchRun run(AsItIs);
  const absl::Status status = run.Run(steps);
  const WatchRun::Counts counts = run.counts();
  total->revisions += counts.revisions;
  total->resets += counts.resets;
  total->changes += counts.changes;
  total->cut_off += counts.cut_off;
  total->restarts += counts.restarts;
  if (status.ok()) return;
  ADD_FAILURE() << "WATCH_SEED=" << seed << ": " << status.ToString()
                << "\nof these steps, at most, it takes: "
                << Show(Shrink(steps, AsItIs));
}

void Print(int runs, const WatchRun::Counts& total) {
  std::cout << runs << " runs: " << total.revisions << " revisions, "
            << total.restarts << " restarts, " << total.changes
            << " changes and " << total.resets << " snapshots followed, "
            << total.cut_off << " streams cut off\n";
}

TEST(WatchPropertyTest, FollowersAreToldWhatHasChanged) {
  WatchRun::Counts total;
  constexpr int kRuns = 8;
  for (uint64_t seed = 1; seed <= kRuns; ++seed) ExpectToHold(seed, &total);
  Print(kRuns, total);
  // It was about something.
  EXPECT_THAT(total.revisions, Gt(500));
  EXPECT_THAT(total.changes, Gt(500));
  EXPECT_THAT(total.resets, Gt(6 * kRuns));
  EXPECT_THAT(total.restarts, Gt(5));
}

TEST(WatchPropertyTest, AlsoWithOtherSeeds) {
  const uint64_t runs = FromEnvironment("WATCH_RUNS", 1);
  const uint64_t seed =
      FromEnvironment("WATCH_SEED", std::random_device()() + 1000);
  WatchRun::Counts total;
  for (uint64_t i = 0; i < runs; ++i) ExpectToHold(seed + i, &total);
  std::cout << "seeds from " << seed << ", ";
  Print(static_cast<int>(runs), total);
}

// Does what its store does, with a fault.
class FaultyStore final : public Store {
 public:
  enum Fault { kSkipsAChange, kForgetsDeletions, kLosesAnObject };
  FaultyStore(std::unique_ptr<Store> store, Fault fault)
      : store_(std::move(store)), fault_(fault) {}

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override {
    int64_t seen = 0;
    return store_->Load([&](v1::Object object) {
      if (fault_ == kLosesAnObject && ++seen == 3) return;
      visit(std::move(object));
    });
  }
  absl::Status LoadRetirements(
      const std::function<void(const Retirement&)>& visit) override {
    return store_->LoadRetirements(visit);
  }
  absl::Status ForgetRetirements(absl::Time until) override {
    return store_->ForgetRetirements(until);
  }
  absl::Status Commit(const std::vector<Entry>& group,
                      absl::Time now) override {
    return store_->Commit(group, now);
  }
  absl::StatusOr<std::optional<Answer>> FindRequest(
      absl::string_view request_id, absl::Time now) override {
    return store_->FindRequest(request_id, now);
  }
  absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                   int limit) override {
    auto changes = store_->ChangesAfter(revision, limit);
    if (!changes.ok()) return changes;
    if (fault_ == kSkipsAChange && changes->size() > 2) {
      changes->erase(changes->begin() + 1);
    }
    if (fault_ == kForgetsDeletions) {
      for (Change& change : *changes) {
        std::erase_if(change.items, [](const Change::Item& item) {
          return item.object == nullptr;
        });
      }
    }
    return changes;
  }
  absl::Status Compact(int64_t revision) override {
    return store_->Compact(revision);
  }
  absl::StatusOr<int64_t> RevisionBefore(absl::Time time) override {
    return store_->RevisionBefore(time);
  }
  absl::StatusOr<AuditPage> ReadAudit(const AuditQuery& query) override {
    return store_->ReadAudit(query);
  }
  absl::StatusOr<int> CompactAudit(absl::Time time, int limit) override {
    return store_->CompactAudit(time, limit);
  }
  absl::StatusOr<int64_t> Backup(const std::string& path) override {
    return store_->Backup(path);
  }

 private:
  const std::unique_ptr<Store> store_;
  const Fault fault_;
};

// The seeds that the test above runs find each of these.
void ExpectToBeFound(FaultyStore::Fault fault, size_t most_steps) {
  auto wrap = [fault](std::unique_ptr<Store> store) -> std::unique_ptr<Store> {
    return std::make_unique<FaultyStore>(std::move(store), fault);
  };
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const WatchSteps steps = MakeSteps(seed, kSteps);
    const absl::Status status = RunSteps(steps, wrap);
    if (status.ok()) continue;
    const WatchSteps few = Shrink(steps, wrap);
    std::cout << "found by seed " << seed << ": " << status.message()
              << "\nin the end by: " << Show(few) << "\n";
    EXPECT_LE(few.size(), most_steps);
    return;
  }
  ADD_FAILURE() << "no seed finds it";
}

TEST(WatchPropertyTest, ALogThatSkipsAChangeIsFound) {
  ExpectToBeFound(FaultyStore::kSkipsAChange, 12);
}

TEST(WatchPropertyTest, ALogThatForgetsDeletionsIsFound) {
  ExpectToBeFound(FaultyStore::kForgetsDeletions, 12);
}

TEST(WatchPropertyTest, AStoreThatLosesAnObjectIsFound) {
  ExpectToBeFound(FaultyStore::kLosesAnObject, 12);
}

}  // namespace
}  // namespace insula::tenant_registry
