#include "services/query_frontend/collected_metrics.h"

#include <simdjson.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/labels/matcher.h"
#include "libs/promql/parser.h"
#include "libs/promql/printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {
namespace {

namespace asio = boost::asio;
using simdjson::dom::element;

constexpr absl::string_view kNames[] = {
    "up",
    "scrape_samples_scraped",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "go_goroutines",
    "http_requests_total",
    "node_load1",
    "node_memory_MemAvailable_bytes",
    "container_cpu_usage_seconds_total",
    "kube_pod_info",
};
constexpr size_t kMostSeries = 10;
constexpr double kMillisecondsPerSecond = 1e3;

std::string Escape(absl::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped.push_back('\\');
    if (c == '\n') {
      absl::StrAppend(&escaped, "\\n");
    } else {
      escaped.push_back(c);
    }
  }
  return escaped;
}

// `name{label="value"} 1.5 1763800000000`, of an element of a vector.
absl::StatusOr<std::string> Line(const element& series) {
  simdjson::dom::object metric;
  simdjson::dom::array value;
  double at = 0;
  std::string_view number;
  if (!series.is_object() ||
      series["metric"].get(metric) != simdjson::SUCCESS ||
      series["value"].get(value) != simdjson::SUCCESS || value.size() != 2 ||
      value.at(0).get(at) != simdjson::SUCCESS ||
      value.at(1).get(number) != simdjson::SUCCESS) {
    return absl::InternalError("data holds an odd series");
  }
  std::string name;
  std::vector<std::string> labels;
  for (const auto field : metric) {
    std::string_view text;
    if (field.value.get(text) != simdjson::SUCCESS) {
      return absl::InternalError("data holds an odd label");
    }
    if (View(field.key) == labels::kMetricName) {
      name = std::string(text);
    } else {
      labels.push_back(
          absl::StrCat(View(field.key), "=\"", Escape(View(text)), "\""));
    }
  }
  return absl::StrCat(name, "{", absl::StrJoin(labels, ","), "} ", View(number),
                      " ", static_cast<int64_t>(at * kMillisecondsPerSecond),
                      "\n");
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CollectedQueries(
    absl::string_view query) {
  if (query.empty())
    return std::vector<std::string>(std::begin(kNames), std::end(kNames));
  absl::StatusOr<promql::ExprPtr> parsed = promql::Parse(query, {});
  if (!parsed.ok()) {
    return Annotate(parsed.status(), "invalid parameter \"metric\"");
  }
  if ((*parsed)->type != promql::ValueType::kVector) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid parameter \"metric\": must be an instant vector, "
                     "is a ",
                     promql::Name((*parsed)->type)));
  }
  return std::vector<std::string>{promql::Print(**parsed)};
}

asio::awaitable<absl::StatusOr<std::string>> CollectMetric(
    std::string query, Policy policy, Backend* backend, std::string request_id,
    absl::Time deadline) {
  const auto lines = std::make_shared<std::vector<std::string>>();
  UpstreamQuery question;
  question.endpoint = Endpoint::kQuery;
  question.request_id = std::move(request_id);
  question.texts = {absl::StrCat("topk(", kMostSeries, ", ", query, ")")};
  question.read_data =
      [lines](
          const element& data) -> absl::StatusOr<std::optional<std::string>> {
    simdjson::dom::array result;
    if (!data.is_object() || StringAt(data, "resultType") != "vector" ||
        data["result"].get(result) != simdjson::SUCCESS) {
      return absl::InternalError("data holds no vector");
    }
    for (const element series : result) {
      if (lines->size() == kMostSeries) break;
      ASSIGN_OR_RETURN(std::string line, Line(series));
      lines->push_back(std::move(line));
    }
    return std::nullopt;
  };
  const std::string store = policy.upstream_id;
  absl::StatusOr<Answer> answer =
      co_await backend->Ask(&question, &policy, deadline);
  if (!answer.ok()) co_return answer.status();
  if (answer->http_status != 200) {
    co_return absl::UnavailableError(absl::StrCat(
        "insula: upstream ", store, " refused it with ", answer->http_status));
  }
  co_return absl::StrCat("# Job: ", store, "/", query, " (", lines->size(),
                         " metrics)\n", absl::StrJoin(*lines, ""));
}

}  // namespace insula::query_frontend
