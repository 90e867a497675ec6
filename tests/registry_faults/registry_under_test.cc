#include "tests/registry_faults/registry_under_test.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::registry_faults {
namespace {

using registry_client::FollowedCopy;

constexpr char kBinary[] = BIN_DIR "/tenant-registry";
constexpr auto kDeadline = std::chrono::seconds(60);

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

void Prepare(grpc::ClientContext* context) {
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + kDeadline);
}

}  // namespace

int64_t Setting(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

RegistryUnderTest::RegistryUnderTest(absl::string_view config)
    : port_(e2e::ClaimPort()),
      config_(absl::StrCat(config, "\nstorage: {path: ", store_path(), "}")) {}

bool RegistryUnderTest::Start() {
  e2e::Service service =
      e2e::StartService(dir_, kBinary, "registry", config_, port_);
  process_ = std::move(service.process);
  if (!service.ports.empty()) return true;
  ADD_FAILURE() << "the registry does not get ready: " << LogTail();
  return false;
}

void RegistryUnderTest::StartAndKill(absl::Duration later) {
  // The settings are those of the first start.
  process_ = std::make_unique<e2e::Process>(
      kBinary,
      std::vector<std::string>{"--config", dir_.path() + "/registry.yaml"},
      dir_.path() + "/registry.log");
  process_->Wait(later);
  process_->Kill();
}

void RegistryUnderTest::Kill() { process_->Kill(); }

int RegistryUnderTest::StartInVain() {
  process_ = std::make_unique<e2e::Process>(
      kBinary,
      std::vector<std::string>{"--config", dir_.path() + "/registry.yaml"},
      dir_.path() + "/registry.log");
  return process_->Wait(absl::Seconds(60)).value_or(-1);
}

int RegistryUnderTest::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait(absl::Seconds(60)).value_or(-1);
}

std::unique_ptr<v1::TenantRegistry::Stub> RegistryUnderTest::NewStub() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return v1::TenantRegistry::NewStub(
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_),
                                grpc::InsecureChannelCredentials(), arguments));
}

