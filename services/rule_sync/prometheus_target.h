// Keeps the rule files of a Prometheus.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/http/client.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/time/backoff.h"
#include "services/rule_sync/prometheus_client.h"
#include "services/rule_sync/rule_directory.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

// A file for each file of each tenant, so that one which Prometheus does not
// take can be told from the others.
//
// A reload loads all files or none. So if one fails, all new versions go back
// to those before, and are offered again in halves until the culprits stand
// alone. Those stay back, with the version before if there is one, and are
// offered again after a minute, then two, up to an hour, or when they change.
// A Prometheus that refuses even what it had has a fault of its own; then
// nothing is anybody's fault here.
//
// Groups are active when /api/v1/rules shows them as they were written. While
// Prometheus does not answer nothing is written, lest it finds, when it starts,
// a file that nobody has tried.
class PrometheusTarget final : public Target {
 public:
  // `directory` is that of this Prometheus alone. `client` and `blocking`
  // outlive it.
  PrometheusTarget(std::string directory, http::Client* client,
                   runtime::BlockingPool* blocking);

  boost::asio::awaitable<SyncResult> Sync(
      std::shared_ptr<const DesiredUnit> desired, bool may_delete) override;

 private:
  // A version of a file that Prometheus does not take.
  struct Culprit {
    std::string text;
    std::string error;
    absl::Time offer_again_at;
    Backoff backoff;
  };
  class Round;

  const std::string directory_path_;
  RuleDirectory directory_;
  http::Client* const client_;
  runtime::BlockingPool* const blocking_;
  std::map<std::string, Culprit> culprits_;  // By file name.
  // Files that Prometheus went on to show after they were gone here: it has
  // them from elsewhere.
  std::vector<std::string> not_ours_;
};

}  // namespace insula::rule_sync
