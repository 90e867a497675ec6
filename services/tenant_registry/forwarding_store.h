// What stores of tests have in common that change a little of what another
// does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/tenant_registry/store.h"

namespace insula::tenant_registry {

// Does what its store does. Override what is to be different.
class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::unique_ptr<Store> store)
      : store_(std::move(store)) {}

  absl::StatusOr<Head> Load(
      const std::function<void(v1::Object)>& visit) override {
    return store_->Load(visit);
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
    return store_->ChangesAfter(revision, limit);
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
};

}  // namespace insula::tenant_registry
