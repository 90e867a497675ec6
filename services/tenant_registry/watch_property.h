// A registry and its followers, taken through steps made up at random: changes,
// streams that break, followers that don't read, compactions, restarts.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "libs/registry_client/followed_copy.h"
#include "libs/registry_client/random_requests.h"
#include "libs/registry_client/registry_history.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {

using registry_client::FollowedCopy;
using registry_client::History;
using registry_client::RandomRequests;

// One step of a run. What it does depends on nothing but this and what was
// before, so that steps can be left out.
struct WatchStep {
  enum Kind { kApply, kBurst, kRead, kBreak, kAge, kRestart };
  Kind kind = kApply;
  uint32_t follower = 0;
  uint32_t seed = 0;
};
using WatchSteps = std::vector<WatchStep>;

inline std::string Show(const WatchSteps& steps) {
  static constexpr const char* kNames[] = {"apply", "burst", "read",
                                           "break", "age",   "restart"};
  std::string text;
  for (const WatchStep& step : steps) {
    absl::StrAppend(&text, kNames[step.kind], "(", step.follower, ",",
                    step.seed, ") ");
  }
  return text;
}

inline WatchSteps MakeSteps(uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  WatchSteps steps;
  for (int i = 0; i < count; ++i) {
    const uint64_t choice = random() % 100;
    WatchStep step;
    step.kind = choice < 50   ? WatchStep::kApply
                : choice < 54 ? WatchStep::kBurst
                : choice < 84 ? WatchStep::kRead
                : choice < 94 ? WatchStep::kBreak
                : choice < 97 ? WatchStep::kAge
                              : WatchStep::kRestart;
    step.follower = static_cast<uint32_t>(random() % 60);
    step.seed = static_cast<uint32_t>(random());
    steps.push_back(step);
  }
  return steps;
}

// Changes the store under the registry.
using StoreWrapper =
    std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)>;

// One run over a store of its own.
class WatchRun final : public RegistryTest {
 public:
  explicit WatchRun(StoreWrapper wrap) : wrap_(std::move(wrap)) {
    options_.keep_changes = 40;
    options_.watch_queue = 8;
    watch_options_.progress_interval = absl::Milliseconds(20);
    watch_options_.max_message_bytes = 64 << 10;
    for (size_t i = 0; i < kFollowers; ++i) {
      std::set<v1::Kind> kinds;
      if (i % 3 == 1) kinds = {v1::KIND_TENANT};
      if (i % 3 == 2) kinds = {v1::KIND_BINDING, v1::KIND_LIMITS};
      followers_[i].copy =
          std::make_unique<FollowedCopy>(absl::StrCat("follower/", i), kinds);
    }
  }
  ~WatchRun() override {
    for (Follower& follower : followers_) Break(&follower);
  }

  // Not OK: a follower was told something else than what has happened.
  absl::Status Run(const WatchSteps& steps) {
    Start();
    for (const WatchStep& step : steps) {
      const absl::Status status = Do(step);
      if (!status.ok()) return status;
    }
    return Finish();
  }

  struct Counts {
    int64_t revisions = 0, resets = 0, changes = 0, cut_off = 0, restarts = 0;
  };
  Counts counts() const {
    Counts counts = counts_;
    counts.revisions = history_.revision();
    for (const Follower& follower : followers_) {
      counts.resets += follower.copy->resets();
      counts.changes += follower.copy->changes();
    }
    return counts;
  }

 private:
  static constexpr size_t kFollowers = 6;
  using Stream = grpc::ClientReaderWriter<v1::WatchRequest, v1::WatchResponse>;

  struct Follower {
    std::unique_ptr<FollowedCopy> copy;
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<Stream> stream;  // Null: not connected.
  };

  void TestBody() override {}
  absl::StatusOr<std::unique_ptr<Store>> OpenStore() override {
    absl::StatusOr<std::unique_ptr<Store>> store = RegistryTest::OpenStore();
    return store.ok() ? wrap_(*std::move(store)) : std::move(store);
  }