absl::StatusOr<v1::StatusResponse> ReadStatus(v1::TenantRegistry::Stub* stub) {
  grpc::ClientContext context;
  Prepare(&context);
  v1::StatusResponse response;
  const grpc::Status status = stub->Status(&context, {}, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::StatusOr<std::vector<v1::Object>> ReadObjects(
    v1::TenantRegistry::Stub* stub) {
  std::vector<v1::Object> objects;
  for (const v1::Kind kind : {v1::KIND_TENANT, v1::KIND_BINDING,
                              v1::KIND_UPSTREAM, v1::KIND_LIMITS}) {
    v1::ListRequest request;
    request.set_kind(kind);
    request.set_page_size(7);
    do {
      grpc::ClientContext context;
      Prepare(&context);
      v1::ListResponse response;
      const grpc::Status status = stub->List(&context, request, &response);
      if (!status.ok()) return FromGrpc(status);
      request.set_page_token(response.next_page_token());
      objects.insert(objects.end(), response.objects().begin(),
                     response.objects().end());
    } while (!request.page_token().empty());
  }
  return objects;
}

absl::StatusOr<std::vector<v1::AuditEntry>> ReadAudit(
    v1::TenantRegistry::Stub* stub, int64_t from_revision) {
  std::vector<v1::AuditEntry> entries;
  v1::ListAuditRequest request;
  request.set_from_revision(from_revision);
  request.set_page_size(1000);
  do {
    grpc::ClientContext context;
    Prepare(&context);
    v1::ListAuditResponse response;
    const grpc::Status status = stub->ListAudit(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    request.set_page_token(response.next_page_token());
    entries.insert(entries.end(), response.entries().begin(),
                   response.entries().end());
  } while (!request.page_token().empty());
  return entries;
}

absl::Status FollowTo(v1::TenantRegistry::Stub* stub, int64_t target,
                      FollowedCopy* copy) {
  grpc::ClientContext context;
  Prepare(&context);
  const auto stream = stub->Watch(&context);
  v1::WatchRequest request;
  *request.mutable_subscribe() = copy->BeginStream();
  stream->Write(request);
  v1::WatchResponse message;
  // One message at least: it tells whether the copy is right.
  bool first = true;
  while (first || copy->revision() < target) {
    if (!stream->Read(&message)) return FromGrpc(stream->Finish());
    copy->Take(message);
    first = message.phase() == v1::WatchResponse::PHASE_RESET ||
            message.phase() == v1::WatchResponse::PHASE_SNAPSHOT;
  }
  context.TryCancel();
  stream->Finish().error_code();
  return absl::OkStatus();
}

Ledger::Counts Ledger::counts() const {
  sync::MutexLock lock(&mutex_);
  return counts_;
}

std::set<std::string> Ledger::unanswered() const {
  sync::MutexLock lock(&mutex_);
  return unanswered_;
}

std::vector<std::string> Ledger::faults() const {
  sync::MutexLock lock(&mutex_);
  return faults_;
}

bool Ledger::WaitFor(const int64_t Counts::* count, int64_t value) {
  std::unique_lock<sync::Mutex> lock(mutex_);
  return changed_.wait_for(lock, kDeadline,
                           [&] { return counts_.*count >= value; });
}

bool Ledger::WaitForSent(int64_t sent) { return WaitFor(&Counts::sent, sent); }

bool Ledger::WaitForAcknowledged(int64_t acknowledged) {
  return WaitFor(&Counts::acknowledged, acknowledged);
}

void Ledger::Sent() {
  sync::MutexLock lock(&mutex_);
  ++counts_.sent;
  changed_.notify_all();
}

void Ledger::Acknowledged(int64_t revision, const v1::ApplyRequest& request) {
  sync::MutexLock lock(&mutex_);
  ++counts_.acknowledged;
  const absl::Status recorded = history_.Record(revision, request);
  if (!recorded.ok()) faults_.emplace_back(recorded.message());
  changed_.notify_all();
}

void Ledger::Refused() {
  sync::MutexLock lock(&mutex_);
  ++counts_.refused;
}

void Ledger::Unanswered(const std::string& request_id) {
  sync::MutexLock lock(&mutex_);
  if (unanswered_.insert(request_id).second) ++counts_.unanswered;
}

void Ledger::Repeated() {
  sync::MutexLock lock(&mutex_);
  ++counts_.repeated;
}

void Ledger::Fault(std::string what) {
  sync::MutexLock lock(&mutex_);
  faults_.push_back(std::move(what));
}

Writer::Writer(const RegistryUnderTest& registry, Ledger* ledger, uint64_t seed,
               int number, absl::Duration pace)
    : stub_(registry.NewStub()),
      ledger_(ledger),
      pace_(pace),
      requests_(seed, number),
      name_(absl::StrCat("writer ", number)),
      thread_([this] { Run(); }) {}

Writer::~Writer() {
  {
    sync::MutexLock lock(&mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Writer::Resume() {
  sync::MutexLock lock(&mutex_);
  paused_ = false;
  due_ = absl::Now();
  changed_.notify_all();
}

void Writer::Pause() {
  std::unique_lock<sync::Mutex> lock(mutex_);
  paused_ = true;
  changed_.notify_all();
  changed_.wait(lock,
                [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return idle_; });
}

bool Writer::WaitForTurn() {
  std::unique_lock<sync::Mutex> lock(mutex_);
  while (true) {
    if (ended_) return false;
    if (!paused_ && absl::Now() >= due_) break;
    idle_ = paused_;
    changed_.notify_all();
    if (paused_) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, absl::ToChronoTime(due_));
    }
  }
  idle_ = false;
  return true;
}

void Writer::Run() {
  while (WaitForTurn()) {
    const bool changed = SendOne();
    sync::MutexLock lock(&mutex_);
    if (changed) due_ += pace_;
    // What it is behind by a kill it makes up for, but not in one burst.
    due_ = std::max(due_, absl::Now() - absl::Seconds(1));
  }
}

absl::StatusOr<int64_t> Writer::Send(const v1::ApplyRequest& request) {
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (true) {
    ledger_->Sent();
    grpc::ClientContext context;
    Prepare(&context);
    v1::ApplyResponse response;
    const grpc::Status status = stub_->Apply(&context, request, &response);
    if (status.ok()) return response.revision();
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE ||
        absl::Now() > give_up) {
      return FromGrpc(status);
    }
    ledger_->Unanswered(request.request_id());
  }
}

bool Writer::SendOne() {
  const v1::ApplyRequest request = requests_.Next();
  const absl::StatusOr<int64_t> revision = Send(request);
  if (!revision.ok()) {
    switch (revision.status().code()) {
      case absl::StatusCode::kAborted:
      case absl::StatusCode::kNotFound:
      case absl::StatusCode::kFailedPrecondition:
        ledger_->Refused();
        break;
      default:
        ledger_->Fault(absl::StrCat(name_, ": ", revision.status().ToString()));
    }
    return false;
  }
  ledger_->Acknowledged(*revision, request);
  requests_.Learn(*revision, request);
  if (*revision <= last_revision_) {
    ledger_->Fault(absl::StrCat(name_, ": revision ", *revision, " after ",
                                last_revision_));
  }
  // What was answered once is answered so again, maybe by another process.
  if (last_revision_ > 0 && ++rounds_ % 8 == 0) {
    ledger_->Repeated();
    const absl::StatusOr<int64_t> again = Send(last_);
    if (!again.ok() || *again != last_revision_) {
      ledger_->Fault(absl::StrCat(
          name_, ": ", last_.request_id(), " was answered with ",
          last_revision_, ", then with ",
          again.ok() ? absl::StrCat(*again) : again.status().ToString()));
    }
  }
  last_revision_ = *revision;
  last_ = request;
  return true;
}

}  // namespace insula::registry_faults
