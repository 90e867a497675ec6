#include "tests/bench/query_setup.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/callgrind.h"
#include "tests/bench/query_relay.h"
#include "tests/e2e/harness/http.h"

namespace insula::bench {
namespace {

constexpr char kToken[] = "bench-token";
constexpr char kFrontend[] = "query-frontend";
constexpr int kConnections = 4;
// As ingest-bench: short, and many, so that the median is not moved by what
// else the machine does.
constexpr int kSlices = 25;
constexpr absl::string_view kOk = "HTTP/1.1 200";
constexpr absl::string_view kAny = "HTTP/1.1 ";

std::string HeadLines() {
  return absl::StrCat(" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ",
                      kToken, "\r\n");
}

std::string Resources(int store_port) {
  return absl::StrCat(
      "kind: Upstream\nid: store\nspec:\n  query_url: http://127.0.0.1:",
      store_port,
      "\n  isolation: ISOLATION_LABEL\n---\n"
      "kind: Tenant\nid: red\nspec:\n  upstream_id: store\n"
      "  enforced_labels: {namespace: red}\n---\n"
      "kind: Binding\nid: red\nspec:\n  token_sha256: \"",
      TokenHash(kToken), "\"\n  tenant_ids: [red]\n  roles: [ROLE_READ]\n");
}

// 0 if every answer was as wanted.
int SendAll(int port, const std::string& request, int count,
            absl::string_view wanted) {
  const size_t anew = request.find(kAnew.data(), 0, kAnew.size());
  std::atomic<int64_t> number = absl::GetCurrentTimeNanos();
  std::atomic<int> left = count;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&] {
      Connection connection(Connection::Dial(port));
      std::string own = request;
      while (failed == 0 && left.fetch_sub(1) > 0) {
        if (anew != std::string::npos) {
          own.replace(anew, kAnew.size(),
                      absl::StrCat(absl::Hex(++number, absl::kZeroPad16)));
        }
        if (!connection.Send(own) ||
            !absl::StartsWith(connection.Receive(), wanted)) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed == 0 ? 0 : 1;
}

// CPU microseconds of `who`, which listens on `at`, for each of `count`
// requests. From another process, by several connections. Each answer begins
// with `wanted`.
double Cost(pid_t who, int at, const std::string& request, int count,
            absl::string_view wanted) {
  const absl::Duration before = CpuTime(who);
  Child sender([&] { return SendAll(at, request, count, wanted); });
  if (sender.Wait() != 0) {
    Die(absl::StrCat("a request was not answered with '", wanted, "'"));
  }
  return absl::ToDoubleMicroseconds(CpuTime(who) - before) / count;
}

}  // namespace

std::string Get(absl::string_view target) {
  return absl::StrCat("GET ", target, HeadLines(), "\r\n");
}

std::string PostForm(absl::string_view path, absl::string_view form,
                     absl::string_view more_headers) {
  return absl::StrCat("POST ", path, HeadLines(), more_headers,
                      "Content-Type: application/x-www-form-urlencoded\r\n"
                      "Content-Length: ",
                      form.size(), "\r\n\r\n", form);
}

BareRelay::BareRelay(std::string answer, std::string request)
    : request_(std::move(request)),
      store_listener_(Listen(&store_port_)),
      listener_(Listen(&port_)),
      store_([&] { return ServeAlways(store_listener_, answer); }),
      relay_([this] { return Relay(listener_, store_port_); }) {
  close(store_listener_);
  close(listener_);
}

double BareRelay::Cost(int requests) const {
  return bench::Cost(relay_.pid(), port_, request_, requests, kOk);
}

QuerySetup::QuerySetup(const QuerySetupOptions& options)
    : listener_(Listen(&store_port_)), store_([this, &options] {
        return ServeAlways(listener_, options.answer);
      }) {
  const std::string& dir = temp_.path();
  temp_.Write("resources.yaml", Resources(store_port_));
  registry_ = std::make_unique<e2e::Service>(StartOrDie(
      temp_, options.bin, "tenant-registry",
      absl::StrCat("storage: {path: ", dir, "/registry.db}\nsources: {files: [",
                   dir, "/resources.yaml]}")));
  frontend_ = std::make_unique<e2e::Service>(StartOrDie(
      temp_,
      options.callgrind ? UnderCallgrind(temp_, options.bin, kFrontend)
                        : options.bin,
      kFrontend,
      absl::StrCat("api: {request_log: true}\ncache: {enabled: ",
                   options.cache ? "true" : "false",
                   "}\nregistry: {address: 127.0.0.1:",
                   registry_->ports.at("grpc"), ", state_dir: ", dir,
                   "/state}\nlisteners:\n"
                   "  - {name: api, listen_address: 127.0.0.1:0}\n")));
}

double QuerySetup::MeasureCpu(const std::string& request,
                              int requests_of_slice) const {
  return Measure(request, requests_of_slice, kOk);
}

double QuerySetup::MeasureRelays(const std::string& request,
                                 const BareRelay& relay,
                                 int requests_of_slice) const {
  std::vector<double> ratios;
  for (int slice = 0; slice < kSlices; ++slice) {
    const double ours = Cost(pid(), port(), request, requests_of_slice, kOk);
    ratios.push_back(ours / relay.Cost(requests_of_slice));
  }
  return MedianOf(std::move(ratios));
}

double QuerySetup::MeasureCpuOfAny(const std::string& request,
                                   int requests_of_slice) const {
  return Measure(request, requests_of_slice, kAny);
}

double QuerySetup::Measure(const std::string& request, int requests_of_slice,
                           absl::string_view wanted) const {
  std::vector<double> costs;
  Cost(pid(), port(), request, 2 * requests_of_slice, wanted);
  for (int slice = 0; slice < kSlices; ++slice) {
    costs.push_back(Cost(pid(), port(), request, requests_of_slice, wanted));
  }
  return MedianOf(std::move(costs));
}

double QuerySetup::MeasureLatency(const std::string& request, int count) const {
  Connection connection(Connection::Dial(port()));
  std::vector<double> waits;
  for (int i = -count / 10; i < count; ++i) {
    const absl::Time sent_at = absl::Now();
    if (!connection.Send(request) ||
        !absl::StartsWith(connection.Receive(), kOk)) {
      Die("a request was not answered");
    }
    const absl::Duration wait = absl::Now() - sent_at;
    if (i >= 0) waits.push_back(absl::ToDoubleMicroseconds(wait));
  }
  return MedianOf(std::move(waits));
}

int64_t QuerySetup::CacheHits() const {
  const std::string text =
      e2e::HttpSend(frontend_->ports.at("admin"), "GET", "/metrics").body;
  const std::string name = "insula_range_cache_requests_total{result=\"hit\"} ";
  const size_t at = text.find(name);
  double hits = 0;
  if (at == std::string::npos ||
      !absl::SimpleAtod(
          text.substr(at + name.size(), text.find('\n', at) - at - name.size()),
          &hits)) {
    Die("the frontend does not tell of its cache");
  }
  return static_cast<int64_t>(hits);
}

double QuerySetup::MeasureInstructions(const std::string& request,
                                       int requests) const {
  const auto send = [&] { Cost(pid(), port(), request, requests, kOk); };
  send();
  return CountInstructions(temp_, pid(), send) / requests;
}

}  // namespace insula::bench
