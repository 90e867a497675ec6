// Whatever happens on the way, each follower is told exactly what has changed.
//
// WATCH_RUNS=N runs N seeds more, from WATCH_SEED on or from a random one.
#include "services/tenant_registry/watch_property.h"

#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/numbers.h"
#include "services/tenant_registry/forwarding_store.h"

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
class FaultyStore final : public ForwardingStore {
 public:
  enum Fault { kSkipsAChange, kForgetsDeletions, kLosesAnObject };
  FaultyStore(std::unique_ptr<Store> store, Fault fault)
      : ForwardingStore(std::move(store)), fault_(fault) {}

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override {
    int64_t seen = 0;
    return ForwardingStore::Load([&](v1::Object object) {
      if (fault_ == kLosesAnObject && ++seen == 3) return;
      visit(std::move(object));
    });
  }
  absl::StatusOr<std::vector<Change>> ChangesAfter(int64_t revision,
                                                   int limit) override {
    auto changes = ForwardingStore::ChangesAfter(revision, limit);
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

 private:
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
