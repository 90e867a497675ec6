#include "services/query_frontend/targets_answer.h"

#include <simdjson.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

using simdjson::dom::element;
using Read = absl::StatusOr<std::optional<std::string>>;
using Labels = simdjson::dom::object;

// What types append to the name of a family.
constexpr absl::string_view kSuffixes[] = {
    "", "_bucket", "_sum", "_count", "_total", "_created", "_info"};

absl::Status NotTargets() {
  return absl::InternalError("data is not a list of targets");
}

// The object of strings that is member `name`.
absl::StatusOr<Labels> LabelsAt(const element& object, const char* name) {
  element value;
  Labels labels;
  if (!object.is_object() || object[name].get(value) != simdjson::SUCCESS ||
      !IsObjectOfStrings(value) || value.get(labels) != simdjson::SUCCESS) {
    return NotTargets();
  }
  return labels;
}

std::string CopyTarget(const element& target, bool details) {
  JsonObject copy;
  if (details) {
    for (const char* name :
         {"discoveredLabels", "scrapeUrl", "globalUrl", "lastError"}) {
      copy.Copy(target, name);
    }
  } else {
    copy.Add("discoveredLabels", "{}");
    for (const char* name : {"scrapeUrl", "globalUrl", "lastError"}) {
      copy.Add(name, R"("")");
    }
  }
  for (const char* name :
       {"labels", "scrapePool", "lastScrape", "lastScrapeDuration", "health",
        "scrapeInterval", "scrapeTimeout"}) {
    copy.Copy(target, name);
  }
  return std::move(copy).Finish();
}

bool MatchesTarget(const std::vector<labels::Matcher>& match,
                   const Labels& labels) {
  return std::all_of(
      match.begin(), match.end(), [&labels](const labels::Matcher& matcher) {
        std::string_view value;
        const absl::string_view name = matcher.name();
        if (labels[std::string_view(name.data(), name.size())].get(value) !=
            simdjson::SUCCESS) {
          value = "";
        }
        return matcher.Matches(View(value));
      });
}

bool MayReadFamily(absl::string_view family, const Labels& target,
                   const tenancy::ReadPolicy& reads) {
  return std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                     [&](absl::string_view suffix) {
                       return IsVisibleAs(absl::StrCat(family, suffix), target,
                                          reads);
                     });
}

bool IsFamilyOf(const MetricNames& names, absl::string_view family) {
  return std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                     [&](absl::string_view suffix) {
                       return names.contains(absl::StrCat(family, suffix));
                     });
}

// The items of a family, equal ones once.
absl::StatusOr<std::string> CopyFamily(const simdjson::dom::array& items,
                                       const MetadataRequest& request) {
  JsonArray kept;
  std::set<std::string> seen;
  int64_t count = 0;
  for (const element item : items) {
    if (!item.is_object()) {
      return absl::InternalError("data is not metadata of metrics");
    }
    if (request.limit_per_metric > 0 && count == request.limit_per_metric) {
      break;
    }
    JsonObject copy;
    copy.Copy(item, "type");
    if (request.help) {
      copy.Copy(item, "help");
    } else {
      copy.Add("help", R"("")");
    }
    copy.Copy(item, "unit");
    std::string text = std::move(copy).Finish();
    if (!seen.insert(text).second) continue;
    kept.Add(text);
    ++count;
  }
  return std::move(kept).Finish();
}

}  // namespace

DataReader ReadTargets(bool dropped, bool details, SharedReads reads) {
  return [dropped, details,
          reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array targets;
    if (!data.is_object() ||
        data["activeTargets"].get(targets) != simdjson::SUCCESS) {
      return NotTargets();
    }
    JsonArray kept;
    for (const element target : targets) {
      ASSIGN_OR_RETURN(const Labels labels, LabelsAt(target, "labels"));
      if (dropped || !IsVisibleAs("up", labels, *reads)) continue;
      kept.Add(CopyTarget(target, details));
    }
    JsonObject copy;
    copy.Add("activeTargets", std::move(kept).Finish());
    copy.Add("droppedTargets", "[]");
    return std::move(copy).Finish();
  };
}

DataReader ReadTargetMetadata(TargetMetadataRequest request,
                              SharedReads reads) {
  return [request =
              std::make_shared<const TargetMetadataRequest>(std::move(request)),
          reads = std::move(reads)](const element& data) -> Read {
    simdjson::dom::array items;
    if (data.get(items) != simdjson::SUCCESS) return NotTargets();
    JsonArray kept;
    int64_t count = 0;
    for (const element item : items) {
      if (request->limit >= 0 && count >= request->limit) break;
      ASSIGN_OR_RETURN(const Labels target, LabelsAt(item, "target"));
      const absl::string_view metric = request->metric.empty()
                                           ? StringAt(item, "metric")
                                           : absl::string_view(request->metric);
      if (!MatchesTarget(request->match, target) ||
          !MayReadFamily(metric, target, *reads)) {
        continue;
      }
      JsonObject copy;
      for (const char* name : {"target", "metric", "type", "help", "unit"}) {
        copy.Copy(item, name);
      }
      kept.Add(std::move(copy).Finish());
      ++count;
    }
    return std::move(kept).Finish();
  };
}

DataReader CollectNames(std::shared_ptr<MetricNames> names) {
  return [names = std::move(names)](const element& data) -> Read {
    simdjson::dom::array array;
    if (data.get(array) != simdjson::SUCCESS) {
      return absl::InternalError("data is not a list of strings");
    }
    for (const element item : array) {
      std::string_view name;
      if (item.get(name) != simdjson::SUCCESS) {
        return absl::InternalError("data is not a list of strings");
      }
      names->emplace(name);
    }
    return std::nullopt;
  };
}

DataReader ReadMetadata(MetadataRequest request) {
  return [request = std::move(request)](const element& data) -> Read {
    Labels families;
    if (data.get(families) != simdjson::SUCCESS) {
      return absl::InternalError("data is not metadata of metrics");
    }
    JsonObject kept;
    int64_t count = 0;
    for (const auto family : families) {
      if (request.limit >= 0 && count >= request.limit) break;
      simdjson::dom::array items;
      if (family.value.get(items) != simdjson::SUCCESS) {
        return absl::InternalError("data is not metadata of metrics");
      }
      if (request.names != nullptr &&
          !IsFamilyOf(*request.names, View(family.key))) {
        continue;
      }
      ASSIGN_OR_RETURN(const std::string copy, CopyFamily(items, request));
      kept.Add(View(family.key), copy);
      ++count;
    }
    return std::move(kept).Finish();
  };
}

}  // namespace insula::query_frontend
