#include "libs/backend_pool/discovery.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/files/settled_file.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/sync/mutex.h"

namespace insula::backend_pool {
namespace {

namespace asio = boost::asio;
using Urls = std::vector<http::Url>;

std::vector<std::string> TextsOf(const Urls& urls) {
  std::vector<std::string> texts;
  texts.reserve(urls.size());
  for (const http::Url& url : urls) texts.push_back(url.ToString());
  return texts;
}

asio::awaitable<absl::StatusOr<Urls>> LookUp(http::Url base) {
  using asio::ip::tcp;
  tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [error, found] = co_await resolver.async_resolve(
      base.host, absl::StrCat(base.port), tcp::resolver::numeric_service,
      asio::as_tuple(asio::use_awaitable));
  if (error) {
    co_return absl::UnavailableError(
        absl::StrCat("looking up ", base.host, ": ", error.message()));
  }
  std::vector<std::string> addresses;
  for (const auto& each : found) {
    addresses.push_back(each.endpoint().address().to_string());
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()),
                  addresses.end());
  if (addresses.size() > kMaxTargets) addresses.resize(kMaxTargets);
  Urls urls;
  for (std::string& address : addresses) {
    http::Url url = base;
    url.host = std::move(address);
    urls.push_back(std::move(url));
  }
  co_return urls;
}

absl::StatusOr<Urls> ReadTargets(const std::string& path,
                                 const http::Url& base) {
  ASSIGN_OR_RETURN(const files::SettledFile file,
                   files::ReadSettledFile(path, std::nullopt, {}, absl::Now()));
  if (!file.settled || !file.text.has_value()) {
    return absl::UnavailableError("it is being written");
  }
  return ParseFileTargets(*file.text, base);
}

asio::awaitable<absl::StatusOr<Urls>> LookInto(std::string path, http::Url base,
                                               RunBlocking run_blocking) {
  auto urls = std::make_shared<absl::StatusOr<Urls>>(
      absl::UnavailableError("it was not read"));
  std::function<absl::Status()> work = [urls, path, base] {
    *urls = ReadTargets(path, base);
    return absl::OkStatus();
  };
  const absl::Status ran = co_await run_blocking(std::move(work));
  if (!ran.ok()) co_return ran;
  if (!urls->ok()) co_return Annotate(urls->status(), path);
  co_return *std::move(*urls);
}

}  // namespace

struct PolledDiscovery::State {
  State(Options o, Look l, Found f, const asio::any_io_executor& executor,
        metrics::Registry* metrics)
      : options(std::move(o)),
        look(std::move(l)),
        failures(metrics->AddCounter(
            "insula_backend_pool_discovery_failures_total",
            "Looks for replicas that failed or found none; the last known ones "
            "stay.",
            {{"pool", options.pool}})),
        timer(asio::make_strand(executor)),
        found(std::move(f)) {}

  static asio::awaitable<void> Run(std::shared_ptr<State> self) {
    while (!self->Ended()) {
      const absl::StatusOr<Urls> urls = co_await self->look();
      self->Take(urls);
      if (self->Ended()) break;
      self->timer.expires_after(
          absl::ToChronoNanoseconds(self->options.interval));
      co_await self->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  bool Ended() ABSL_LOCKS_EXCLUDED(mutex) {
    sync::MutexLock lock(&mutex);
    return found == nullptr;
  }

  void Take(const absl::StatusOr<Urls>& urls) ABSL_LOCKS_EXCLUDED(mutex) {
    if (!urls.ok() || urls->empty()) {
      failures.Increment();
      logging::Warn("replicas not found, the last known ones stay",
                    {{"pool", options.pool},
                     {"err", urls.ok() ? absl::NotFoundError("none are named")
                                       : urls.status()}});
      return;
    }
    std::vector<std::string> texts = TextsOf(*urls);
    sync::MutexLock lock(&mutex);
    if (found == nullptr || texts == last) return;
    last = std::move(texts);
    found(*urls);
  }

  const Options options;
  const Look look;
  metrics::Counter& failures;
  asio::steady_timer timer;  // On its strand.
  sync::Mutex mutex;
  Found found ABSL_GUARDED_BY(mutex);  // Null: it has ended.
  std::vector<std::string> last ABSL_GUARDED_BY(mutex);
};

PolledDiscovery::PolledDiscovery(Options options, Look look, Found found,
                                 asio::any_io_executor executor,
                                 metrics::Registry* metrics)
    : state_(std::make_shared<State>(std::move(options), std::move(look),
                                     std::move(found), executor, metrics)) {
  asio::co_spawn(state_->timer.get_executor(), State::Run(state_),
                 asio::detached);
}

PolledDiscovery::~PolledDiscovery() {
  {
    sync::MutexLock lock(&state_->mutex);
    state_->found = nullptr;
  }
  asio::post(state_->timer.get_executor(),
             [state = state_] { state->timer.cancel(); });
}

PolledDiscovery::Look LookUpName(http::Url base) {
  return [base = std::move(base)] { return LookUp(base); };
}

PolledDiscovery::Look LookIntoFile(std::string path, http::Url base,
                                   RunBlocking run_blocking) {
  return [path = std::move(path), base = std::move(base),
          run = std::move(run_blocking)] { return LookInto(path, base, run); };
}

// The Services by key. Only the listener of the informer uses it.
struct ServiceDiscovery::Copy {
  std::map<std::string, kube::Object> services;
};

ServiceDiscovery::ServiceDiscovery(kube::InformerOptions options,
                                   ServicePort port, kube::Client* client,
                                   Found found, asio::any_io_executor executor,
                                   metrics::Registry* metrics)
    : copy_(std::make_shared<Copy>()) {
  options.selection.resource = {"", "v1", "services"};
  informer_ = std::make_unique<kube::Informer>(
      std::move(options), client,
      [copy = copy_, port = std::move(port),
       found = std::move(found)](const std::vector<kube::Change>& changes) {
        for (const kube::Change& change : changes) {
          if (change.after == nullptr) {
            copy->services.erase(change.key);
          } else {
            copy->services[change.key] = change.after;
          }
        }
        std::vector<kube::Object> all;
        for (const auto& [key, service] : copy->services) {
          all.push_back(service);
        }
        found(ServiceTargets(all, port));
      },
      std::move(executor), metrics);
}

ServiceDiscovery::~ServiceDiscovery() = default;

}  // namespace insula::backend_pool
