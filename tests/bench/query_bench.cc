// query-bench [BIN_DIR]: CPU time of the query-frontend for a small query.
//
// Starts the tenant-registry and query-frontend of BIN_DIR (default: its own
// directory), a store that answers each request with the same vector, and a
// sender with keep-alive connections; each is a process of its own, so that
// only the frontend's time is counted. Prints
//   {"name":"query.small.cpu_us","value":...,"unit":"us"}

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bench/harness.h"

namespace insula::bench {
namespace {

constexpr int kConnections = 4;
constexpr int kWarmUp = 4'000;
constexpr int kRequests = 40'000;
constexpr char kToken[] = "bench-token";

// A vector of five series, as an HTTP response.
std::string StoreAnswer() {
  std::string result;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&result, i == 0 ? "" : ",",
                    R"({"metric":{"__name__":"up","namespace":"red",)"
                    R"("job":"node","instance":"10.0.0.)",
                    i, R"(:9100"},"value":[1760003000.123,"1"]})");
  }
  const std::string body = absl::StrCat(
      R"({"status":"success","data":{"resultType":"vector","result":[)", result,
      "]}}");
  return absl::StrCat(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ",
      body.size(), "\r\n\r\n", body);
}

// Sends `count` queries; 0 if every one succeeded.
int SendQueries(int port, int count) {
  const std::string request = absl::StrCat(
      "GET /api/v1/query?query=up%7Bjob%3D%22node%22%7D&time=1760003000 "
      "HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ",
      kToken, "\r\n\r\n");
  std::atomic<int> left = count;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&] {
      Connection connection(Connection::Dial(port));
      while (failed == 0 && left.fetch_sub(1) > 0) {
        if (!connection.Send(request) ||
            !absl::StartsWith(connection.Receive(), "HTTP/1.1 200")) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed == 0 ? 0 : 1;
}

void RunSender(int port, int count) {
  Child sender([port, count] { return SendQueries(port, count); });
  if (sender.Wait() != 0) Die("a query was not answered with 200");
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

void Measure(const std::string& bin) {
  const e2e::TempDir dir;
  int store_port = 0;
  const int listener = Listen(&store_port);
  const Child store(
      [listener] { return ServeAlways(listener, StoreAnswer()); });

  const std::string resources =
      dir.Write("resources.yaml", Resources(store_port));
  const e2e::Service registry = StartOrDie(
      dir, bin, "tenant-registry",
      absl::StrCat("storage: {path: ", dir.path(),
                   "/registry.db}\nsources: {files: [", resources, "]}"));
  const e2e::Service frontend = StartOrDie(
      dir, bin, "query-frontend",
      absl::StrCat("registry: {address: 127.0.0.1:", registry.ports.at("grpc"),
                   ", state_dir: ", dir.path(),
                   "/state}\nlisteners:\n"
                   "  - {name: api, listen_address: 127.0.0.1:0}"));
  const int port = frontend.ports.at("api");

  RunSender(port, kWarmUp);
  const absl::Duration before = CpuTime(frontend.process->pid());
  RunSender(port, kRequests);
  const absl::Duration used = CpuTime(frontend.process->pid()) - before;
  std::printf(
      "{\"name\":\"query.small.cpu_us\",\"value\":%.1f,\"unit\":\"us\"}\n",
      absl::ToDoubleMicroseconds(used) / kRequests);
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  insula::bench::Measure(argc > 1 ? argv[1] : insula::bench::OwnDirectory());
  return 0;
}
