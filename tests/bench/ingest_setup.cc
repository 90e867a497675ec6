#include "tests/bench/ingest_setup.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/metrics/exposed_value.h"
#include "tests/bench/callgrind.h"
#include "tests/bench/write_roofline.h"
#include "tests/e2e/harness/http.h"

namespace insula::bench {
namespace {

constexpr char kGateway[] = "ingest-gateway";
constexpr int kWarmUpPasses = 2;
// Short, so that what else the machine does falls on both of a slice; and so
// many that the median is not moved by what falls on one.
constexpr int kSlices = 25;
constexpr int kPassesOfSlice = 2;
// Of instructions: until each worker thread knows nearly all series.
constexpr int kLearningPasses = 6;
constexpr int kInstructionPasses = 2;
constexpr absl::Duration kRunTimeout = absl::Minutes(10);

std::string UrlOf(int port) {
  return absl::StrCat("http://127.0.0.1:", port, "/api/v1/write");
}

std::string Resources(int store_port, int hung_port, bool one_hangs) {
  std::string text = absl::StrCat(
      "kind: Upstream\nid: shared\nspec:\n  write_url: ", UrlOf(store_port),
      "\n  isolation: ISOLATION_LABEL\n---\n"
      "kind: Upstream\nid: hung\nspec:\n  write_url: ",
      UrlOf(hung_port),
      "\n  isolation: ISOLATION_LABEL\n---\n"
      "kind: Upstream\nid: own\nspec:\n  write_url: ",
      UrlOf(store_port),
      "\n  isolation: ISOLATION_HEADER\n---\n"
      "kind: Limits\nid: high\nspec:\n"
      "  samples_per_second: 1000000000\n  samples_burst: 1000000000\n"
      "  max_active_series: 100000000\n---\n"
      "kind: ClaimRule\nid: by-namespace\nspec: {label: namespace}\n---\n"
      "kind: Binding\nid: split\nspec:\n  token_sha256: \"",
      TokenHash(kSplitToken),
      "\"\n  every_tenant: true\n  roles: [ROLE_WRITE]\n"
      "  claim_rule_id: by-namespace\n---\n"
      "kind: Tenant\nid: whole\nspec: {upstream_id: own, limits_id: high}\n"
      "---\nkind: Binding\nid: whole\nspec:\n  token_sha256: \"",
      TokenHash(kWholeToken),
      "\"\n  tenant_ids: [whole]\n  roles: [ROLE_WRITE]\n");
  for (int i = 0; i < kMaxTenants; ++i) {
    absl::StrAppend(
        &text, "---\nkind: Tenant\nid: team-", i, "\nspec: {upstream_id: ",
        one_hangs && i == kHungTenant ? "hung" : "shared",
        ", limits_id: high, enforced_labels: {tenant_id: team-", i, "}}\n");
  }
  return text;
}

double MillionSeries(const loadgen::Load& load, int passes) {
  return double{1} * passes * load.requests * load.series / 1e6;
}

}  // namespace

Setup::Setup(const SetupOptions& options)
    : bin_(options.bin),
      has_queue_(!options.queue_mode.empty()),
      listener_(Listen(&store_port_)),
      hung_listener_(Listen(&hung_port_)),
      store_([this] {
        return ServeAlways(listener_, "HTTP/1.1 204 No Content\r\n\r\n");
      }),
      hung_store_([this] { return ServeNever(hung_listener_); }) {
  const std::string& dir = temp_.path();
  temp_.Write("resources.yaml",
              Resources(store_port_, hung_port_, options.one_hangs));
  registry_ = std::make_unique<e2e::Service>(StartOrDie(
      temp_, bin_, "tenant-registry",
      absl::StrCat("storage: {path: ", dir, "/registry.db}\nsources: {files: [",
                   dir, "/resources.yaml]}")));
  gateway_ = std::make_unique<e2e::Service>(StartOrDie(
      temp_, options.callgrind ? UnderCallgrind(temp_, bin_, kGateway) : bin_,
      kGateway, GatewayConfig(options)));
}

std::string Setup::GatewayConfig(const SetupOptions& options) {
  const std::string& dir = temp_.path();
  std::string config = absl::StrCat(
      "registry: {address: '127.0.0.1:", registry_->ports.at("grpc"),
      "', state_dir: ", dir, "/state}\n");
  if (has_queue_) {
    absl::StrAppend(&config, "queue: {dir: ", dir,
                    "/queue, mode: ", options.queue_mode, "}\n");
  }
  absl::StrAppend(&config,
                  "listeners:\n  - name: write\n"
                  "    listen_address: '127.0.0.1:0'\n");
  if (options.tls) {
    identity_ = authority_.Issue("gateway", "IP:127.0.0.1");
    absl::StrAppend(&config, "    tls_cert_file: ", identity_->cert_file,
                    "\n    tls_key_file: ", identity_->key_file, "\n");
  }
  return config;
}

CpuCost Setup::Measure(
    const loadgen::Corpus& corpus,
    const std::function<void(int first, int end)>& send) const {
  std::vector<double> costs;
  std::vector<double> ratios;
  int pass = kWarmUpPasses;
  send(0, pass);
  for (int slice = 0; slice < kSlices; ++slice) {
    const double roofline = RooflineSeconds(corpus);
    const absl::Duration before = CpuTime(pid());
    send(pass, pass + kPassesOfSlice);
    pass += kPassesOfSlice;
    costs.push_back(absl::ToDoubleSeconds(CpuTime(pid()) - before) /
                    MillionSeries(corpus.load(), kPassesOfSlice));
    ratios.push_back(costs.back() / roofline);
  }
  return {MedianOf(std::move(costs)), MedianOf(std::move(ratios))};
}

CpuCost Setup::MeasureCpu(const Sending& sending) const {
  return Measure(*sending.corpus, [&](int first, int end) {
    Send(sending, first, end);
    WaitUntilDelivered();
  });
}

CpuCost Setup::MeasureTlsCpu(const Sending& sending) const {
  return Measure(*sending.corpus,
                 [&](int first, int end) { RunLoadgen(sending, end - first); });
}

double Setup::MeasureInstructions(const Sending& sending) const {
  Send(sending, 0, kLearningPasses);
  const double count = CountInstructions(temp_, pid(), [&] {
    Send(sending, kLearningPasses, kLearningPasses + kInstructionPasses);
  });
  return count / 1e6 /
         MillionSeries(sending.corpus->load(), kInstructionPasses);
}

void Setup::Send(const Sending& sending, int first_pass, int end_pass) const {
  const int64_t of_a_pass = sending.corpus->load().requests;
  Child sender([&] {
    return SendWrites(port(), sending, first_pass * of_a_pass,
                      end_pass * of_a_pass)
               ? 0
               : 1;
  });
  if (sender.Wait() != 0) Die("a write was not answered with 204");
}

void Setup::RunLoadgen(const Sending& sending, int passes) const {
  const loadgen::Load& load = sending.corpus->load();
  Run(absl::StrCat(OwnDirectory(), "/loadgen"),
      {"--url", absl::StrCat("https://127.0.0.1:", port(), "/api/v1/write"),
       "--ca-file", authority_.ca_file(), "--bearer-token-file",
       temp_.Write("token", sending.token), "--tenants",
       absl::StrCat(load.tenants), "--series-per-request",
       absl::StrCat(load.series), "--requests", absl::StrCat(load.requests),
       "--passes", absl::StrCat(passes), "--quiet"});
}

void Setup::Run(const std::string& program,
                const std::vector<std::string>& args) const {
  e2e::Process process(program, args, temp_.path() + "/program.log");
  if (process.Wait(kRunTimeout) != 0) {
    Die(absl::StrCat(program, " has failed: ", process.LogTail()));
  }
}

void Setup::WaitUntilDelivered() const {
  if (!has_queue_) return;
  const bool delivered = e2e::WaitUntil(
      [&] {
        const std::string text =
            e2e::HttpSend(gateway_->ports.at("admin"), "GET", "/metrics").body;
        return metrics::ExposedValue(text, "insula_spool_records") == 0;
      },
      kRunTimeout);
  if (!delivered) Die("the queue did not get empty");
}

}  // namespace insula::bench
