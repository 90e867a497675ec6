#include "libs/backend_pool/backend_pool.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace insula::backend_pool {

namespace asio = boost::asio;

namespace {

metrics::Gauge& Replicas(metrics::Registry* registry, const std::string& pool,
                         const std::string& state) {
  return registry->AddGauge("insula_backend_pool_replicas",
                            "Replicas, by how they fare.",
                            {{"pool", pool}, {"state", state}});
}

}  // namespace

bool IsOwnAnswer(const http::Response& answer) {
  if (answer.status != 502 && answer.status != 503 && answer.status != 504) {
    return true;
  }
  return absl::StartsWithIgnoreCase(
      answer.headers.Get("Content-Type").value_or(""), "application/json");
}

// Asks all replicas whether they are there, one after the other, for ever.
struct BackendPool::Prober {
  static asio::awaitable<void> Run(std::shared_ptr<Prober> self) {
    co_await asio::this_coro::throw_if_cancelled(false);
    asio::steady_timer timer(self->strand);
    while (!self->stopped) {
      // A copy: discovery may change them meanwhile.
      std::vector<http::Url> urls = self->replicas->Urls();
      if (urls.size() < 2) urls.clear();
      for (size_t i = 0; i < urls.size() && !self->stopped; ++i) {
        http::ClientRequest request;
        request.url = urls[i].Join(self->options.probe_path);
        const auto answer = co_await self->client->Send(
            std::move(request), absl::Now() + self->options.probe_timeout);
        if (self->stopped) break;
        const bool ok = answer.ok() && answer->status < 500;
        self->replicas->NoteProbe(urls[i].ToString(), ok);
        (ok ? self->good : self->bad).Increment();
      }
      if (self->stopped) break;
      timer.expires_after(
          absl::ToChronoNanoseconds(self->options.probe_interval));
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  static metrics::Counter& Probes(metrics::Registry* registry,
                                  const std::string& name,
                                  const std::string& result) {
    return registry->AddCounter("insula_backend_pool_probes_total",
                                "Questions to replicas whether they are there.",
                                {{"pool", name}, {"result", result}});
  }

  Prober(const Options& o, const Environment& environment,
         std::shared_ptr<ReplicaSet> set)
      : options(o),
        strand(asio::make_strand(environment.executor)),
        client(environment.client),
        replicas(std::move(set)),
        good(Probes(environment.metrics, o.name, "ok")),
        bad(Probes(environment.metrics, o.name, "error")) {}

  const Options options;
  const asio::strand<asio::any_io_executor> strand;
  const std::shared_ptr<http::Client> client;
  const std::shared_ptr<ReplicaSet> replicas;
  metrics::Counter& good;
  metrics::Counter& bad;
  std::atomic<bool> stopped{false};
  asio::cancellation_signal cancel;  // On the strand.
};

BackendPool::BackendPool(Options options, Environment environment)
    : options_(std::move(options)),
      environment_(std::move(environment)),
      replicas_(
          std::make_shared<ReplicaSet>(options_.replicas, environment_.steady)),
      budget_(options_.retries),
      retries_(environment_.metrics->AddCounter(
          "insula_backend_pool_retries_total",
          "Requests sent again, because a replica gave no answer.",
          {{"pool", options_.name}})),
      unretried_(environment_.metrics->AddCounter(
          "insula_backend_pool_unretried_total",
          "Requests without an answer that were not sent again, because the "
          "budget for that was used up.",
          {{"pool", options_.name}})),
      well_(Replicas(environment_.metrics, options_.name, "well")),
      out_(Replicas(environment_.metrics, options_.name, "out")) {
  hook_ = environment_.metrics->OnCollect(
      [set = replicas_, &well = well_, &out = out_] {
        double good = 0;
        const auto statuses = set->Statuses();
        for (const auto& status : statuses) good += status.well ? 1 : 0;
        well.Set(good);
        out.Set(static_cast<double>(statuses.size()) - good);
      });
  if (options_.probe_path.empty()) return;
  prober_ = std::make_shared<Prober>(options_, environment_, replicas_);
  asio::co_spawn(
      prober_->strand, Prober::Run(prober_),
      asio::bind_cancellation_slot(
          prober_->cancel.slot(),
          asio::bind_executor(prober_->strand,
                              [prober = prober_](std::exception_ptr) {})));
}

BackendPool::~BackendPool() {
  hook_ = metrics::CollectHook();
  well_.Set(0);
  out_.Set(0);
  if (prober_ == nullptr) return;
  prober_->stopped = true;
  asio::post(prober_->strand, [prober = prober_] {
    prober->cancel.emit(asio::cancellation_type::all);
  });
}

void BackendPool::Update(const std::vector<http::Url>& urls) {
  replicas_->Update(urls);
}

asio::awaitable<absl::StatusOr<http::Response>> BackendPool::Send(
    Build build, absl::Time deadline) {
  budget_.NoteRequest();
  std::vector<std::string> tried;
  while (true) {
    auto use = replicas_->Pick(tried);
    if (!use.has_value()) {
      co_return absl::UnavailableError(absl::StrCat(
          "no replica of ", options_.name, " is known, see its discovery"));
    }
    tried.push_back(use->url().ToString());
    http::ClientRequest request = build(use->url());
    absl::StatusOr<http::Response> answer =
        co_await environment_.client->Send(std::move(request), deadline);
    if (answer.ok() ? IsOwnAnswer(*answer)
                    : !absl::IsUnavailable(answer.status())) {
      // A timeout and too long an answer say nothing about the replica.
      if (answer.ok()) use->Note(true);
      co_return answer;
    }
    use->Note(false);
    const size_t most =
        std::min(static_cast<size_t>(options_.max_attempts), replicas_->size());
    if (tried.size() >= most || absl::Now() >= deadline) {
      co_return answer;
    }
    if (!budget_.TakeRetry()) {
      unretried_.Increment();
      co_return answer;
    }
    retries_.Increment();
  }
}

}  // namespace insula::backend_pool
