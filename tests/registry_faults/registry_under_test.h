// A tenant-registry that is killed and started again, and those who change it
// meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "insula/registry/v1/registry.grpc.pb.h"
#include "libs/registry_client/followed_copy.h"
#include "libs/registry_client/random_requests.h"
#include "libs/registry_client/registry_history.h"
#include "libs/sync/mutex.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/service.h"

namespace insula::registry_faults {

namespace v1 = ::insula::registry::v1;

// A number out of the environment, by which a suite makes a test longer.
int64_t Setting(const char* name, int64_t otherwise);

// The process, on one port and one store over all its lives.
class RegistryUnderTest {
 public:
  // `config`: further settings, YAML.
  explicit RegistryUnderTest(absl::string_view config = "");

  // False, and the test has failed: it did not get ready.
  bool Start();
  // Starts it and kills it so much later, ready or not.
  void StartAndKill(absl::Duration later);
  void Kill();
  // Starts what is expected to end by itself. Its exit code, or -1.
  int StartInVain();

  pid_t pid() const { return process_->pid(); }
  int port() const { return port_; }
  std::string LogTail() const { return process_->LogTail(); }
  std::string store_path() const { return dir_.path() + "/registry.db"; }
  // Signals it, and waits for the end: the exit code.
  int Stop();

  // On a connection of its own, made again soon after it broke.
  std::unique_ptr<v1::TenantRegistry::Stub> NewStub() const;

 private:
  const e2e::TempDir dir_;
  const int port_;
  const std::string config_;
  std::unique_ptr<e2e::Process> process_;
};

// Reads with a deadline. Errors as of the RPCs.
absl::StatusOr<v1::StatusResponse> ReadStatus(v1::TenantRegistry::Stub* stub);
absl::StatusOr<std::vector<v1::Object>> ReadObjects(
    v1::TenantRegistry::Stub* stub);
absl::StatusOr<std::vector<v1::AuditEntry>> ReadAudit(
    v1::TenantRegistry::Stub* stub, int64_t from_revision);
// Follows until the copy is of `target`.
absl::Status FollowTo(v1::TenantRegistry::Stub* stub, int64_t target,
                      registry_client::FollowedCopy* copy);

// What all writers have got to know. Thread-safe, but for history().
class Ledger {
 public:
  struct Counts {
    int64_t sent = 0;          // Repetitions included.
    int64_t acknowledged = 0;  // Each once.
    int64_t refused = 0;
    int64_t unanswered = 0;  // Sent again, until there was an answer.
    int64_t repeated = 0;    // Sent again though there was an answer.
  };

  Counts counts() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Requests that were once without an answer.
  std::set<std::string> unanswered() const ABSL_LOCKS_EXCLUDED(mutex_);
  // What must not have happened.
  std::vector<std::string> faults() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until so many requests are sent, or changes acknowledged.
  bool WaitForSent(int64_t sent) ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitForAcknowledged(int64_t acknowledged) ABSL_LOCKS_EXCLUDED(mutex_);

  void Sent() ABSL_LOCKS_EXCLUDED(mutex_);
  void Acknowledged(int64_t revision, const v1::ApplyRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Refused() ABSL_LOCKS_EXCLUDED(mutex_);
  void Unanswered(const std::string& request_id) ABSL_LOCKS_EXCLUDED(mutex_);
  void Repeated() ABSL_LOCKS_EXCLUDED(mutex_);
  void Fault(std::string what) ABSL_LOCKS_EXCLUDED(mutex_);

  // While no writer works.
  registry_client::History& history() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return history_;
  }

 private:
  bool WaitFor(const int64_t Counts::* count,
               int64_t value) ABSL_NO_THREAD_SAFETY_ANALYSIS;

  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> unanswered_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> faults_ ABSL_GUARDED_BY(mutex_);
  registry_client::History history_ ABSL_GUARDED_BY(mutex_);
};

// Sends one request after the other, each again and again until the registry
// answers it, whoever is killed meanwhile. Begins at rest.
class Writer {
 public:
  // One change every `pace`.
  Writer(const RegistryUnderTest& registry, Ledger* ledger, uint64_t seed,
         int number, absl::Duration pace = absl::ZeroDuration());
  ~Writer();

  void Resume() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns when the present request is answered.
  void Pause() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();
  // False: the writer ends.
  bool WaitForTurn() ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Sends one request until it is answered. True: it was acknowledged.
  bool SendOne();
  absl::StatusOr<int64_t> Send(const v1::ApplyRequest& request);

  const std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  Ledger* const ledger_;
  const absl::Duration pace_;

  // Of the thread.
  registry_client::RandomRequests requests_;
  std::string name_;
  int64_t last_revision_ = 0;
  v1::ApplyRequest last_;
  int64_t rounds_ = 0;
  absl::Time due_;

  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  bool paused_ ABSL_GUARDED_BY(mutex_) = true;
  bool idle_ ABSL_GUARDED_BY(mutex_) = true;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace insula::registry_faults
