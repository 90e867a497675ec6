#include "libs/fair_queue/request_rates.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace insula::fair_queue {

RateZones PredecessorZones(RouteClass route) {
  RateZones zones;
  switch (route) {
    case RouteClass::kQuery:
      zones.tenant = {5, 3};
      zones.uri = {3, 2};
      zones.address = {10, 5};
      break;
    case RouteClass::kApi:
      zones.tenant = {5, 5};
      zones.address = {10, 10};
      break;
    case RouteClass::kDebug:
      zones.tenant = {5, 1};
      zones.address = {10, 2};
      break;
    case RouteClass::kCollected:
      zones.tenant = {5, 1};
      zones.address = {10, 2};
      break;
  }
  return zones;
}

std::optional<RequestRates::Refused> RequestRates::Take(
    RouteClass route, const RateZones& zones, absl::string_view tenant_uid,
    absl::string_view uri, absl::string_view address, absl::Time now) {
  struct Zone {
    absl::string_view name;
    const Rate* rate;
    limits::KeyedTokenBuckets* buckets;
    std::string key;
  };
  const int number = static_cast<int>(route);
  const std::vector<Zone> all = {
      {"tenant", &zones.tenant, &tenants_, absl::StrCat(number, tenant_uid)},
      // A collision makes two URIs share a rate, no more.
      {"uri", &zones.uri, &uris_,
       absl::StrCat(
           number,
           absl::Hash<std::pair<absl::string_view, absl::string_view>>()(
               {tenant_uid, uri}))},
      {"address", &zones.address, &addresses_, absl::StrCat(number, address)}};
  for (size_t i = 0; i < all.size(); ++i) {
    const Zone& zone = all[i];
    if (zone.rate->per_second <= 0) continue;
    limits::TokenBucket::Options options;
    options.rate = zone.rate->per_second;
    options.burst = 1 + std::max(0, zone.rate->burst);
    const auto wait = zone.buckets->Take(zone.key, options, 1, now);
    if (!wait.has_value()) continue;
    for (size_t taken = 0; taken < i; ++taken) {
      if (all[taken].rate->per_second <= 0) continue;
      all[taken].buckets->Return(all[taken].key, 1);
    }
    return Refused{zone.name, std::max(*wait, zones.retry_after)};
  }
  return std::nullopt;
}

}  // namespace insula::fair_queue
