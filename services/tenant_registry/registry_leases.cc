// What happens with time: leases end, and tenants that are being deleted go.
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/proto_time.h"
#include "services/tenant_registry/registry.h"
#include "services/tenant_registry/tenant_removal.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr char kSelf[] = "tenant-registry";
constexpr size_t kMaxOperations = 50;  // Of an Apply.

bool IsBefore(const google::protobuf::Timestamp& a,
              const google::protobuf::Timestamp& b) {
  return ToTime(a) < ToTime(b);
}

absl::Status Outdated(const ObjectKey& key) {
  return absl::FailedPreconditionError(
      absl::StrCat(Name(key),
                   ": a process that started later has this id; give each "
                   "process an id of its own"));
}

ApplyCommand CommandOf(v1::Operation operation, absl::string_view source,
                       std::string actor) {
  ApplyCommand command;
  command.source = std::string(source);
  command.actor = std::move(actor);
  *command.request.add_operations() = std::move(operation);
  return command;
}

v1::Operation DeletionOf(const v1::Object& object) {
  v1::Operation operation;
  *operation.mutable_delete_() = RefOf(KeyOf(object));
  operation.set_expected_mod_revision(object.meta().mod_revision());
  return operation;
}

}  // namespace

asio::awaitable<absl::StatusOr<v1::RenewLeaseResponse>> Registry::RenewLease(
    v1::RenewLeaseRequest request, std::string actor) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_INSTANCE);
  object.mutable_meta()->set_id(request.id());
  *object.mutable_instance() = std::move(*request.mutable_instance());
  CO_RETURN_IF_ERROR(tenancy::CheckObject(object));
  const ObjectKey key = KeyOf(object);
  const ObjectPtr present = Find(key);
  if (present != nullptr && IsBefore(object.instance().started_at(),
                                     present->instance().started_at())) {
    co_return Outdated(key);
  }
  {
    sync::MutexLock lock(&leases_mutex_);
    if (!leases_.Renew(key.id, environment_.steady->Now())) {
      co_return absl::UnavailableError(absl::StrCat(
          Name(key), ": its former lease is just ending; try again"));
    }
  }
  // Of the lease alone that is not news there is no trace in the store.
  if (present == nullptr || present->instance().SerializeAsString() !=
                                object.instance().SerializeAsString()) {
    v1::Operation put;
    put.set_expected_mod_revision(
        present == nullptr ? 0 : present->meta().mod_revision());
    *put.mutable_put() = std::move(object);
    ApplyCommand command =
        CommandOf(std::move(put), kLeaseSource, std::move(actor));
    const absl::StatusOr<int64_t> applied = co_await Apply(std::move(command));
    CO_RETURN_IF_ERROR(applied.status());
  }
  v1::RenewLeaseResponse response;
  SetDuration(leases_.ttl(), response.mutable_ttl());
  co_return response;
}

asio::awaitable<absl::Status> Registry::EndLease(v1::EndLeaseRequest request,
                                                 std::string actor) {
  const ObjectKey key{v1::KIND_INSTANCE, request.id()};
  const ObjectPtr present = Find(key);
  if (present == nullptr) co_return absl::OkStatus();
  if (IsBefore(request.started_at(), present->instance().started_at())) {
    co_return Outdated(key);
  }
  {
    sync::MutexLock lock(&leases_mutex_);
    leases_.End(key.id);
  }
  ApplyCommand command =
      CommandOf(DeletionOf(*present), kLeaseSource, std::move(actor));
  const absl::StatusOr<int64_t> applied = co_await Apply(std::move(command));
  // Somebody else was quicker.
  if (absl::IsNotFound(applied.status())) co_return absl::OkStatus();
  co_return applied.status();
}

asio::awaitable<void> Registry::Tick() {
  co_await ExpireLeases();
  co_await RemoveTenants();
}

