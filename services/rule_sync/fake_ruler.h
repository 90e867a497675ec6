// A Cortex ruler for tests: its configuration API, to the letter, and moods.
//
// Paths, codes and texts are those of Cortex' pkg/ruler/api.go. What it checks
// of rules is what libs/rules checks.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/rules/group.h"
#include "libs/sync/mutex.h"

namespace insula::rule_sync {

// Thread-safe.
class FakeRuler {
 public:
  // What it does in place of the right thing.
  struct Mood {
    enum class Kind {
      kGood,
      kAnswers,  // With `status` and `body`; nothing is done.
      kHangs,    // Answers when told to, or never.
      kHalf,     // Does it, and answers with the first half of the text.
      kForgets,  // Answers as if it had done it.
    };
    Kind kind = Kind::kGood;
    int status = 0;
    std::string body = {};
    std::string content_type = "text/plain; charset=utf-8";
    std::string retry_after = {};
    int times = -1;             // Then it is good again; -1: for ever.
    std::string method = {};    // Of requests with that method only, if set.
    std::string contains = {};  // Of those whose target contains this.
  };

  struct Seen {
    std::string org;
    std::string method;
    std::string target;  // As sent.
    std::string body;
  };

  using Place = std::pair<std::string, std::string>;  // Namespace and group.

  // Listens on 127.0.0.1; `metrics` outlives it.
  FakeRuler(boost::asio::any_io_executor executor, metrics::Registry* metrics,
            std::string tenant_header = "X-Scope-OrgID");

  std::string url() const;

  // Without authentication all belongs to the tenant `fake`, and no header is
  // looked at.
  void SetAuthentication(bool on);
  // 0: none. Per tenant, and per group.
  void SetLimits(int64_t groups, int64_t rules);
  // Of one tenant; of all with "".
  void SetMood(absl::string_view org, Mood mood);

  // What the ruler has of a tenant.
  std::set<Place> Places(absl::string_view org) const;
  std::optional<rules::Group> Find(absl::string_view org,
                                   const Place& place) const;
  // All of it as text, to compare.
  std::string Dump(absl::string_view org) const;

  // Puts a group there past the API. `yaml` is one group.
  void Plant(absl::string_view org, absl::string_view name_space,
             absl::string_view yaml);

  // The requests since the last call.
  std::vector<Seen> TakeSeen();

  // Blocks until a request hangs. Then lets all that hang go on.
  void AwaitHanging();
  void Release();

 private:
  using Groups = std::vector<rules::Group>;
  using Namespaces = std::map<std::string, Groups>;

  static boost::asio::awaitable<http::Response> Answer(FakeRuler* self,
                                                       http::Request request);
  std::shared_ptr<boost::asio::steady_timer> AddHanging(
      boost::asio::any_io_executor executor);
  Mood TakeMood(const std::string& org, const http::Request& request);
  http::Response Do(const http::Request& request, const std::string& org,
                    bool forget);
  http::Response Get(const Namespaces& all,
                     const std::vector<std::string>& path) const;
  http::Response Post(Namespaces* all, const std::string& name_space,
                      absl::string_view body)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string tenant_header_;
  mutable sync::Mutex mutex_;
  std::condition_variable_any changed_;
  bool authentication_ ABSL_GUARDED_BY(mutex_) = true;
  int64_t max_groups_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t max_rules_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Namespaces> tenants_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Mood> moods_ ABSL_GUARDED_BY(mutex_);
  std::vector<Seen> seen_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<boost::asio::steady_timer>> hanging_
      ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<http::Server> server_;
};

}  // namespace insula::rule_sync
