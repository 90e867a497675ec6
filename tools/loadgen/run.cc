#include "tools/loadgen/run.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "tools/loadgen/corpus.h"

namespace insula::loadgen {
namespace {

constexpr size_t kMaxAnswerBytes = 64 << 10;
constexpr size_t kMaxToldBytes = 200;  // Of an answer that refuses.
constexpr absl::Duration kStopCheck = absl::Milliseconds(50);

http::ClientOptions ClientOptions(const Options& options) {
  http::ClientOptions client;
  client.name = "loadgen";
  client.max_response_bytes = kMaxAnswerBytes;
  client.max_connections_per_host = 1;
  // The user names the host, and may mean any.
  client.refused_networks = http::Networks();
  if (!options.ca_file.empty()) {
    client.tls.emplace().ca_file = options.ca_file;
  }
  return client;
}

// One connection. The thread that uses it is its own.
class Sender {
 public:
  Sender(const Options& options, const Corpus& corpus,
         metrics::Registry* metrics)
      : options_(options),
        corpus_(corpus),
        maker_(&corpus, options.protocol),
        client_(ClientOptions(options), context_.get_executor(), metrics) {}

  // The body of request `n`, to be sent at `time`.
  void Prepare(int64_t n, absl::Time time) {
    request_.method = "POST";
    request_.url = options_.url;
    request_.headers = options_.headers;
    request_.headers.Set("Content-Type", ContentType(options_.protocol));
    request_.headers.Set("Content-Encoding", "snappy");
    request_.headers.Set("X-Prometheus-Remote-Write-Version",
                         Version(options_.protocol));
    request_.headers.Set("User-Agent", "insula-loadgen");
    if (!options_.tenant_header.empty()) {
      request_.headers.Set(
          options_.tenant_header,
          absl::StrCat("team-", corpus_.SeriesOf(n).front().tenant));
    }
    request_.body = maker_.Make(n, time);
  }

  Outcome Send(absl::Time since) {
    Outcome outcome;
    outcome.bytes = request_.body.size();
    outcome.samples = corpus_.load().series;
    Judge(Exchange(), &outcome);
    outcome.took = absl::Now() - since;
    return outcome;
  }

 private:
  absl::StatusOr<http::Response> Exchange() {
    std::optional<absl::StatusOr<http::Response>> answer;
    boost::asio::co_spawn(
        context_,
        client_.Send(std::move(request_), absl::Now() + options_.timeout),
        [&answer](std::exception_ptr error,
                  absl::StatusOr<http::Response> result) {
          answer = error == nullptr
                       ? std::move(result)
                       : absl::InternalError("the client has thrown");
        });
    context_.restart();
    while (!answer) context_.run_one();
    return *std::move(answer);
  }

  void Judge(const absl::StatusOr<http::Response>& answer,
             Outcome* outcome) const {
    if (!answer.ok()) {
      outcome->answer = absl::StatusCodeToString(answer.status().code());
      outcome->failure = answer.status().ToString();
      return;
    }
    outcome->answer = absl::StrCat(answer->status);
    if (answer->status / 100 != 2) {
      outcome->failure = absl::StrCat("HTTP ", answer->status, ": ",
                                      answer->body.substr(0, kMaxToldBytes));
      return;
    }
    outcome->accepted = true;
    if (options_.protocol == Protocol::kV1) return;
    const std::string written(
        answer->headers.Get("X-Prometheus-Remote-Write-Samples-Written")
            .value_or("nothing about it"));
    int64_t count = 0;
    outcome->accepted =
        absl::SimpleAtoi(written, &count) && count == outcome->samples;
    if (!outcome->accepted) {
      outcome->failure =
          absl::StrCat("HTTP ", answer->status, " says of ", outcome->samples,
                       " samples written: ", written);
    }
  }

  const Options& options_;
  const Corpus& corpus_;
  RequestMaker maker_;
  boost::asio::io_context context_{1};
  http::Client client_;
  http::ClientRequest request_;
};

class Loader {
 public:
  Loader(const Options& options, const std::atomic<bool>& stop)
      : options_(options), stop_(stop), corpus_(options.load) {}

  Report Run(std::ostream* progress) {
    start_ = absl::Now();
    std::vector<std::future<void>> connections;
    for (int i = 0; i < options_.connections; ++i) {
      connections.push_back(
          std::async(std::launch::async, [this, i] { Connection(i); }));
    }
    absl::Time told = start_;
    for (const std::future<void>& connection : connections) {
      while (connection.wait_until(absl::ToChronoTime(
                 told + absl::Seconds(1))) == std::future_status::timeout) {
        const absl::Time now = absl::Now();
        const Totals recent = tally_.TakeRecent();
        if (progress != nullptr) {
          *progress << ProgressLine(recent, now - told) << std::endl;
        }
        told = now;
      }
    }
    return {tally_.All(), absl::Now() - start_};
  }

 private:
  // Sends each of the requests whose number within a pass is `index` modulo the
  // number of connections, in order.
  void Connection(int index) {
    const int64_t of_a_pass = options_.load.requests;
    Sender sender(options_, corpus_, &metrics_);
    for (int64_t pass = 0; options_.passes == 0 || pass < options_.passes;
         ++pass) {
      for (int64_t i = index; i < of_a_pass; i += options_.connections) {
        const int64_t n = pass * of_a_pass + i;
        absl::Time due = absl::Now();
        if (options_.rate > 0) {
          due = start_ + absl::Seconds(static_cast<double>(n) / options_.rate);
        }
        if (due >= start_ + options_.duration || stop_) return;
        sender.Prepare(n, due);
        if (!WaitUntil(due)) return;
        tally_.Add(sender.Send(options_.rate > 0 ? due : absl::Now()));
      }
    }
  }

  // False if it is to stop before.
  bool WaitUntil(absl::Time due) const {
    for (absl::Time now; !stop_ && (now = absl::Now()) < due;) {
      absl::SleepFor(std::min(due - now, kStopCheck));
    }
    return !stop_;
  }

  const Options& options_;
  const std::atomic<bool>& stop_;
  const Corpus corpus_;
  metrics::Registry metrics_;
  Tally tally_;
  absl::Time start_;
};

}  // namespace

Report SendLoad(const Options& options, const std::atomic<bool>& stop,
                std::ostream* progress) {
  return Loader(options, stop).Run(progress);
}

}  // namespace insula::loadgen
