#include "tests/bench/registry_clients.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/metrics/metrics.h"
#include "libs/registry_client/registry_client.h"
#include "libs/registry_client/saver.h"
#include "libs/tenancy/fact.h"

namespace insula::bench {
namespace {

namespace v1 = ::insula::registry::v1;

constexpr int kOperations = 50;
constexpr int kLoaders = 64;             // Applies on their way.
constexpr int kStreamsOfAChannel = 100;  // As many as the registry permits.

std::shared_ptr<grpc::Channel> Dial(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

// Applies on their way, at most so many.
class Pipeline {
 public:
  Pipeline(int port, int width)
      : width_(width), stub_(v1::TenantRegistry::NewStub(Dial(port))) {}
  ~Pipeline() { Wait(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // `done`, if any, gets the revision, on a thread of gRPC.
  void Apply(v1::ApplyRequest request,
             std::function<void(int64_t)> done = nullptr) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return open_ < width_; });
    ++open_;
    lock.unlock();
    auto* const call = new Call;
    call->request = std::move(request);
    stub_->async()->Apply(
        &call->context, &call->request, &call->response,
        [this, call, done = std::move(done)](const grpc::Status& status) {
          if (status.ok() && done != nullptr) done(call->response.revision());
          delete call;
          End(status);
        });
  }

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return open_ == 0; });
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::ApplyRequest request;
    v1::ApplyResponse response;
  };

  void End(const grpc::Status& status) {
    if (!status.ok()) Die(absl::StrCat("Apply: ", status.error_message()));
    const std::lock_guard<std::mutex> lock(mutex_);
    --open_;
    changed_.notify_all();
  }

  const int width_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;
  const std::unique_ptr<v1::TenantRegistry::Stub> stub_;
};

std::string TenantName(int number) {
  return absl::StrFormat("team-%06d", number);
}

v1::Object MakeTenant(int number, absl::string_view display_name) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id(TenantName(number));
  v1::Tenant* const tenant = object.mutable_tenant();
  tenant->set_display_name(std::string(display_name));
  tenant->set_upstream_id("store");
  (*tenant->mutable_enforced_labels())["namespace"] = TenantName(number);
  return object;
}

v1::Object MakeBinding(int number, int tenant) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_BINDING);
  object.mutable_meta()->set_id(
      absl::StrCat(TenantName(tenant), "/sender-", number));
  v1::Binding* const binding = object.mutable_binding();
  binding->set_token_sha256(tenancy::Sha256(absl::string_view(
      reinterpret_cast<const char*>(&number), sizeof(number))));
  binding->add_tenant_ids(TenantName(tenant));
  binding->add_roles(v1::ROLE_WRITE);
  binding->add_roles(v1::ROLE_READ);
  return object;
}

v1::Object MakeUpstream() {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_UPSTREAM);
  object.mutable_meta()->set_id("store");
  object.mutable_upstream()->set_write_url("http://127.0.0.1:1/write");
  object.mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
  return object;
}

// The change number `change`: of one tenant, and never the same twice.
v1::ApplyRequest MakeChange(int change, int tenants) {
  v1::ApplyRequest request;
  *request.add_operations()->mutable_put() =
      MakeTenant(change % tenants, absl::StrCat("Changed at ", NowNanos()));
  return request;
}

// One light Watch.
class LightWatch final
    : public grpc::ClientBidiReactor<v1::WatchRequest, v1::WatchResponse> {
 public:
  LightWatch(v1::TenantRegistry::Stub* stub, int number,
             const RegistryHead& head, const ChangeTimes& times,
             SharedNumbers::Number* open)
      : number_(number), times_(times), open_(open), revision_(head.revision) {
    v1::Subscribe* const subscribe = request_.mutable_subscribe();
    subscribe->set_client_id(absl::StrCat("bench/", number));
    subscribe->set_resume_revision(head.revision);
    subscribe->set_epoch(head.epoch);
    stub->async()->Watch(&context_, this);
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone tells why.
    if (!std::exchange(heard_, true)) ++*open_;
    if (response_.phase() != v1::WatchResponse::PHASE_DELTA &&
        response_.phase() != v1::WatchResponse::PHASE_PROGRESS) {
      Die("a watch that resumes got a snapshot");
    }
    if (response_.phase() == v1::WatchResponse::PHASE_DELTA) {
      times_.Have(number_, revision_, response_.revision(), NowNanos());
      revision_ = response_.revision();
      Acknowledge(revision_);
    }
    StartRead(&response_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    if (ok && acked_ < wanted_) WriteAck();
  }

  void OnDone(const grpc::Status& status) override {
    Die(absl::StrCat("a watch has ended: ", status.error_message()));
  }

 private:
  void Acknowledge(int64_t revision) {
    const std::lock_guard<std::mutex> lock(mutex_);
    wanted_ = revision;
    if (!writing_) WriteAck();
  }
  void WriteAck() {
    writing_ = true;
    acked_ = wanted_;
    request_.mutable_ack()->set_revision(acked_);
    StartWrite(&request_);
  }

  const int number_;
  const ChangeTimes& times_;
  SharedNumbers::Number* const open_;
  grpc::ClientContext context_;
  v1::WatchResponse response_;
  int64_t revision_;
  bool heard_ = false;

  std::mutex mutex_;  // Of what follows.
  v1::WatchRequest request_;
  bool writing_ = true;  // Subscribe.
  int64_t acked_ = 0;
  int64_t wanted_ = 0;
};

}  // namespace

const char* const kSaverThread = registry_client::Saver::kThreadName;

