// query-bench [--bin DIR] [NAME]...: what the query-frontend costs.
//
// Starts the services of DIR (default: its own directory), a store that answers
// each request with the same, and a sender with keep-alive connections; each is
// a process of its own, so that only the frontend's time, user and system, is
// counted. The log of requests is on. Prints
//   {"name":"query.small.cpu_us","value":...,"unit":"us"}
// for each of kMeasurements, or those named. Exits with 1 if a figure is beyond
// its limit.
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tests/bench/callgrind.h"
#include "tests/bench/figures.h"
#include "tests/bench/harness.h"
#include "tests/bench/measurements.h"
#include "tests/bench/query_gates.h"
#include "tests/bench/query_setup.h"
#include "tests/e2e/harness/http.h"

namespace insula::bench {
namespace {

constexpr int kCacheHits = 4000;
constexpr size_t kStreamBytes = 100'000'000;
constexpr size_t kChainBytes = 160'000;
constexpr absl::string_view kClose = "Connection: close\r\n";

constexpr absl::string_view kNoStore = "Cache-Control: no-store\r\n";

std::string HttpAnswer(absl::string_view body,
                       absl::string_view more_headers = "") {
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
                      more_headers, "Content-Length: ", body.size(), "\r\n\r\n",
                      body);
}

std::string LabelsOf(int number) {
  return absl::StrCat(R"({"__name__":"up","namespace":"red","job":"node",)",
                      R"("instance":"10.0.0.)", number, R"(:9100"})");
}

// Five series each.
std::string Vector() {
  std::string result;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&result, i == 0 ? "" : ",", "{\"metric\":", LabelsOf(i),
                    R"(,"value":[1760003000.123,"1"]})");
  }
  return HttpAnswer(absl::StrCat(
      R"({"status":"success","data":{"resultType":"vector","result":[)", result,
      "]}}"));
}

std::string SeriesList() {
  std::string result;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&result, i == 0 ? "" : ",", LabelsOf(i));
  }
  return HttpAnswer(
      absl::StrCat(R"({"status":"success","data":[)", result, "]}"));
}

// At least so many bytes, of series with a thousand points.
std::string Matrix(size_t least_bytes) {
  std::string body =
      R"({"status":"success","data":{"resultType":"matrix","result":[)";
  std::string points;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&points, i == 0 ? "" : ",", "[", 1760003000 + 15 * i, ",\"",
                    1000 + i, ".25\"]");
  }
  body.reserve(least_bytes + 2 * points.size());
  for (int i = 0; body.size() < least_bytes; ++i) {
    absl::StrAppend(&body, i == 0 ? "" : ",", "{\"metric\":", LabelsOf(i),
                    ",\"values\":[", points, "]}");
  }
  absl::StrAppend(&body, "]}}");
  return HttpAnswer(body);
}

constexpr int64_t kStart = 1760003000;
constexpr int64_t kEnd = kStart + 3600;
constexpr int64_t kStep = 60;

// Five series, with a point at each step.
std::string RangeResult(absl::string_view more_headers) {
  std::string points;
  for (int64_t at = kStart; at <= kEnd; at += kStep) {
    absl::StrAppend(&points, at == kStart ? "" : ",", "[", at, ",\"", at % 997,
                    ".25\"]");
  }
  std::string result;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&result, i == 0 ? "" : ",", "{\"metric\":", LabelsOf(i),
                    ",\"values\":[", points, "]}");
  }
  return HttpAnswer(
      absl::StrCat(
          R"({"status":"success","data":{"resultType":"matrix","result":[)",
          result, "]}}"),
      more_headers);
}

std::string SmallRequest() {
  return Get("/api/v1/query?query=up%7Bjob%3D%22node%22%7D&time=1760003000");
}

std::string RangeRequest(absl::string_view query,
                         absl::string_view more_headers = "") {
  return PostForm("/api/v1/query_range",
                  e2e::FormEncode({{"query", std::string(query)},
                                   {"start", absl::StrCat(kStart)},
                                   {"end", absl::StrCat(kEnd)},
                                   {"step", absl::StrCat(kStep)}}),
                  more_headers);
}

