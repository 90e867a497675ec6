// Keeps the groups of a ruler tenant in a Cortex or Mimir.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "libs/http/client.h"
#include "libs/runtime/blocking_pool.h"
#include "services/rule_sync/ruler_client.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

struct RulerTargetOptions {
  // Namespaces are PREFIX SEPARATOR STEM where the ruler keeps tenants apart by
  // a header, and PREFIX SEPARATOR UID SEPARATOR STEM where labels do. All that
  // begin with PREFIX SEPARATOR are ours.
  std::string prefix = "insula";
  std::string separator = "/";
  size_t max_list_bytes = 64 << 20;
};

// Lists all groups, then sends what differs: updates, creates, deletes. If the
// list can't be had, nothing is sent. A tenant that has as many groups as its
// ruler allows can't even update one; then deletes come first, and updates are
// a delete and a create.
//
// What the ruler says is wrong with a group is final until the group changes;
// all else is tried again. Groups are active when a second list shows them.
class RulerTarget final : public Target {
 public:
  // `client` and `blocking` outlive it.
  RulerTarget(RulerTargetOptions options, http::Client* client,
              runtime::BlockingPool* blocking);

  boost::asio::awaitable<SyncResult> Sync(
      std::shared_ptr<const DesiredUnit> desired, bool may_delete) override;

 private:
  using Place = std::pair<std::string, std::string>;  // Namespace and group.
  struct Verdict {
    std::string digest;  // Of the group that was refused.
    std::string error;
  };
  class Round;

  const RulerTargetOptions options_;
  http::Client* const client_;
  runtime::BlockingPool* const blocking_;
  std::map<Place, Verdict> refused_;
};

}  // namespace insula::rule_sync
