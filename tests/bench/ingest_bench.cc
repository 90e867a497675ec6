// ingest-bench [BIN_DIR]: CPU time of the ingest-gateway for a million series.
//
// Starts the tenant-registry and ingest-gateway of BIN_DIR (default: its own
// directory), a store that answers each write with 204, and a sender with
// keep-alive connections; each is a process of its own, so that only the
// gateway's time is counted. The series of a request belong to ten tenants, by
// the label `namespace`; each gets its enforced label. Prints
//   {"name":"ingest.split10.cpu_s_per_mseries","value":...,"unit":"s/Mseries"}
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
#include "tests/bench/write_load.h"

namespace insula::bench {
namespace {

constexpr int kConnections = 4;
constexpr int kDistinct = 64;
constexpr int kWarmUp = 4 * kDistinct;
constexpr int kRequests = 40 * kDistinct;
constexpr char kToken[] = "bench-token";

// Sends `count` requests; 0 if every one was answered with 204.
int SendWrites(int port, int count, const std::vector<std::string>* requests) {
  std::atomic<int> next = 0;
  std::atomic<bool> failed = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&] {
      Connection connection(Connection::Dial(port));
      for (int n; !failed && (n = next.fetch_add(1)) < count;) {
        const absl::string_view answer =
            connection.Send((*requests)[n % requests->size()])
                ? connection.Receive()
                : "";
        if (absl::StartsWith(answer, "HTTP/1.1 204")) continue;
        if (!failed.exchange(true)) {
          std::fprintf(stderr, "%s\n", std::string(answer).c_str());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed ? 1 : 0;
}

// The requests of the load with their HTTP heads.
std::vector<std::string> HttpRequests(const WriteLoad& load) {
  std::vector<std::string> requests;
  for (const std::string& body : MakeRequests(load, kDistinct)) {
    requests.push_back(
        absl::StrCat("POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     "Authorization: Bearer ",
                     kToken,
                     "\r\nContent-Type: application/x-protobuf\r\n"
                     "Content-Encoding: snappy\r\n"
                     "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"
                     "User-Agent: ingest-bench\r\nContent-Length: ",
                     body.size(), "\r\n\r\n", body));
  }
  return requests;
}

std::string Resources(const WriteLoad& load, int store_port) {
  std::string text = absl::StrCat(
      "kind: Upstream\nid: store\nspec:\n"
      "  write_url: http://127.0.0.1:",
      store_port,
      "/api/v1/write\n"
      "  isolation: ISOLATION_LABEL\n---\n"
      "kind: ClaimRule\nid: by-namespace\nspec: {label: namespace}\n---\n"
      "kind: Binding\nid: sender\nspec:\n  token_sha256: \"",
      TokenHash(kToken),
      "\"\n  every_tenant: true\n  roles: [ROLE_WRITE]\n"
      "  claim_rule_id: by-namespace\n");
  for (int i = 0; i < load.tenants; ++i) {
    absl::StrAppend(&text, "---\nkind: Tenant\nid: team-", i,
                    "\nspec: {upstream_id: store, enforced_labels: "
                    "{tenant_id: team-",
                    i, "}}\n");
  }
  return text;
}

void Measure(const std::string& bin) {
  const e2e::TempDir temp;
  const std::string& dir = temp.path();
  const WriteLoad load;
  const std::vector<std::string> requests = HttpRequests(load);

  int store_port;
  const int listener = Listen(&store_port);
  const Child store([listener] {
    return ServeAlways(listener, "HTTP/1.1 204 No Content\r\n\r\n");
  });

  temp.Write("resources.yaml", Resources(load, store_port));
  const e2e::Service registry = StartOrDie(
      temp, bin, "tenant-registry",
      absl::StrCat("storage: {path: ", dir, "/registry.db}\nsources: {files: [",
                   dir, "/resources.yaml]}"));
  const e2e::Service gateway = StartOrDie(
      temp, bin, "ingest-gateway",
      absl::StrCat("registry: {address: '127.0.0.1:", registry.ports.at("grpc"),
                   "', state_dir: ", dir,
                   "/state}\nlisteners:\n"
                   "  - {name: write, listen_address: '127.0.0.1:0'}"));
  const int port = gateway.ports.at("write");

  const auto send = [&](int count) {
    Child sender([&] { return SendWrites(port, count, &requests); });
    if (sender.Wait() != 0) Die("a write was not answered with 204");
  };
  send(kWarmUp);
  const absl::Duration before = CpuTime(gateway.process->pid());
  send(kRequests);
  const absl::Duration used = CpuTime(gateway.process->pid()) - before;
  std::printf(
      "{\"name\":\"ingest.split10.cpu_s_per_mseries\",\"value\":%.3f,"
      "\"unit\":\"s/Mseries\"}\n",
      absl::ToDoubleSeconds(used) * 1e6 / (double{kRequests} * load.series));
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  insula::bench::Measure(argc > 1 ? argv[1] : insula::bench::OwnDirectory());
  return 0;
}
