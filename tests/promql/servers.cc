#include "tests/promql/servers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/labels/matcher.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/harness/http.h"

namespace insula::promql {
namespace {

using nlohmann::json;

bool Passes(const Series& series, const Clause& clause) {
  return std::all_of(
      clause.begin(), clause.end(), [&series](const labels::Matcher& matcher) {
        const auto found = series.labels.find(matcher.name());
        return matcher.Matches(found == series.labels.end() ? ""
                                                            : found->second);
      });
}

std::string OpenMetrics(const std::vector<Series>& all) {
  std::string text;
  for (const Series& series : all) {
    std::string head = series.labels.at("__name__");
    absl::string_view separator = "{";
    for (const auto& [name, value] : series.labels) {
      if (name == "__name__") continue;
      absl::StrAppend(&head, separator, name, "=\"", value, "\"");
      separator = ",";
    }
    if (separator == ",") head += "}";
    for (const auto& [time, value] : series.samples) {
      absl::StrAppend(&text, head, " ", value, " ", time, ".000\n");
    }
  }
  return text + "# EOF\n";
}

bool Same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;  // Infinities.
  return std::abs(a - b) <= 1e-6 + 1e-9 * std::max(std::abs(a), std::abs(b));
}

std::pair<double, double> Sample(const json& pair) {
  double value = 0;
  EXPECT_TRUE(absl::SimpleAtod(pair[1].get<std::string>(), &value));
  return {pair[0].get<double>(), value};
}

}  // namespace

bool IsVisible(const Series& series, const Clauses& clauses) {
  return std::any_of(
      clauses.begin(), clauses.end(),
      [&series](const Clause& clause) { return Passes(series, clause); });
}

std::vector<Series> MakeSeries(int count, std::mt19937& random) {
  const auto pick = [&random](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  std::set<std::map<std::string, std::string>> seen;
  std::vector<Series> all;
  while (static_cast<int>(all.size()) < count) {
    Series series;
    series.labels["__name__"] = pick({"a", "b", "b_total", "c", "h_bucket"});
    for (const auto& [name, values] :
         std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"ns", {"red", "red", "blue", "blue", ""}},
             {"pod", {"p1", "p2", "p3", ""}},
             {"code", {"200", "404", "500", "503", ""}},
             {"team", {"t", ""}}}) {
      if (std::string value = pick(values); !value.empty()) {
        series.labels[name] = std::move(value);
      }
    }
    if (series.labels["__name__"] == "h_bucket") {
      series.labels["le"] = pick({"0.1", "1", "+Inf"});
    }
    if (!seen.insert(series.labels).second) continue;
    int64_t value = 1 + random() % 1'000'000;
    const int64_t from = random() % 4 == 0 ? random() % kSeconds : 0;
    const int64_t to = random() % 4 == 0 ? random() % kSeconds : kSeconds;
    const int64_t shift = random() % 15;
    for (int64_t t = shift; t <= kSeconds; t += 15) {
      value += random() % 50'000;
      if (random() % 40 == 0) value = 1 + random() % 1000;
      if (t < from || t > to || random() % 10 == 0) continue;
      series.samples.emplace_back(kStart + t, value);
    }
    all.push_back(std::move(series));
  }
  return all;
}

bool Same(const Answer& a, const Answer& b) {
  if (a.error != b.error || a.elements.size() != b.elements.size()) {
    return false;
  }
  if (a.error.empty() && a.shape != b.shape) return false;
  for (size_t i = 0; i < a.elements.size(); ++i) {
    const auto& left = a.elements[i];
    const auto& right = b.elements[i];
    if (left.first != right.first ||
        left.second.size() != right.second.size()) {
      return false;
    }
    for (size_t j = 0; j < left.second.size(); ++j) {
      if (left.second[j].first != right.second[j].first ||
          !Same(left.second[j].second, right.second[j].second)) {
        return false;
      }
    }
  }
  return true;
}

Answer Unite(const std::vector<Answer>& answers) {
  Answer united = answers.front();
  for (size_t i = 1; i < answers.size(); ++i) {
    if (united.error.empty()) united.error = answers[i].error;
    united.elements.insert(united.elements.end(), answers[i].elements.begin(),
                           answers[i].elements.end());
  }
  std::sort(united.elements.begin(), united.elements.end());
  united.elements.erase(
      std::unique(united.elements.begin(), united.elements.end()),
      united.elements.end());
  return united;
}

