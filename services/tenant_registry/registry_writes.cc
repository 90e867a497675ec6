// The writer: Applies wait in a queue, and all that wait are stored together.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/rpc/operation.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/audit_lines.h"
#include "services/tenant_registry/digest.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

// Bounds on what is stored at once: the last one of a group waits for it all.
constexpr size_t kMaxGroup = 512;
constexpr size_t kMaxGroupBytes = 8 << 20;

// Two requests of one id must agree in this.
std::string RequestDigest(const ApplyCommand& command) {
  v1::ApplyRequest content = command.request;
  content.clear_request_id();
  return Sha256(absl::StrCat(command.source, "\n", CanonicalBytes(content)));
}

}  // namespace

// An Apply that waits for the writer. Shared with its caller, who may be gone
// before it is done.
struct Registry::Pending {
  explicit Pending(ApplyCommand from_caller)
      : command(std::move(from_caller)),
        bytes(command.request.ByteSizeLong()) {}

  const ApplyCommand command;
  const size_t bytes;
  absl::StatusOr<int64_t> result = absl::InternalError("not written yet");
  rpc::Operation done;
};

// What the writer stores at once.
struct Registry::Group {
  std::vector<std::shared_ptr<Pending>> applies;
  absl::Time now;

  // Those of `applies` that leave something behind.
  std::vector<Store::Entry> entries;
  absl::flat_hash_map<std::string, Store::Answer> answers;  // By request id.
};

absl::Status Registry::CheckFit(const v1::ApplyRequest& request) {
  const absl::Status status = CheckRequest(request);
  if (!status.ok()) metrics().Applies(status.code()).Increment();
  return status;
}

asio::awaitable<absl::StatusOr<int64_t>> Registry::Apply(ApplyCommand command) {
  const absl::Time begin = environment_.clock->Now();
  auto pending = std::make_shared<Pending>(std::move(command));
  pending->done.Begin();
  bool start = false;
  bool full = false;
  {
    sync::MutexLock lock(&queue_mutex_);
    full = queue_.size() >= static_cast<size_t>(options_.apply_queue) ||
           (!queue_.empty() &&
            queue_bytes_ + pending->bytes > options_.apply_queue_bytes);
    if (!full) {
      queue_bytes_ += pending->bytes;
      queue_.push_back(pending);
      start = !std::exchange(writing_, true);
    }
  }
  if (full) {
    metrics().Applies(absl::StatusCode::kResourceExhausted).Increment();
    co_return absl::ResourceExhaustedError(
        "too many changes wait to be written; try again later");
  }
  if (start) {
    // Detached: a change once begun is finished, whoever asked for it.
    auto loop = [](std::shared_ptr<Registry> self) -> asio::awaitable<void> {
      co_await self->WriteLoop();
    };
    asio::co_spawn(environment_.executor, loop(shared_from_this()),
                   asio::detached);
  }
  const bool done = co_await pending->done.Wait();
  if (!done) co_return absl::CancelledError("the caller gave up waiting");
  metrics().Applies(pending->result.status().code()).Increment();
  metrics().apply_seconds.Observe(
      absl::ToDoubleSeconds(environment_.clock->Now() - begin));
  co_return pending->result;
}

