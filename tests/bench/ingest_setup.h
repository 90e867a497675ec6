// What ingest-bench measures.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/tls/test_authority.h"
#include "tests/bench/harness.h"
#include "tests/bench/ingest_sender.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/service.h"

namespace insula::bench {

// Who may write for every tenant, by the label `namespace`; and who writes for
// one tenant whose series need no change.
constexpr char kSplitToken[] = "split-token";
constexpr char kWholeToken[] = "whole-token";

constexpr int kMaxTenants = 100;
// Whose store never answers, if one_hangs.
constexpr int kHungTenant = 0;

struct SetupOptions {
  std::string bin;              // Directory of the services.
  std::string queue_mode = "";  // Empty: without a queue.
  bool tls = false;             // Senders connect by it.
  bool callgrind = false;       // The gateway runs under valgrind.
  bool one_hangs = false;
};

// CPU seconds for a million series.
struct CpuCost {
  double seconds_per_mseries = 0;
  double roofline_x = 0;  // As a multiple of RooflineSeconds().
};

// A tenant-registry with tenants team-0 to team-99, an ingest-gateway, and a
// store that answers each write with 204; each is a process of its own. Limits
// of rate, labels and active series are on. Everything that goes wrong dies.
class Setup {
 public:
  explicit Setup(const SetupOptions& options);

  int port() const { return gateway_->ports.at("write"); }

  // By turns with the roofline, so that both have the same machine.
  CpuCost MeasureCpu(const Sending& sending) const;
  // The same of the senders of `loadgen`, over TLS.
  CpuCost MeasureTlsCpu(const Sending& sending) const;
  // Instructions of the gateway for a series. With callgrind only.
  double MeasureInstructions(const Sending& sending) const;

  pid_t pid() const { return gateway_->process->pid(); }

 private:
  // `send` sends the passes from one number up to another.
  CpuCost Measure(const loadgen::Corpus& corpus,
                  const std::function<void(int first, int end)>& send) const;
  // From another process.
  void Send(const Sending& sending, int first_pass, int end_pass) const;
  void RunLoadgen(const Sending& sending, int passes) const;
  void WaitUntilDelivered() const;
  void Run(const std::string& program,
           const std::vector<std::string>& args) const;
  std::string GatewayConfig(const SetupOptions& options);

  const std::string bin_;
  const bool has_queue_;
  int store_port_ = 0;
  int hung_port_ = 0;
  const int listener_;
  const int hung_listener_;
  const Child store_;
  const Child hung_store_;
  const e2e::TempDir temp_;
  tls::TestAuthority authority_;
  std::unique_ptr<tls::TestIdentity> identity_;
  std::unique_ptr<e2e::Service> registry_;
  std::unique_ptr<e2e::Service> gateway_;
};

}  // namespace insula::bench