// Of the form and the length of the longest rule of kubernetes-mixin, the
// availability of an API server in 30 days: eight selectors and twelve regular
// expressions in 1.5 kB.
std::string LongestRule(absl::string_view comment = "") {
  const auto took = [](absl::string_view more) {
    return absl::StrCat(
        "      sum by (cluster) (cluster_verb_scope_le:"
        "server_request_sli_duration_seconds_bucket:increase30d{",
        more, "})\n");
  };
  const auto count = [](absl::string_view verbs) {
    return absl::StrCat(
        "    sum by (cluster) (cluster_verb_scope:"
        "server_request_sli_duration_seconds_count:increase30d{verb=~\"",
        verbs, "\"})\n    -\n");
  };
  return absl::StrCat(
      comment, "1 - (\n  (\n    # writes that took too long\n",
      count("POST|PUT|PATCH|DELETE"), "    (\n",
      took(R"(verb=~"POST|PUT|PATCH|DELETE",le=~"1(\\.0)?")"),
      "      or\n      vector(0)\n    )\n  ) +\n"
      "  (\n    # reads that took too long\n",
      count("LIST|GET"), "    (\n      (\n",
      took(R"(verb=~"LIST|GET",scope=~"resource|",le=~"1(\\.0)?")"),
      "        or\n        vector(0)\n      )\n      +\n",
      took(R"(verb=~"LIST|GET",scope="namespace",le=~"5(\\.0)?")"), "      +\n",
      took(R"(verb=~"LIST|GET",scope="cluster",le=~"30(\\.0)?")"),
      "    )\n  ) +\n  # those that failed\n"
      "  sum by (cluster) "
      "(code:server_request_total:increase30d{code=~\"5..\"} "
      "or vector(0))\n)\n/\n"
      "sum by (cluster) (code:server_request_total:increase30d)\n");
}

std::string Selectors64() {
  std::string query;
  for (int i = 0; i < 64; ++i) {
    absl::StrAppend(&query, i == 0 ? "" : " + ",
                    "sum(rate(requests_total{job=\"j", i,
                    "\",code=\"500\"}[5m]))");
  }
  return RangeRequest(query);
}

std::string Series20() {
  std::vector<std::pair<std::string, std::string>> params;
  for (int i = 0; i < 20; ++i) {
    params.emplace_back(
        "match[]", absl::StrCat("metric_", i, "{job=\"node\",code=~\"5..\"}"));
  }
  return Get(absl::StrCat("/api/v1/series?", e2e::FormEncode(params)));
}

// kChainBytes of `operand` and '+'.
std::string Chain(absl::string_view operand) {
  std::string query(operand);
  while (query.size() + 1 + operand.size() <= kChainBytes) {
    absl::StrAppend(&query, "+", operand);
  }
  return RangeRequest(query);
}

void MeasureSmall(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = Vector()});
  figures->Print("small.cpu_us", setup.MeasureCpu(SmallRequest(), 2000), "us");
}

// A proxy in the middle has a cost of its own, which varies with the machine.
void MeasureRelays(const std::string& bin, Figures* figures) {
  const BareRelay relay(Vector(), SmallRequest());
  const auto print = [&](absl::string_view name, const std::string& request,
                         const std::string& answer) {
    const QuerySetup setup({.bin = bin, .answer = answer});
    figures->Print(name, setup.MeasureRelays(request, relay, 2000), "x");
  };
  print("small.relays", SmallRequest(), Vector());
  print("longest_rule.relays", RangeRequest(LongestRule()),
        RangeResult(kNoStore));
}

void MeasureLongestRule(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = RangeResult(kNoStore)});
  figures->Print("longest_rule.cpu_us",
                 setup.MeasureCpu(RangeRequest(LongestRule()), 1000), "us");
}

// The same, but never with the same text.
std::string NewRule() {
  return RangeRequest(LongestRule(absl::StrCat("# ", kAnew, "\n")));
}

void MeasureLongestRuleAnew(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = RangeResult(kNoStore)});
  figures->Print("longest_rule_anew.cpu_us", setup.MeasureCpu(NewRule(), 1000),
                 "us");
}

void MeasureSelectors64(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = RangeResult(kNoStore)});
  figures->Print("selectors64.cpu_us", setup.MeasureCpu(Selectors64(), 400),
                 "us");
}

void MeasureSeries20(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = SeriesList()});
  figures->Print("series20.cpu_us", setup.MeasureCpu(Series20(), 1000), "us");
}

