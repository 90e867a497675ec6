// How many requests a second, by who asks, for what and from where.
#pragma once

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/limits/keyed_token_buckets.h"

namespace insula::fair_queue {

// 1 + `burst` requests at once, and `per_second` in the long run. 0 a second:
// no limit.
struct Rate {
  double per_second = 0;
  int burst = 0;
};

struct RateZones {
  Rate tenant;
  Rate uri;  // Of a path with its parameters, of one tenant.
  Rate address;
  // What a refused caller is told to wait, at least.
  absl::Duration retry_after = absl::Seconds(30);
};

// What is asked for, as far as rates differ by it.
enum class RouteClass {
  kQuery,      // query and query_range.
  kApi,        // Other endpoints of the API.
  kDebug,      // /debug/.
  kCollected,  // /collected-metrics.
};

// The zones of prometheus-multi-tenant-proxy as it is deployed: 5 a second of a
// tenant, 3 of a URI, 10 of an address, with its bursts.
RateZones PredecessorZones(RouteClass route);

// Thread-safe. Remembers who asked in the last seconds only, and of URIs a
// hash.
class RequestRates {
 public:
  struct Refused {
    absl::string_view zone;  // "tenant", "uri" or "address".
    absl::Duration retry_after;
  };

  // Whether a request may pass now; one that may not counts in no zone. Routes
  // of different classes are counted apart. `now` does not jump.
  std::optional<Refused> Take(RouteClass route, const RateZones& zones,
                              absl::string_view tenant_uid,
                              absl::string_view uri, absl::string_view address,
                              absl::Time now);

 private:
  limits::KeyedTokenBuckets tenants_;
  limits::KeyedTokenBuckets uris_;
  limits::KeyedTokenBuckets addresses_;
};

}  // namespace insula::fair_queue