std::string Describe(const Answer& answer) {
  std::string text = absl::StrCat("  ", answer.error, answer.shape, "\n");
  for (const auto& [labels, samples] : answer.elements) {
    absl::StrAppend(&text, "  ", labels);
    for (const auto& [time, value] : samples) {
      absl::StrAppend(&text, " ", value, "@",
                      static_cast<int64_t>(time) - kStart);
    }
    text += "\n";
  }
  return text.substr(0, 4000);
}

Server::Server(const std::vector<Series>& series) : port_(e2e::ClaimPort()) {
  if (!series.empty()) {
    e2e::Process promtool(
        "/usr/bin/promtool",
        {"tsdb", "create-blocks-from", "openmetrics",
         dir_.Write("series.om", OpenMetrics(series)), dir_.path() + "/tsdb"},
        dir_.path() + "/promtool.log");
    EXPECT_EQ(promtool.Wait(e2e::kStartTimeout), 0) << promtool.LogTail();
  }
  process_ = std::make_unique<e2e::Process>(
      "/usr/bin/prometheus",
      std::vector<std::string>{
          "--config.file=" + dir_.Write("prometheus.yml", "global: {}\n"),
          absl::StrCat("--storage.tsdb.path=", dir_.path(), "/tsdb"),
          absl::StrCat("--web.listen-address=127.0.0.1:", port_),
          "--storage.tsdb.retention.time=3650d", "--log.level=warn"},
      dir_.path() + "/prometheus.log");
  EXPECT_TRUE(e2e::WaitUntil(
      [this] { return e2e::HttpSend(port_, "GET", "/-/ready").status == 200; },
      e2e::kStartTimeout))
      << process_->LogTail();
}

Answer Server::Query(absl::string_view query, int64_t time) const {
  return Ask("/api/v1/query",
             {{"query", std::string(query)}, {"time", absl::StrCat(time)}});
}

Answer Server::QueryRange(absl::string_view query, int64_t start) const {
  return Ask("/api/v1/query_range", {{"query", std::string(query)},
                                     {"start", absl::StrCat(start)},
                                     {"end", absl::StrCat(start + 300)},
                                     {"step", "30"}});
}

absl::StatusOr<std::string> Server::Format(absl::string_view query) const {
  const e2e::HttpAnswer http =
      e2e::HttpSend(port_, "POST", "/api/v1/format_query",
                    {{"Content-Type", "application/x-www-form-urlencoded"}},
                    e2e::FormEncode({{"query", std::string(query)}}));
  const json body = json::parse(http.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) {
    ADD_FAILURE() << "no answer: " << http.status << " " << process_->LogTail();
    return absl::UnavailableError("no answer");
  }
  if (body["status"] == "success") return body["data"].get<std::string>();
  return absl::InvalidArgumentError(body["error"].get<std::string>());
}

Answer Server::Ask(
    absl::string_view path,
    std::vector<std::pair<std::string, std::string>> params) const {
  const e2e::HttpAnswer http =
      e2e::HttpSend(port_, "POST", path,
                    {{"Content-Type", "application/x-www-form-urlencoded"}},
                    e2e::FormEncode(params));
  Answer answer;
  const json body = json::parse(http.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) {
    ADD_FAILURE() << "no answer: " << http.status << " " << process_->LogTail();
    return answer;
  }
  if (body["status"] != "success") {
    answer.error = body["errorType"].get<std::string>();
    return answer;
  }
  answer.shape = body["data"]["resultType"].get<std::string>();
  const json& result = body["data"]["result"];
  if (answer.shape == "string") return answer;
  if (answer.shape == "scalar") {
    answer.elements.push_back({"", {Sample(result)}});
    return answer;
  }
  for (const json& element : result) {
    auto& [labels, samples] = answer.elements.emplace_back();
    labels = element["metric"].dump();
    if (element.contains("value")) {
      samples.push_back(Sample(element["value"]));
    } else {
      for (const json& pair : element["values"])
        samples.push_back(Sample(pair));
    }
  }
  std::sort(answer.elements.begin(), answer.elements.end());
  return answer;
}

}  // namespace insula::promql
