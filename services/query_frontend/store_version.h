// Which PromQL the replicas of an upstream understand.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/backend_pool/replica_set.h"
#include "libs/http/client.h"
#include "libs/promql/dialect.h"

namespace insula::query_frontend {

// The version in an answer of /api/v1/status/buildinfo. Nothing for what is no
// such answer, and for servers that have versions of their own, by
// `application` there or by a number below that of a Prometheus with this API.
std::optional<promql::Version> ParseBuildInfo(absl::string_view body);

// Asks each replica which version it is: at once, when it is back after it was
// out, and now and then. Thread-safe.
//
// Asks a VictoriaMetrics, too, whether it takes `extra_filters[]`: whether it
// refuses what is no selector there, and not what is one. Whoever stands
// between and drops them, or is no VictoriaMetrics, answers both.
class StoreVersion {
 public:
  struct Options {
    absl::Duration look_interval = absl::Seconds(1);  // At who is well.
    absl::Duration ask_interval = absl::Minutes(5);
    absl::Duration timeout = absl::Seconds(2);
    bool ask_filters = false;
  };

  StoreVersion(Options options,
               std::shared_ptr<const backend_pool::ReplicaSet> replicas,
               std::shared_ptr<http::Client> client,
               boost::asio::any_io_executor executor);
  // Ends it, without waiting for a question that is under way.
  ~StoreVersion();
  StoreVersion(const StoreVersion&) = delete;
  StoreVersion& operator=(const StoreVersion&) = delete;

  // The oldest of the replicas; that of Prometheus 2.42 while one of those that
  // are well has not said.
  promql::Version version() const;
  promql::Dialect dialect() const;
  // Whether each of the replicas that there are now has shown, since it was
  // last out, that it takes `extra_filters[]`. Not without
  // Options::ask_filters.
  bool takes_filters() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace insula::query_frontend
