// Targets and metadata: what of a store's a tenant is shown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "libs/labels/matcher.h"
#include "services/query_frontend/answer_data.h"

namespace insula::query_frontend {

// Of `targets`. A target is seen by who may read its series `up`. Where it is
// scraped, what it was discovered as and the text of its last error are left
// empty unless `details`. `dropped`: only dropped targets are asked for, and
// these belong to nobody.
DataReader ReadTargets(bool dropped, bool details, SharedReads reads);

// Of `targets/metadata`.
struct TargetMetadataRequest {
  std::vector<labels::Matcher> match;  // On labels of targets; none: all.
  std::string metric;                  // "": all, then each item names its own.
  int64_t limit = -1;                  // Negative: none.
};
// An item is seen by who may read a series of that metric of that target: of
// its name, or its name with a suffix that its type brings with it.
DataReader ReadTargetMetadata(TargetMetadataRequest request, SharedReads reads);

using MetricNames = absl::flat_hash_set<std::string>;

// Of the values of `__name__`: puts them into `*names`, which the result
// shares.
DataReader CollectNames(std::shared_ptr<MetricNames> names);

// Of `metadata`. A family is seen by who sees a series of it, by `names`; null:
// all are. Its help text may be that of another tenant's target, and so is left
// empty unless `help`.
struct MetadataRequest {
  std::shared_ptr<const MetricNames> names;
  bool help = false;
  int64_t limit = -1;             // Of families; negative: none.
  int64_t limit_per_metric = -1;  // Of items of each; not positive: none.
};
DataReader ReadMetadata(MetadataRequest request);

}  // namespace insula::query_frontend
