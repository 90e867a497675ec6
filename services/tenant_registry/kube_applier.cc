#include "services/tenant_registry/kube_applier.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "services/tenant_registry/planner.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr size_t kChunkOperations = 50;
constexpr size_t kChunkBytes = 900 << 10;
// Asked for an interruption only after so many: there must be progress.
constexpr int kLeastChunks = 10;
// Another change of what refers to a tenant may come between.
constexpr int kRemovalAttempts = 5;

// Whether a refusal says something about the objects, and not about the moment.
bool IsAboutObjects(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status) || absl::IsNotFound(status);
}

ObjectKey TargetOf(const v1::Operation& operation) {
  return operation.has_put() ? KeyOf(operation.put())
                             : KeyOf(operation.delete_());
}

}  // namespace

asio::awaitable<KubeRefusals> KubeApplier::Make(
    KubeChanges changes, std::function<bool()> interrupted, bool* complete) {
  refused_.clear();
  complete_ = true;
  for (const auto& [key, source] : changes.owned_elsewhere) {
    refused_[key] = {"OwnedElsewhere",
                     absl::StrCat(Name(key), " is kept by ", source,
                                  ", not by kubernetes; delete it there")};
  }
  auto never = [] { return false; };
  co_await ApplyAll(std::move(changes.revocations), never);
  co_await ApplyAll(std::move(changes.puts), interrupted);
  for (const std::string& tenant : changes.removals) {
    co_await Remove(tenant);
  }
  co_await ApplyAll(std::move(changes.puts_after), interrupted);
  *complete = complete_;
  co_return std::move(refused_);
}

asio::awaitable<void> KubeApplier::ApplyAll(Operations operations,
                                            std::function<bool()> interrupted) {
  Operations chunk;
  size_t bytes = 0;
  int chunks = 0;
  for (v1::Operation& operation : operations) {
    const size_t size = operation.ByteSizeLong() + 16;
    if (chunk.size() == kChunkOperations ||
        (!chunk.empty() && bytes + size > kChunkBytes)) {
      co_await ApplyChunk(std::move(chunk));
      chunk.clear();
      bytes = 0;
      if (++chunks >= kLeastChunks && interrupted()) {
        complete_ = false;
        co_return;
      }
    }
    chunk.push_back(std::move(operation));
    bytes += size;
  }
  if (!chunk.empty()) co_await ApplyChunk(std::move(chunk));
}

// Halves a refused chunk until the bad operations stand alone.
asio::awaitable<void> KubeApplier::ApplyChunk(Operations chunk) {
  ApplyCommand command;
  command.source = kKubernetesSource;
  command.actor = kKubernetesSource;
  for (const v1::Operation& operation : chunk) {
    *command.request.add_operations() = operation;
  }
  const absl::StatusOr<int64_t> applied =
      co_await registry_->Apply(std::move(command));
  if (applied.ok()) {
    logging::Info("Kubernetes objects imported",
                  {{"operations", chunk.size()}, {"revision", *applied}});
    co_return;
  }
  if (!IsAboutObjects(applied.status())) {
    complete_ = false;
    metrics_->apply_failures.Increment();
    logging::Warn("what Kubernetes objects come to can't be stored",
                  {{"operations", chunk.size()}, {"err", applied.status()}});
    co_return;
  }
  if (chunk.size() == 1) {
    refused_[TargetOf(chunk.front())] = {
        "Refused", std::string(applied.status().message())};
    co_return;
  }
  const auto middle = chunk.begin() + static_cast<ptrdiff_t>(chunk.size() / 2);
  Operations rest(std::make_move_iterator(middle),
                  std::make_move_iterator(chunk.end()));
  chunk.erase(middle, chunk.end());
  co_await ApplyChunk(std::move(chunk));
  co_await ApplyChunk(std::move(rest));
}

asio::awaitable<void> KubeApplier::Remove(std::string tenant) {
  absl::Status status;
  for (int attempt = 0; attempt < kRemovalAttempts; ++attempt) {
    status = co_await registry_->RemoveTenant(tenant);
    if (!absl::IsAborted(status)) break;
  }
  if (status.ok()) {
    registry_->metrics().tenants_removed.Increment();
    logging::Info(
        "a tenant was deleted, no Kubernetes object declares it any more",
        {{"tenant", tenant}});
    co_return;
  }
  // It is refused already, and this is tried again.
  complete_ = false;
  registry_->metrics().tenant_removal_failures.Increment();
  logging::Warn("a tenant that Kubernetes no longer declares can't be deleted",
                {{"tenant", tenant}, {"err", status}});
}

}  // namespace insula::tenant_registry