// Long chains of `+`: as many numbers as there may be tokens, as many selectors
// as there may be, and more than that.
void MeasureChains(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = RangeResult(kNoStore)});
  for (const auto& [name, operand] :
       std::vector<std::pair<absl::string_view, std::string>>{
           {"numbers", "1.25"},
           {"selectors", std::string(39, 'a')},
           {"refused", "a"}}) {
    figures->Print(absl::StrCat("chain_", name, ".cpu_ms"),
                   setup.MeasureCpuOfAny(Chain(operand), 8) / 1e3, "ms");
  }
}

// What a client waits for an answer of which all is kept, one after the other.
void MeasureCacheHit(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = RangeResult("")});
  const double p50 =
      setup.MeasureLatency(RangeRequest("sum by (instance) (up)"), kCacheHits);
  if (setup.CacheHits() < kCacheHits) Die("the store was asked once more");
  figures->Print("cache_hit.p50_us", p50, "us");
}

// The most memory that the frontend ever had, one such answer included, of
// which nothing is kept for later.
void MeasureStream(const std::string& bin, Figures* figures) {
  const std::string matrix = Matrix(kStreamBytes);
  const QuerySetup setup({.bin = bin, .answer = matrix, .cache = false});
  Connection connection(Connection::Dial(setup.port()));
  // No answer but the matrix is as long.
  if (!connection.Send(RangeRequest("sum by (instance) (up)", kClose)) ||
      connection.ReceiveToEnd() < kStreamBytes) {
    Die("the large matrix has not come");
  }
  figures->Print("stream.rss_mb",
                 static_cast<double>(MemoryBytes(setup.pid(), "VmHWM")) / 1e6,
                 "MB");
}

// The memory of a connection that is open, has sent a query, and does nothing.
void MeasureIdleConnections(const std::string& bin, Figures* figures) {
  const QuerySetup setup({.bin = bin, .answer = Vector()});
  const std::string request = SmallRequest();
  figures->Print("idle_connection_bytes",
                 IdleConnectionBytes(setup.pid(), setup.port(),
                                     [&](Connection* connection) {
                                       if (!connection->Send(request) ||
                                           connection->Receive().empty()) {
                                         Die("a small query was not answered");
                                       }
                                     }),
                 "B");
}

void MeasureInstructions(const std::string& bin, Figures* figures) {
  if (!HasCallgrind()) {
    std::fprintf(stderr,
                 "bench: no query.*.instructions without Debian's package "
                 "valgrind\n");
    return;
  }
  struct Asked {
    absl::string_view name;
    std::string request;
    std::string answer;
  };
  for (const Asked& asked : std::vector<Asked>{
           {"small", SmallRequest(), Vector()},
           {"longest_rule", RangeRequest(LongestRule()), RangeResult(kNoStore)},
           {"longest_rule_anew", NewRule(), RangeResult(kNoStore)},
           {"series20", Series20(), SeriesList()},
           {"cache_hit", RangeRequest("sum by (instance) (up)"),
            RangeResult("")}}) {
    const QuerySetup setup(
        {.bin = bin, .answer = asked.answer, .callgrind = true});
    figures->Print(absl::StrCat(asked.name, ".instructions"),
                   setup.MeasureInstructions(asked.request, 400), "1");
  }
}

constexpr Measurement<Figures> kMeasurements[] = {
    {"small", MeasureSmall},
    {"relays", MeasureRelays},
    {"longest_rule", MeasureLongestRule},
    {"longest_rule_anew", MeasureLongestRuleAnew},
    {"selectors64", MeasureSelectors64},
    {"series20", MeasureSeries20},
    {"chains", MeasureChains},
    {"cache_hit", MeasureCacheHit},
    {"stream", MeasureStream},
    {"idle_connection_bytes", MeasureIdleConnections},
    {"instructions", MeasureInstructions},
};

int Main(int argc, char** argv) {
  std::string bin = OwnDirectory();
  std::set<std::string> names;  // Empty: all.
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--bin" && i + 1 < argc) {
      bin = argv[++i];
    } else {
      names.insert(argv[i]);
    }
  }
  CheckNames<Figures>(kMeasurements, names,
                      "--bin DIR and names such as small");
  AllowManyFiles();  // Connections to the frontend.
  Figures figures("query", kQueryGates);
  RunMeasurements<Figures>(kMeasurements, names, bin, &figures);
  return figures.within_limits() ? 0 : 1;
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return insula::bench::Main(argc, argv);
}
