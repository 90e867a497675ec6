// What query-bench measures.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/bench/harness.h"
#include "tests/e2e/harness/process.h"
#include "tests/e2e/harness/service.h"

namespace insula::bench {

// A request of the tenant that reads, as it goes out.
std::string Get(absl::string_view target);
std::string PostForm(absl::string_view path, absl::string_view form,
                     absl::string_view more_headers = "");

// In a request: each time it is sent, another sixteen hex digits in its place.
inline constexpr absl::string_view kAnew = "anewanewanewanew";

struct QuerySetupOptions {
  std::string bin;         // Directory of the services.
  std::string answer;      // Of the store to everything, head and body.
  bool callgrind = false;  // The frontend runs under valgrind.
  bool cache = true;       // Answers to range queries are kept.
};

// A relay and the store behind it, which answers everything with `answer`.
class BareRelay {
 public:
  BareRelay(std::string answer, std::string request);

  // CPU microseconds of the relay for the request, of so many.
  double Cost(int requests) const;

 private:
  const std::string request_;
  int store_port_ = 0;
  int port_ = 0;
  const int store_listener_;
  const int listener_;
  const Child store_;
  const Child relay_;
};

// A tenant-registry with one tenant, kept apart by a label; a query-frontend
// that logs each request; and a store that answers each with the same; each is
// a process of its own. Everything that goes wrong dies, also an answer other
// than 200 unless said otherwise.
class QuerySetup {
 public:
  explicit QuerySetup(const QuerySetupOptions& options);

  // CPU microseconds of the frontend, user and system, for a request: the
  // median of slices of so many requests each.
  double MeasureCpu(const std::string& request, int requests_of_slice) const;
  // How many times as much that is as what `relay` needs in the same run: the
  // median of the slices' ratios.
  double MeasureRelays(const std::string& request, const BareRelay& relay,
                       int requests_of_slice) const;
  // As MeasureCpu(), of requests that may be refused.
  double MeasureCpuOfAny(const std::string& request,
                         int requests_of_slice) const;
  // Microseconds that a client waits for an answer, the median of `count`
  // requests, one after the other on one connection, when it was asked before.
  double MeasureLatency(const std::string& request, int count) const;
  // How many range queries were answered without the store.
  int64_t CacheHits() const;
  // The frontend's instructions for a request. With callgrind, and once.
  double MeasureInstructions(const std::string& request, int requests) const;

  int port() const { return frontend_->ports.at("api"); }
  pid_t pid() const { return frontend_->process->pid(); }

 private:
  double Measure(const std::string& request, int requests_of_slice,
                 absl::string_view wanted) const;
  int store_port_ = 0;
  const int listener_;
  const Child store_;
  const e2e::TempDir temp_;
  std::unique_ptr<e2e::Service> registry_;
  std::unique_ptr<e2e::Service> frontend_;
};

}  // namespace insula::bench