std::vector<std::shared_ptr<Registry::Pending>> Registry::NextGroup() {
  std::vector<std::shared_ptr<Pending>> group;
  sync::MutexLock lock(&queue_mutex_);
  size_t bytes = 0;
  while (!queue_.empty() && group.size() < kMaxGroup) {
    bytes += queue_.front()->bytes;
    if (!group.empty() && bytes > kMaxGroupBytes) break;
    queue_bytes_ -= queue_.front()->bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  if (group.empty()) {
    writing_ = false;
    idle_.notify_all();
  }
  return group;
}

asio::awaitable<void> Registry::WriteLoop() {
  while (true) {
    const auto group = std::make_shared<Group>();
    group->applies = NextGroup();
    if (group->applies.empty()) co_return;
    auto write = [this, group] {
      WriteGroup(group.get());
      return absl::OkStatus();
    };
    const absl::Status ran = co_await environment_.blocking->Run(write);
    for (const std::shared_ptr<Pending>& pending : group->applies) {
      // Otherwise the pool did not take the work.
      if (!ran.ok()) pending->result = ran;
      pending->done.Complete(true);
    }
  }
}

void Registry::WriteGroup(Group* group) {
  group->now = environment_.clock->Now();
  Draft draft = NewDraft();
  for (const std::shared_ptr<Pending>& pending : group->applies) {
    pending->result = PlanOne(pending->command, &draft, group);
  }
  if (group->entries.empty()) return;
  const absl::Time begin = environment_.clock->Now();
  const absl::Status stored = Annotate(
      store_->Commit(group->entries, group->now), "nothing was changed");
  metrics().commit_seconds.Observe(
      absl::ToDoubleSeconds(environment_.clock->Now() - begin));
  metrics().commit_applies.Observe(static_cast<double>(group->entries.size()));
  if (!stored.ok()) {
    metrics().commit_failures.Increment();
    logging::Error("changes can't be stored",
                   {{"applies", group->applies.size()}, {"err", stored}});
    // Also those that were refused: it was because of what is void now, maybe.
    for (const std::shared_ptr<Pending>& pending : group->applies) {
      pending->result = stored;
    }
    return;
  }
  Publish(group->entries, group->now);
  WriteAuditLines(group->entries, environment_.audit);
  CompactIfDue();
}

Draft Registry::NewDraft() const {
  sync::MutexLock lock(&mutex_);
  return Draft(&state_);
}

absl::StatusOr<int64_t> Registry::PlanOne(const ApplyCommand& command,
                                          Draft* draft, Group* group) {
  const v1::ApplyRequest& request = command.request;
  Store::Entry entry;
  if (!request.request_id().empty() && !request.validate_only()) {
    entry.request.id = request.request_id();
    entry.request.digest = RequestDigest(command);
    ASSIGN_OR_RETURN(const std::optional<int64_t> earlier,
                     FindAnswer(entry.request, *group));
    if (earlier.has_value()) return *earlier;
  }
  Plan plan;
  {
    // The draft reads the state.
    sync::MutexLock lock(&mutex_);
    const PlanOptions options{
        group->now, options_.deletion_grace,
        options_.retire_identities_for > absl::ZeroDuration()};
    ASSIGN_OR_RETURN(plan, PlanApply(*draft, command, options));
  }
  const int64_t revision = plan.change.revision;
  if (request.validate_only()) return draft->revision();
  if (plan.change.items.empty() && entry.request.id.empty()) return revision;
  draft->Add(plan.change);
  if (!entry.request.id.empty()) {
    group->answers[entry.request.id] = {revision, entry.request.digest};
  }
  entry.change = std::make_shared<const Change>(std::move(plan.change));
  entry.audit = std::move(plan.audit);
  group->entries.push_back(std::move(entry));
  return revision;
}

absl::StatusOr<std::optional<int64_t>> Registry::FindAnswer(
    const Store::Request& request, const Group& group) {
  std::optional<Store::Answer> answer;
  if (const auto it = group.answers.find(request.id);
      it != group.answers.end()) {
    answer = it->second;
  } else {
    ASSIGN_OR_RETURN(answer, store_->FindRequest(request.id, group.now));
  }
  if (!answer.has_value()) return std::nullopt;
  // Earlier versions kept no digest.
  if (!answer->digest.empty() && answer->digest != request.digest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "request_id: was that of another request, answered with revision ",
        answer->revision, "; choose a new one for each request"));
  }
  return answer->revision;
}

void Registry::Publish(const std::vector<Store::Entry>& entries,
                       absl::Time now) {
  std::optional<absl::Duration> release;
  {
    sync::MutexLock lock(&mutex_);
    view_.reset();
    std::vector<Published> changes;
    for (const Store::Entry& entry : entries) {
      if (entry.change->items.empty()) continue;
      state_.Commit(*entry.change);
      changes.push_back(
          {entry.change,
           std::make_shared<const tenancy::SetDigest>(state_.digest()), now});
      std::erase_if(listeners_, [&entry](const Listener& listener) {
        return !listener(*entry.change);
      });
    }
    // Under the mutex, so that who subscribes sees a change either in the state
    // or in its queue.
    release = hub_.Publish(std::move(changes), environment_.steady->Now());
    metrics().revision.Set(static_cast<double>(state_.revision()));
    metrics().retired_identities.Set(
        static_cast<double>(state_.retired().size()));
    for (const auto& [kind, gauge] : metrics().objects) {
      gauge->Set(static_cast<double>(state_.OfKind(kind).size()));
    }
  }
  if (!release.has_value()) return;
  auto timer = std::make_shared<asio::steady_timer>(
      environment_.executor, absl::ToChronoNanoseconds(*release));
  timer->async_wait(
      [self = shared_from_this(), timer](const boost::system::error_code&) {
        self->hub_.Release(self->environment_.steady->Now());
      });
}

// Rarely, since dropping costs as much as it drops: a tenth more is kept.
void Registry::CompactIfDue() {
  int64_t target = 0;
  {
    sync::MutexLock lock(&mutex_);
    const int64_t kept = state_.revision() - compacted_revision_;
    if (kept <= options_.keep_changes + options_.keep_changes / 10) return;
    target = state_.revision() - options_.keep_changes;
  }
  Compact(target);
}

void Registry::Finish() {
  std::unique_lock<sync::Mutex> lock(queue_mutex_);
  idle_.wait(lock,
             [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !writing_; });
}

}  // namespace insula::tenant_registry
