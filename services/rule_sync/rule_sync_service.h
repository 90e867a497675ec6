// The RuleSync gRPC service.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "insula/rules/v1/rules.grpc.pb.h"
#include "libs/rpc/serve.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/tenancy/snapshot.h"
#include "services/rule_sync/desired.h"
#include "services/rule_sync/reconciler.h"

namespace insula::rule_sync {

// Thread-safe.
class RuleSyncService final : public rules::v1::RuleSync::CallbackService {
 public:
  // The present copy of the registry, or why there is none.
  using FindSnapshot =
      std::function<absl::StatusOr<std::shared_ptr<const tenancy::Snapshot>>()>;

  // `reconciler` and `blocking` outlive it.
  RuleSyncService(FindSnapshot snapshot, CompilerOptions options,
                  Reconciler* reconciler, runtime::BlockingPool* blocking,
                  boost::asio::any_io_executor executor)
      : snapshot_(std::move(snapshot)),
        options_(options),
        reconciler_(*reconciler),
        blocking_(*blocking),
        executor_(std::move(executor)) {}

  grpc::ServerUnaryReactor* Validate(
      grpc::CallbackServerContext* context,
      const rules::v1::ValidateRequest* request,
      rules::v1::ValidateResponse* response) override;
  grpc::ServerUnaryReactor* ListRules(
      grpc::CallbackServerContext* context,
      const rules::v1::ListRulesRequest* request,
      rules::v1::ListRulesResponse* response) override;

 private:
  boost::asio::awaitable<absl::Status> HandleValidate(
      const rules::v1::ValidateRequest* request,
      rules::v1::ValidateResponse* response);
  boost::asio::awaitable<absl::Status> HandleListRules(
      const rules::v1::ListRulesRequest* request,
      rules::v1::ListRulesResponse* response);

  const FindSnapshot snapshot_;
  const CompilerOptions options_;
  Reconciler& reconciler_;
  runtime::BlockingPool& blocking_;
  const boost::asio::any_io_executor executor_;
};

}  // namespace insula::rule_sync