ObjectPtr Registry::Find(const ObjectKey& key) const {
  sync::MutexLock lock(&mutex_);
  return state_.Find(key);
}

asio::awaitable<void> Registry::ExpireLeases() {
  const std::vector<ObjectPtr> instances = ObjectsOf(v1::KIND_INSTANCE);
  std::vector<std::string> ended;
  {
    sync::MutexLock lock(&leases_mutex_);
    // One whose lease was ended but that could not be deleted would be there
    // for ever.
    for (const ObjectPtr& instance : instances) {
      const std::string& id = instance->meta().id();
      if (!leases_.Has(id)) leases_.Renew(id, environment_.steady->Now());
    }
    ended = leases_.Expire(environment_.steady->Now());
    metrics().leases.Set(static_cast<double>(leases_.size()));
  }
  for (const std::string& id : ended) {
    const ObjectPtr instance = Find({v1::KIND_INSTANCE, id});
    absl::Status deleted;
    if (instance != nullptr) {
      ApplyCommand command =
          CommandOf(DeletionOf(*instance), kLeaseSource, kSelf);
      const absl::StatusOr<int64_t> applied =
          co_await Apply(std::move(command));
      deleted = applied.status();
      metrics().leases_expired.Increment();
      logging::Info("the lease of an instance has run out", {{"instance", id}});
    }
    sync::MutexLock lock(&leases_mutex_);
    leases_.Deleted(id);
    if (deleted.ok() || absl::IsNotFound(deleted)) continue;
    // It stays for a while longer, then this is tried again.
    logging::Warn("an instance that is gone can't be deleted",
                  {{"instance", id}, {"err", deleted}});
    leases_.Renew(id, environment_.steady->Now());
  }
}

asio::awaitable<void> Registry::RemoveTenants() {
  for (const std::string& id : TenantsDue()) {
    const absl::Status status = co_await RemoveTenant(id);
    if (status.ok()) {
      metrics().tenants_removed.Increment();
      logging::Info("a tenant was deleted, its time was over",
                    {{"tenant", id}});
      continue;
    }
    // Again at the next call.
    metrics().tenant_removal_failures.Increment();
    logging::Warn("a tenant whose time is over can't be deleted",
                  {{"tenant", id}, {"err", status}});
  }
}

std::vector<std::string> Registry::TenantsDue() const {
  const absl::Time now = environment_.clock->Now();
  std::vector<std::string> due;
  sync::MutexLock lock(&mutex_);
  for (const std::string& id : state_.deleting()) {
    const ObjectPtr tenant = state_.Find({v1::KIND_TENANT, id});
    if (ToTime(tenant->meta().delete_at()) <= now) due.push_back(id);
  }
  return due;
}

asio::awaitable<absl::Status> Registry::RemoveTenant(std::string id) {
  const ObjectKey key{v1::KIND_TENANT, id};
  while (true) {
    RemovalStep step;
    {
      sync::MutexLock lock(&mutex_);
      const ObjectPtr tenant = state_.Find(key);
      // Deleted by hand, or brought back.
      if (tenant == nullptr || !tenant->meta().has_delete_at()) {
        co_return absl::OkStatus();
      }
      const auto referrers =
          [this](const ObjectKey& target) ABSL_NO_THREAD_SAFETY_ANALYSIS {
            // One more than fits: that there are more
            // is all that matters.
            return state_.ReferrersOf(target, kMaxOperations + 1);
          };
      step = NextRemovalStep(tenant, referrers, kMaxOperations);
    }
    ApplyCommand command;
    command.source = kRegistrySource;
    command.actor = kSelf;
    for (v1::Operation& operation : step.operations) {
      *command.request.add_operations() = std::move(operation);
    }
    const absl::StatusOr<int64_t> applied = co_await Apply(std::move(command));
    if (!applied.ok()) co_return applied.status();
    if (step.finished) co_return absl::OkStatus();
  }
}

}  // namespace insula::tenant_registry
