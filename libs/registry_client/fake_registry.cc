#include "libs/registry_client/fake_registry.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/tenancy/fact.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr std::chrono::seconds kPatience{60};

using ServerStream =
    grpc::ServerReaderWriter<v1::WatchResponse, v1::WatchRequest>;

// Valid for the test also after the RPC has ended.
class WatchStream final : public FakeRegistry::Stream {
 public:
  WatchStream(grpc::ServerContext* context, ServerStream* stream,
              v1::Subscribe subscribe)
      : subscribe_(std::move(subscribe)), context_(context), stream_(stream) {}

  const v1::Subscribe& subscribe() const override { return subscribe_; }

  bool Send(const v1::WatchResponse& message) override {
    sync::MutexLock lock(&writing_);
    return stream_ != nullptr && stream_->Write(message);
  }

  std::optional<v1::Ack> WaitForAck(int64_t revision) override {
    std::optional<v1::Ack> found;
    Wait([&] {
      for (const v1::Ack& ack : acks_) {
        if (ack.revision() < revision) continue;
        found = ack;
        return true;
      }
      return ended_;
    });
    return found;
  }

  bool WaitForEnd() override {
    return Wait([this] { return ended_; });
  }

  void Close() override {
    sync::MutexLock lock(&writing_);
    if (context_ != nullptr) context_->TryCancel();
  }

  void Add(const v1::Ack& ack) {
    sync::MutexLock lock(&mutex_);
    acks_.push_back(ack);
    changed_.notify_all();
  }
  void End() {
    {
      sync::MutexLock lock(&writing_);
      context_ = nullptr;
      stream_ = nullptr;
    }
    sync::MutexLock lock(&mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  template <typename Condition>
  bool Wait(const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<sync::Mutex> lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }

  const v1::Subscribe subscribe_;
  sync::Mutex writing_;
  grpc::ServerContext* context_ ABSL_GUARDED_BY(writing_);
  ServerStream* stream_ ABSL_GUARDED_BY(writing_);

  sync::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<v1::Ack> acks_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

struct FakeRegistry::Server final : public v1::TenantRegistry::Service {
  grpc::Status Watch(grpc::ServerContext* context,
                     ServerStream* stream) override {
    v1::WatchRequest request;
    if (!stream->Read(&request) || !request.has_subscribe()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "subscribe first"};
    }
    const auto watch =
        std::make_shared<WatchStream>(context, stream, request.subscribe());
    {
      sync::MutexLock lock(&mutex);
      streams.push_back(watch);
      changed.notify_all();
    }
    while (stream->Read(&request)) watch->Add(request.ack());
    watch->End();
    return grpc::Status::OK;
  }

  sync::Mutex mutex;
  std::condition_variable_any changed;
  std::deque<std::shared_ptr<Stream>> streams ABSL_GUARDED_BY(mutex);
  std::unique_ptr<grpc::Server> server;
};

FakeRegistry::FakeRegistry(int port) : server_(std::make_unique<Server>()) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(server_.get());
  server_->server = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port_);
}

FakeRegistry::~FakeRegistry() {
  server_->server->Shutdown(std::chrono::system_clock::now());
  server_->server->Wait();
}

std::shared_ptr<FakeRegistry::Stream> FakeRegistry::Accept()
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::unique_lock<sync::Mutex> lock(server_->mutex);
  if (!server_->changed.wait_for(
          lock, kPatience, [this] { return !server_->streams.empty(); })) {
    return nullptr;
  }
  auto stream = std::move(server_->streams.front());
  server_->streams.pop_front();
  return stream;
}

bool FakeRegistry::Stream::SendSnapshot(const std::vector<v1::Object>& objects,
                                        int64_t revision,
                                        absl::string_view epoch) {
  v1::WatchResponse message;
  message.set_revision(revision);
  message.set_epoch(std::string(epoch));
  message.set_phase(v1::WatchResponse::PHASE_RESET);
  if (!Send(message)) return false;
  message.set_phase(v1::WatchResponse::PHASE_SNAPSHOT);
  for (const v1::Object& object : objects) *message.add_puts() = object;
  if (!Send(message)) return false;
  message.clear_puts();
  message.set_phase(v1::WatchResponse::PHASE_SNAPSHOT_END);
  message.set_object_count(static_cast<int64_t>(objects.size()));
  return Send(message);
}

bool FakeRegistry::Stream::SendDelta(const std::vector<v1::Object>& puts,
                                     const std::vector<v1::ObjectRef>& deletes,
                                     int64_t revision,
                                     absl::string_view epoch) {
  v1::WatchResponse message;
  message.set_revision(revision);
  message.set_epoch(std::string(epoch));
  message.set_phase(v1::WatchResponse::PHASE_DELTA);
  for (const v1::Object& object : puts) *message.add_puts() = object;
  for (const v1::ObjectRef& ref : deletes) *message.add_deletes() = ref;
  return Send(message);
}

bool FakeRegistry::Stream::SendProgress(int64_t revision,
                                        absl::string_view epoch) {
  v1::WatchResponse message;
  message.set_revision(revision);
  message.set_epoch(std::string(epoch));
  message.set_phase(v1::WatchResponse::PHASE_PROGRESS);
  return Send(message);
}

v1::Object MakeTenant(absl::string_view id, absl::string_view display_name) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id(std::string(id));
  object.mutable_tenant()->set_display_name(std::string(display_name));
  return object;
}

v1::Object MakeBinding(absl::string_view id, absl::string_view token,
                       const std::vector<std::string>& tenant_ids) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(std::string(id));
  v1::Binding* binding = object.mutable_binding();
  binding->set_token_sha256(tenancy::Sha256(token));
  binding->add_roles(v1::ROLE_READ);
  binding->add_roles(v1::ROLE_WRITE);
  for (const std::string& tenant_id : tenant_ids) {
    binding->add_tenant_ids(tenant_id);
  }
  return object;
}

v1::ObjectRef MakeRef(v1::Kind kind, absl::string_view id) {
  v1::ObjectRef ref;
  ref.set_kind(kind);
  ref.set_id(std::string(id));
  return ref;
}

}  // namespace insula::registry_client
