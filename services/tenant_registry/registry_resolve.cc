// Resolve, and what else looks up bindings.
#include <memory>
#include <utility>
#include <vector>

#include "libs/status/status_macros.h"
#include "libs/tenancy/resolve.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/resolve.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

// Collected under the mutex: some milliseconds.
constexpr size_t kMaxObjects = 10'000;
// How long a thread of the pool is given for one answer, but for its first
// tenant.
constexpr absl::Duration kMostTime = absl::Milliseconds(500);

}  // namespace

std::vector<ObjectPtr> Registry::HoldersOf(
    const std::vector<tenancy::FactKey>& facts) const {
  std::vector<ObjectPtr> holders;
  sync::MutexLock lock(&mutex_);
  for (const tenancy::FactKey& fact : facts) {
    const v1::Object* const holder = state_.index().FactHolder(fact);
    if (holder != nullptr) holders.push_back(state_.Find(KeyOf(*holder)));
  }
  return holders;
}

asio::awaitable<absl::StatusOr<v1::ResolveResponse>> Registry::Resolve(
    v1::ResolveRequest request) {
  CO_ASSIGN_OR_RETURN(const size_t max_tenants,
                      tenancy::CheckResolveRequest(request));
  const auto found = std::make_shared<ResolveObjects>();
  {
    sync::MutexLock lock(&mutex_);
    *found = CollectForResolve(state_, request, max_tenants, kMaxObjects);
  }
  if (found->tenants > 0) {
    request.set_max_tenants(static_cast<int32_t>(found->tenants));
  }
  tenancy::ResolveOptions options;
  options.now = environment_.clock->Now();
  const Clock* const steady = environment_.steady;
  options.go_on = [steady, until = steady->Now() + kMostTime] {
    return steady->Now() < until;
  };
  const auto response = std::make_shared<v1::ResolveResponse>();
  auto resolve = [found, request, options, epoch = epoch_,
                  response]() -> absl::Status {
    tenancy::SnapshotBuilder builder((tenancy::Snapshot()));
    for (const ObjectPtr& object : found->objects) builder.PutChecked(*object);
    const auto snapshot = std::move(builder).Build(found->revision, epoch);
    ASSIGN_OR_RETURN(*response, tenancy::Resolve(*snapshot, request, options));
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await environment_.blocking->Run(resolve));
  co_return std::move(*response);
}

}  // namespace insula::tenant_registry
