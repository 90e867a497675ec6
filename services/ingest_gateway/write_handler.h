// Takes remote write requests: authenticates, splits, limits, delivers,
// answers.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/authenticator.h"
#include "libs/edge/handler.h"
#include "libs/http/client.h"
#include "libs/http/message.h"
#include "libs/limits/keyed_token_buckets.h"
#include "libs/metrics/metrics.h"
#include "libs/remote_write/splitter.h"
#include "libs/sync/mutex.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/ingest_gateway/answer.h"
#include "services/ingest_gateway/answer_memory.h"
#include "services/ingest_gateway/config.h"
#include "services/ingest_gateway/delivery.h"
#include "services/ingest_gateway/metrics.h"

namespace insula::ingest_gateway {

// The HTTP handler of all listeners. Thread-safe.
class WriteHandler : public edge::Handler {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // `client`, `clock` and `registry` outlive this.
  WriteHandler(const WriteConfig& config, std::string user_agent,
               SnapshotSource snapshot, http::Client* client,
               const Clock* clock, metrics::Registry* registry);
  ~WriteHandler() override;

  // Refuses what need not be read. A credential that a verifier must be asked
  // about is left to Handle().
  std::optional<http::Response> Admit(
      const http::Request& request,
      const auth::Authenticator* listener) override;

  // Answers by the table in answer.h. Parts are on their way until they have an
  // answer, even if the sender goes away meanwhile.
  boost::asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* listener) override;

 private:
  struct Workspace;
  class WorkspaceLease;
  struct Work;

  absl::StatusOr<std::unique_ptr<Work>> Prepare(const http::Request& request,
                                                auth::Caller caller);
  absl::Status Split(const http::Request& request, Workspace* workspace,
                     Work* work);
  void Pack(const http::Request& request,
            const remote_write::SplitResult& split, Workspace* workspace,
            Work* work);
  // Whether the tenant may send that much now; notes the loss if not.
  bool IsWithinRate(const Recipient& recipient,
                    const remote_write::Counts& counts, Work* work);
  void NoteReceipts(const std::vector<Receipt>& receipts, Work* work);
  void Lose(Loss loss, Work* work);
  http::Response Conclude(absl::string_view body, Work* work);

  const WriteConfig config_;
  const SnapshotSource snapshot_;
  const Clock* const clock_;
  Metrics metrics_;
  Delivery delivery_;
  AnswerMemory memory_;
  limits::KeyedTokenBuckets rates_;

  sync::Mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> workspaces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::ingest_gateway