int64_t NowNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

int LoadRegistry(int port, RegistrySize size) {
  v1::ApplyRequest request;
  const auto flush = [&](Pipeline* pipeline) {
    if (request.operations_size() > 0) pipeline->Apply(std::move(request));
    request.Clear();
  };
  const auto add = [&](v1::Object object, Pipeline* pipeline) {
    *request.add_operations()->mutable_put() = std::move(object);
    if (request.operations_size() == kOperations) flush(pipeline);
  };
  {
    Pipeline pipeline(port, 1);  // Tenants refer to it.
    add(MakeUpstream(), &pipeline);
    flush(&pipeline);
  }
  {
    Pipeline pipeline(port, kLoaders);
    for (int i = 0; i < size.tenants; ++i) add(MakeTenant(i, ""), &pipeline);
    flush(&pipeline);
  }
  Pipeline pipeline(port, kLoaders);
  for (int i = 0; i < size.bindings; ++i) {
    add(MakeBinding(i, i % size.tenants), &pipeline);
  }
  flush(&pipeline);
  pipeline.Wait();
  return 0;
}

int WriteChanges(int port, int tenants, int callers, absl::Duration time,
                 SharedNumbers::Number* done) {
  Pipeline pipeline(port, callers);
  const absl::Time end = absl::Now() + time;
  for (int change = 0; absl::Now() < end; ++change) {
    pipeline.Apply(MakeChange(change, tenants), [done](int64_t) { ++*done; });
  }
  pipeline.Wait();
  return 0;
}

void ChangeTimes::Have(int follower, int64_t after, int64_t up_to,
                       int64_t now) const {
  for (int64_t at = std::max<int64_t>(after, base()) + 1; at <= up_to; ++at) {
    if (at - base() <= changes + kSpare) {
      had[static_cast<size_t>(follower * (changes + kSpare) + at - base() -
                              1)] = now;
    }
  }
}

int64_t ChangeTimes::HadAt(int follower, int64_t at_revision) const {
  return had[static_cast<size_t>(follower * (changes + kSpare) + at_revision -
                                 base() - 1)];
}

int PaceChanges(int port, int tenants, int rate, const ChangeTimes& times) {
  Pipeline pipeline(port, times.changes);
  const int64_t begin = NowNanos();
  for (int i = 0; i < times.changes; ++i) {
    const int64_t due = begin + i * int64_t{1'000'000'000} / rate;
    absl::SleepFor(absl::Nanoseconds(due - NowNanos()));
    v1::ApplyRequest change = MakeChange(i, tenants);
    const auto at = static_cast<size_t>(i);
    times.asked[at] = NowNanos();
    pipeline.Apply(std::move(change), [&times, at](int64_t revision) {
      times.revision[at] = revision;
    });
  }
  pipeline.Wait();
  return 0;
}

RegistryHead ReadHead(int port) {
  // In a process of its own, see the top of the header.
  int ends[2];
  if (pipe(ends) != 0) Die("no pipe");
  Child child([&] {
    const auto stub = v1::TenantRegistry::NewStub(Dial(port));
    grpc::ClientContext context;
    v1::StatusResponse response;
    const grpc::Status status = stub->Status(&context, {}, &response);
    if (!status.ok()) Die(absl::StrCat("Status: ", status.error_message()));
    dprintf(ends[1], "%s %lld", response.epoch().c_str(),
            static_cast<long long>(response.revision()));
    return 0;
  });
  if (child.Wait() != 0) Die("the registry does not tell where it stands");
  char text[128] = {};
  char epoch[64] = {};
  long long revision = 0;
  const ssize_t length = read(ends[0], text, sizeof(text) - 1);
  close(ends[0]);
  close(ends[1]);
  if (length <= 0 || std::sscanf(text, "%63s %lld", epoch, &revision) != 2) {
    Die("the registry does not tell where it stands");
  }
  return {revision, epoch};
}

int WatchChanges(int port, int count, int first, const RegistryHead& head,
                 const ChangeTimes& times, SharedNumbers::Number* open) {
  std::vector<std::unique_ptr<v1::TenantRegistry::Stub>> stubs;
  std::deque<std::unique_ptr<LightWatch>> watches;
  for (int i = 0; i < count; ++i) {
    if (i % kStreamsOfAChannel == 0) {
      stubs.push_back(v1::TenantRegistry::NewStub(Dial(port)));
    }
    watches.push_back(std::make_unique<LightWatch>(
        stubs.back().get(), first + i, head, times, open));
  }
  while (true) pause();
}

int FollowRegistry(int port, const std::string& state_dir, int number,
                   const ChangeTimes* times, const SharedNumbers& told) {
  boost::asio::thread_pool pool(2);
  metrics::Registry metrics;
  registry_client::Options options;
  options.address = absl::StrCat("127.0.0.1:", port);
  options.client_id = absl::StrCat("bench-follower/", number);
  options.state_dir = state_dir;
  auto client = registry_client::RegistryClient::Start(
      options, {}, pool.get_executor(), &metrics);
  if (!client.ok()) Die(client.status().ToString());
  int64_t revision = 0;
  (*client)->OnChange([&](const auto& snapshot) {
    const int64_t now = NowNanos();
    if (times != nullptr && revision > 0) {
      times->Have(number, revision, snapshot->revision(), now);
    }
    revision = snapshot->revision();
    told[kTakenAt] = now;
    told[kObjects] = snapshot->object_count();
    told[kRevision] = revision;
  });
  while (true) pause();
}

}  // namespace insula::bench
