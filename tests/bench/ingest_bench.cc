// ingest-bench [--bin DIR] [--hung-minutes N] [NAME]...: what the
// ingest-gateway costs.
//
// Starts the services of DIR (default: its own directory, where loadgen must
// be), a store that answers each write with 204, and a sender with keep-alive
// connections; each is a process of its own, so that only the gateway's time,
// user and system, is counted. Every pass over a corpus sends other values and
// times. Limits of rate, labels and active series are on. Beside the CPU time
// for a million series stands how many times it is that of the least a splitter
// must do (see RooflineSeconds()), measured in the same run. Prints
//   {"name":"ingest.split10.cpu_s_per_mseries","value":...,"unit":"s/Mseries"}
// for each of kMeasurements, or those named. With --hung-minutes N it is the
// store of one tenant that hangs for so long, and nothing else. Exits with 1 if
// a figure is beyond its limit.
#include <signal.h>

#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bench/callgrind.h"
#include "tests/bench/harness.h"
#include "tests/bench/ingest_figures.h"
#include "tests/bench/ingest_hung.h"
#include "tests/bench/ingest_sender.h"
#include "tests/bench/ingest_setup.h"
#include "tests/bench/measurements.h"

namespace insula::bench {
namespace {

using loadgen::Corpus;
using loadgen::Protocol;

constexpr absl::Duration kPace = absl::Milliseconds(20);
constexpr int kPacedRequests = 500;

Sending Split(const Corpus& corpus, Protocol protocol = Protocol::kV1) {
  return {.corpus = &corpus, .token = kSplitToken, .protocol = protocol};
}

void MeasureSplit(const std::string& bin, int tenants, IngestFigures* figures) {
  const Corpus corpus({.tenants = tenants});
  const Setup setup({.bin = bin});
  figures->PrintCpu(absl::StrCat("split", tenants),
                    setup.MeasureCpu(Split(corpus)));
}

void MeasureSplit1(const std::string& bin, IngestFigures* figures) {
  MeasureSplit(bin, 1, figures);
}
void MeasureSplit10(const std::string& bin, IngestFigures* figures) {
  MeasureSplit(bin, 10, figures);
}
void MeasureSplit100(const std::string& bin, IngestFigures* figures) {
  MeasureSplit(bin, kMaxTenants, figures);
}

void MeasureInterleaved(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.series_of_a_target = 1});
  const Setup setup({.bin = bin});
  figures->PrintCpu("interleaved", setup.MeasureCpu(Split(corpus)));
}

// The store gets 1.0, so that the least is the same as of split10.
void MeasureRw2(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 10});
  const Setup setup({.bin = bin});
  figures->PrintCpu("rw2", setup.MeasureCpu(Split(corpus, Protocol::kV2)));
}

void MeasurePassthrough(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 10});
  const Setup setup({.bin = bin});
  const Sending sending = {.corpus = &corpus, .token = kWholeToken};
  figures->PrintCpu("passthrough", setup.MeasureCpu(sending));
}

// Until all has come out of the queue again.
void MeasureAlways(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 10});
  const Setup setup({.bin = bin, .queue_mode = "always"});
  figures->PrintCpu("always", setup.MeasureCpu(Split(corpus)));
}

void MeasureTls(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 10});
  const Setup setup({.bin = bin, .tls = true});
  figures->PrintCpu("tls", setup.MeasureTlsCpu(Split(corpus)));
}

// How long 99 of 100 took at most, each sent when it is due.
void MeasureLatency(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 10});
  const Setup setup({.bin = bin});
  std::vector<int64_t> numbers;
  for (int64_t n = 0; n < kPacedRequests; ++n) numbers.push_back(n);
  loadgen::Latencies took;
  if (!SendPaced(setup.port(), Split(corpus), numbers, kPace, &took)) {
    Die("a paced write was not answered with 204");
  }
  figures->Print("p99_ms", absl::ToDoubleMilliseconds(took.Quantile(0.99)),
                 "ms");
}

// The memory of a connection that is open, has sent a write, and does nothing.
void MeasureIdleConnections(const std::string& bin, IngestFigures* figures) {
  const Corpus corpus({.tenants = 1, .series = 1, .requests = 1});
  const Setup setup({.bin = bin});
  loadgen::RequestMaker maker(&corpus, Protocol::kV1);
  const std::string request = HttpRequest(Split(corpus), 0, &maker);
  figures->Print("idle_connection_bytes",
                 IdleConnectionBytes(setup.pid(), setup.port(),
                                     [&](Connection* connection) {
                                       if (!Write(connection, request)) {
                                         Die("a small write was refused");
                                       }
                                     }),
                 "B");
}

void MeasureInstructions(const std::string& bin, IngestFigures* figures) {
  if (!HasCallgrind()) {
    std::fprintf(stderr,
                 "bench: no instructions_per_series without Debian's package "
                 "valgrind\n");
    return;
  }
  const Corpus runs({.tenants = 10});
  const Corpus interleaved({.series_of_a_target = 1});
  const Sending whole = {.corpus = &runs, .token = kWholeToken};
  for (const auto& [name, sending] :
       {std::pair("split10", Split(runs)),
        std::pair("interleaved", Split(interleaved)),
        std::pair("passthrough", whole)}) {
    const Setup setup({.bin = bin, .callgrind = true});
    figures->Print(absl::StrCat(name, ".instructions_per_series"),
                   setup.MeasureInstructions(sending), "1/series");
  }
}

constexpr Measurement<IngestFigures> kMeasurements[] = {
    {"split1", MeasureSplit1},
    {"split10", MeasureSplit10},
    {"split100", MeasureSplit100},
    {"interleaved", MeasureInterleaved},
    {"rw2", MeasureRw2},
    {"passthrough", MeasurePassthrough},
    {"always", MeasureAlways},
    {"tls", MeasureTls},
    {"p99_ms", MeasureLatency},
    {"idle_connection_bytes", MeasureIdleConnections},
    {"instructions", MeasureInstructions},
};

struct Arguments {
  std::string bin = OwnDirectory();
  double hung_minutes = 0;
  std::set<std::string> names;  // Empty: all.
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const bool has_value = i + 1 < argc;
    if (text == "--bin" && has_value) {
      arguments.bin = argv[++i];
    } else if (text == "--hung-minutes" && has_value &&
               absl::SimpleAtod(argv[i + 1], &arguments.hung_minutes) &&
               arguments.hung_minutes > 0) {
      ++i;
    } else {
      arguments.names.insert(text);
    }
  }
  CheckNames<IngestFigures>(
      kMeasurements, arguments.names,
      "--bin DIR, --hung-minutes N, and names such as split10");
  return arguments;
}

int Main(int argc, char** argv) {
  const Arguments arguments = Parse(argc, argv);
  AllowManyFiles();  // Connections to the gateway, and to the store.
  IngestFigures figures;
  if (arguments.hung_minutes > 0) {
    MeasureHungStore(arguments.bin, absl::Minutes(arguments.hung_minutes),
                     &figures);
  } else {
    RunMeasurements<IngestFigures>(kMeasurements, arguments.names,
                                   arguments.bin, &figures);
  }
  return figures.within_limits() ? 0 : 1;
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return insula::bench::Main(argc, argv);
}
