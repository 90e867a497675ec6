// spool_writer DIRECTORY FIRST MODE [UNSAFE]
//
// Appends records to a spool for a test that kills it. The n-th record, from
// FIRST on, is of one of seven tenants, and its body is BodyOf(n) below. Prints
// n once the spool says that it is durable, and never ends. Before it begins it
// prints "has n" for each record that is there, checked, and "ready".
//
// MODE `write` appends; `read` only prints what is there, and ends. UNSAFE: the
// spool says so before it has synced.
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/metrics/metrics.h"
#include "libs/spool/spool.h"
#include "libs/sync/mutex.h"
#include "libs/time/clock.h"

namespace insula::spool {
namespace {

constexpr int64_t kTenants = 7;
constexpr int64_t kMaxOpen = 64;

std::string UidOf(int64_t tenant) {
  return std::string(kTenantUidBytes, static_cast<char>('a' + tenant));
}

// Between 100 B and 3 kB, another for each number.
std::string BodyOf(int64_t number) {
  std::string body = absl::StrCat(number, ":");
  uint64_t state = static_cast<uint64_t>(number) * 0x9e3779b97f4a7c15 + 1;
  for (size_t size = 100 + state % 2900; body.size() < size;) {
    state = state * 6364136223846793005 + 1442695040888963407;
    body.push_back(static_cast<char>(state >> 56));
  }
  return body;
}

void Print(const std::string& line) {
  // One write a line: a kill never leaves half of one.
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(3);
}

// False: something that was never written.
bool PrintAll(Spool* spool) {
  for (int64_t tenant = 0; tenant < kTenants; ++tenant) {
    const auto records = spool->Read(UidOf(tenant), uint64_t{1} << 40);
    if (!records.ok()) {
      if (absl::IsNotFound(records.status())) continue;
      Print(absl::StrCat("error ", records.status().ToString(), "\n"));
      return false;
    }
    int64_t last = -1;
    for (const auto& stored : *records) {
      const std::string& body = stored.record.body;
      int64_t number = -1;
      if (!absl::SimpleAtoi(body.substr(0, body.find(':')), &number) ||
          number % kTenants != tenant || body != BodyOf(number) ||
          number <= last) {
        Print(absl::StrCat("error altered or out of order after ", last, "\n"));
        return false;
      }
      last = number;
      Print(absl::StrCat("has ", number, "\n"));
    }
    // Of a long test not everything is kept.
    if (records->size() > 200) {
      const auto& upto = (*records)[records->size() - 100];
      Print(absl::StrCat("gone ", tenant, " ",
                         upto.record.body.substr(0, upto.record.body.find(':')),
                         "\n"));
      if (!spool->Remove(UidOf(tenant), upto.sequence).ok()) return false;
    }
  }
  return true;
}

int Run(int argc, char** argv) {
  int64_t number = 0;
  if (argc < 4 || !absl::SimpleAtoi(argv[2], &number)) return 2;
  Spool::Options options;
  options.directory = argv[1];
  options.max_age = absl::InfiniteDuration();
  options.sync = argc < 5;
  options.min_free_bytes = 0;
  metrics::Registry metrics;
  RealClock clock;
  auto spool = Spool::Open(options, &clock, &metrics);
  if (!spool.ok()) {
    Print(absl::StrCat("error ", spool.status().ToString(), "\n"));
    return 1;
  }
  if (!PrintAll(spool->get())) return 1;
  Print("ready\n");
  if (std::string(argv[3]) == "read") return 0;
  sync::Mutex mutex;
  std::condition_variable_any changed;
  int64_t open = 0;
  while (true) {
    {
      std::unique_lock<sync::Mutex> lock(mutex);
      while (open >= kMaxOpen) changed.wait(lock);
      ++open;
    }
    Record record;
    record.tenant_uid = UidOf(number % kTenants);
    record.samples = 1;
    record.body = BodyOf(number);
    (*spool)->Append(std::move(record), {}, [&, number](absl::Status status) {
      if (status.ok()) Print(absl::StrCat(number, "\n"));
      // What was refused is offered no more: numbers stay in order.
      if (!status.ok()) absl::SleepFor(absl::Milliseconds(20));
      sync::MutexLock lock(&mutex);
      --open;
      changed.notify_one();
    });
    ++number;
  }
}

}  // namespace
}  // namespace insula::spool

int main(int argc, char** argv) { return insula::spool::Run(argc, argv); }
