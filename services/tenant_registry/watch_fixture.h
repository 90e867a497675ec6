// A follower as the proto describes it, for the tests here.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {

// A follower that does what the proto tells it to do.
class Follower {
 public:
  Follower(v1::TenantRegistry::Stub* stub, const v1::Subscribe& subscribe)
      : stream_(stub->Watch(&context_)) {
    context_.set_wait_for_ready(true);
    v1::WatchRequest request;
    *request.mutable_subscribe() = subscribe;
    stream_->Write(request);
  }
  ~Follower() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  // The next message; nullopt: the stream has ended.
  std::optional<v1::WatchResponse> Read() {
    v1::WatchResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    Take(response);
    return response;
  }
  // Reads until the copy is of a revision, and returns the phases on the way.
  std::vector<v1::WatchResponse::Phase> ReadTo(int64_t target) {
    std::vector<v1::WatchResponse::Phase> phases;
    while (revision < target || in_snapshot_) {
      const auto response = Read();
      if (!response.has_value()) break;
      phases.push_back(response->phase());
    }
    return phases;
  }
  void Ack(int64_t acked, std::vector<std::string> rejected_tenants = {}) {
    v1::WatchRequest request;
    request.mutable_ack()->set_revision(acked);
    for (const std::string& id : rejected_tenants) {
      v1::Rejection* rejection = request.mutable_ack()->add_rejections();
      rejection->mutable_ref()->set_kind(v1::KIND_TENANT);
      rejection->mutable_ref()->set_id(id);
      rejection->set_reason("no use for it");
    }
    stream_->Write(request);
  }
  absl::Status Finish() {
    const grpc::Status status = stream_->Finish();
    stream_ = nullptr;
    return rpc::FromGrpc(status);
  }

  // May be set, with the revision, to what an earlier one held.
  std::map<ObjectKey, v1::Object> objects;
  int64_t revision = 0;
  std::string epoch;
  int64_t object_count = -1;
  int sets_checked = 0;
  int diverged = 0;  // Times that the copy was not what it should be.

 private:
  void Take(const v1::WatchResponse& response) {
    epoch = response.epoch();
    if (response.phase() == v1::WatchResponse::PHASE_RESET) {
      in_snapshot_ = true;
      next_.clear();
    }
    auto& target = in_snapshot_ ? next_ : objects;
    for (const v1::Object& object : response.puts()) {
      target[KeyOf(object)] = object;
    }
    for (const v1::ObjectRef& ref : response.deletes()) {
      target.erase(KeyOf(ref));
    }
    if (response.phase() == v1::WatchResponse::PHASE_SNAPSHOT_END) {
      in_snapshot_ = false;
      objects = std::move(next_);
      object_count = response.object_count();
    }
    if (!in_snapshot_) {
      EXPECT_GE(response.revision(), revision);
      revision = response.revision();
    }
    if (response.has_set()) CheckSet(response.set());
  }

  // The registry's digest is that of the copy.
  void CheckSet(const v1::SetDigest& set) {
    ++sets_checked;
    tenancy::SetDigest held;
    for (const auto& [key, object] : objects) {
      held.Add(key.kind, key.id, object.meta().mod_revision());
    }
    std::map<v1::Kind, tenancy::SetDigest::Sum> expected;
    for (const v1::KindDigest& kind : set.kinds()) {
      expected[kind.kind()] = {kind.count(), kind.sum()};
    }
    if (held.kinds() != expected) ++diverged;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WatchRequest, v1::WatchResponse>>
      stream_;
  std::map<ObjectKey, v1::Object> next_;
  bool in_snapshot_ = false;
};

class WatchTest : public RegistryTest {
 protected:
  static v1::Subscribe From(int64_t revision = 0, std::string epoch = "",
                            std::vector<v1::Kind> kinds = {}) {
    v1::Subscribe subscribe;
    subscribe.set_client_id("test/one");
    subscribe.set_resume_revision(revision);
    subscribe.set_epoch(std::move(epoch));
    for (const v1::Kind kind : kinds) subscribe.add_kinds(kind);
    return subscribe;
  }
  void PutTenants(int count, absl::string_view display_name = "") {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(
          Apply({Put(TenantObject(absl::StrCat("t", i), "", display_name))}),
          IsOk());
    }
  }
};

}  // namespace insula::tenant_registry