  absl::Status Do(const WatchStep& step) {
    Follower* const follower = &followers_[step.follower % kFollowers];
    switch (step.kind) {
      case WatchStep::kApply:
        return ApplySome(step.seed, 1, false);
      case WatchStep::kBurst:
        return ApplySome(step.seed, 25, true);
      case WatchStep::kRead: {
        const int64_t missing = revision_ - follower->copy->revision();
        return ReadTo(follower,
                      follower->copy->revision() +
                          (missing > 0 ? step.seed % missing + 1 : 0));
      }
      case WatchStep::kBreak:
        Break(follower);
        return absl::OkStatus();
      case WatchStep::kAge:
        clock_.Advance(options_.keep_changes_for / 2);
        asio::co_spawn(pool_, registry_->Maintain(), asio::use_future).get();
        return absl::OkStatus();
      case WatchStep::kRestart:
        ++counts_.restarts;
        Stop();
        Start();
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // Large ones fill the transport of a follower that does not read.
  static void Enlarge(v1::ApplyRequest* request) {
    for (v1::Operation& operation : *request->mutable_operations()) {
      if (!operation.put().has_tenant()) continue;
      auto& labels =
          *operation.mutable_put()->mutable_tenant()->mutable_enforced_labels();
      for (int i = 0; i < 20; ++i) {
        labels[absl::StrCat("filler_", i)] = std::string(1500, 'x');
      }
    }
  }

  absl::Status ApplySome(uint64_t seed, int count, bool large) {
    // A number of its own for each step makes what it writes unlike all else.
    RandomRequests requests(seed, ++writer_);
    for (int i = 0; i < count; ++i) {
      v1::ApplyRequest request = requests.Next();
      if (large) Enlarge(&request);
      grpc::ClientContext context;
      v1::ApplyResponse response;
      const grpc::Status status = stub_->Apply(&context, request, &response);
      if (!status.ok()) continue;
      requests.Learn(response.revision(), request);
      revision_ = std::max(revision_, response.revision());
      const absl::Status recorded =
          history_.Record(response.revision(), request);
      if (!recorded.ok()) return recorded;
    }
    return absl::OkStatus();
  }

  void Connect(Follower* follower) {
    follower->context = std::make_unique<grpc::ClientContext>();
    follower->context->set_deadline(std::chrono::system_clock::now() +
                                    std::chrono::seconds(60));
    follower->stream = stub_->Watch(follower->context.get());
    v1::WatchRequest request;
    *request.mutable_subscribe() = follower->copy->BeginStream();
    follower->stream->Write(request);
  }

  void Break(Follower* follower) {
    if (follower->stream == nullptr) return;
    follower->context->TryCancel();
    follower->stream->Finish().error_code();
    follower->stream = nullptr;
  }

  // Follows until the copy is of a revision, over as many streams as it takes.
  absl::Status ReadTo(Follower* follower, int64_t target) {
    int streams = 0;
    while (follower->copy->revision() < target) {
      if (follower->stream == nullptr) {
        if (++streams > 50) {
          return absl::DataLossError("a follower never gets up to date");
        }
        Connect(follower);
      }
      v1::WatchResponse message;
      if (follower->stream->Read(&message)) {
        follower->copy->Take(message);
        continue;
      }
      const grpc::Status status = follower->stream->Finish();
      follower->stream = nullptr;
      switch (status.error_code()) {
        case grpc::StatusCode::RESOURCE_EXHAUSTED:  // It was too slow.
        case grpc::StatusCode::OUT_OF_RANGE:  // What it missed is compacted.
          ++counts_.cut_off;
          break;
        case grpc::StatusCode::UNAVAILABLE:  // It was restarted.
          break;
        default:
          return rpc::FromGrpc(status);
      }
    }
    if (follower->stream != nullptr) {
      v1::WatchRequest ack;
      ack.mutable_ack()->set_revision(follower->copy->revision());
      follower->stream->Write(ack);
    }
    return absl::OkStatus();
  }

  // All get to the end, and one more comes that has seen nothing.
  absl::Status Finish() {
    absl::Status status = history_.Replay(registry_->revision());
    Follower late;
    late.copy = std::make_unique<FollowedCopy>("late", std::set<v1::Kind>());
    if (status.ok()) status = ReadTo(&late, revision_);
    if (status.ok()) status = late.copy->Check(history_);
    Break(&late);
    for (Follower& follower : followers_) {
      if (status.ok()) status = ReadTo(&follower, revision_);
      if (status.ok()) status = follower.copy->Check(history_);
    }
    return status;
  }

  const StoreWrapper wrap_;
  std::array<Follower, kFollowers> followers_;
  History history_;
  int64_t revision_ = 0;
  int writer_ = 0;
  Counts counts_;
};

inline absl::Status RunSteps(const WatchSteps& steps,
                             const StoreWrapper& wrap) {
  WatchRun run(wrap);
  return run.Run(steps);
}

// As few of `steps`, which fail, as can be found by leaving out ever smaller
// parts of them.
inline WatchSteps Shrink(WatchSteps steps, const StoreWrapper& wrap) {
  for (size_t part = steps.size() / 2; part > 0; part /= 2) {
    for (size_t at = 0; at < steps.size();) {
      WatchSteps fewer(steps.begin(), steps.begin() + at);
      fewer.insert(fewer.end(),
                   steps.begin() + std::min(at + part, steps.size()),
                   steps.end());
      if (RunSteps(fewer, wrap).ok()) {
        at += part;
      } else {
        steps = std::move(fewer);
      }
    }
  }
  return steps;
}

}  // namespace insula::tenant_registry
