#include "services/query_frontend/store_version.h"

#include <simdjson.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/http/url.h"
#include "libs/sync/mutex.h"
#include "services/query_frontend/json_copy.h"

namespace insula::query_frontend {

namespace asio = boost::asio;

namespace {

constexpr promql::Version kOldest = {2, 42};
constexpr size_t kMaxAnswerBytes = 64 << 10;
constexpr int kMaxNumber = 1'000'000;

// Whether the store took the filter; nothing if it did neither that nor refuse
// it, saying so.
std::optional<bool> ReadsFilter(const http::Response& response) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser
          .parse(simdjson::padded_string(response.body.data(),
                                         response.body.size()))
          .get(root) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const absl::string_view status = StringAt(root, "status");
  if (response.status == 200 && status == "success") return true;
  if (response.status / 100 == 4 && status == "error" &&
      absl::StrContains(StringAt(root, "error"), "extra_filters")) {
    return false;
  }
  return std::nullopt;
}

}  // namespace

std::optional<promql::Version> ParseBuildInfo(absl::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::element data;
  if (body.size() > kMaxAnswerBytes ||
      parser.parse(simdjson::padded_string(body.data(), body.size()))
              .get(root) != simdjson::SUCCESS ||
      StringAt(root, "status") != "success" ||
      root["data"].get(data) != simdjson::SUCCESS ||
      !StringAt(data, "application").empty()) {
    return std::nullopt;
  }
  absl::string_view text = StringAt(data, "version");
  absl::ConsumePrefix(&text, "v");
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  promql::Version version;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &version.release) ||
      !absl::SimpleAtoi(parts[1], &version.minor_release) ||
      version.release > kMaxNumber || version.minor_release < 0 ||
      version.minor_release > kMaxNumber || version < kOldest) {
    return std::nullopt;
  }
  return version;
}

struct StoreVersion::State {
  struct Replica {
    std::optional<promql::Version> version;
    absl::Time ask_at = absl::InfinitePast();
    bool well = true;
    bool takes_filters = false;
  };

  State(Options o, std::shared_ptr<const backend_pool::ReplicaSet> s,
        std::shared_ptr<http::Client> c, const asio::any_io_executor& executor)
      : options(o),
        set(std::move(s)),
        client(std::move(c)),
        timer(asio::make_strand(executor)) {}

  static asio::awaitable<void> Run(std::shared_ptr<State> self) {
    while (!self->stopped) {
      const std::vector<std::string> due = self->Look();
      for (size_t i = 0; i < due.size() && !self->stopped; ++i) {
        co_await Ask(self, due[i]);
      }
      if (self->stopped) break;
      self->timer.expires_after(
          absl::ToChronoNanoseconds(self->options.look_interval));
      co_await self->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  static asio::awaitable<void> Ask(std::shared_ptr<State> self,
                                   std::string replica) {
    const absl::StatusOr<http::Url> url = http::Url::Parse(replica);
    if (!url.ok()) co_return;
    http::ClientRequest request;
    request.url = url->Join("/api/v1/status/buildinfo");
    request.headers.Set("Accept", "application/json");
    request.max_response_bytes = kMaxAnswerBytes;
    const absl::StatusOr<http::Response> answer = co_await self->client->Send(
        std::move(request), absl::Now() + self->options.timeout);
    bool takes_filters = false;
    if (self->options.ask_filters && answer.ok()) {
      takes_filters = co_await AskFilters(self, *url);
    }
    // Who does not answer may be asked anything when it is back.
    self->Note(replica, answer.ok(),
               answer.ok() && answer->status == 200
                   ? ParseBuildInfo(answer->body)
                   : std::nullopt,
               takes_filters);
  }

  static asio::awaitable<bool> AskFilters(std::shared_ptr<State> self,
                                          http::Url url) {
    for (const bool right : {true, false}) {
      http::ClientRequest request;
      request.method = "POST";
      request.url = url.Join("/api/v1/query");
      request.headers.Set("Accept", "application/json");
      request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
      request.body = http::EncodeForm(
          {{"query", "1"},
           {"extra_filters[]", right ? R"({__name__="insula"})" : "{"}});
      request.max_response_bytes = kMaxAnswerBytes;
      const absl::StatusOr<http::Response> answer = co_await self->client->Send(
          std::move(request), absl::Now() + self->options.timeout);
      if (!answer.ok() || ReadsFilter(*answer) != right) co_return false;
    }
    co_return true;
  }

  // Takes over which replicas there are. Those that are to be asked.
  std::vector<std::string> Look() ABSL_LOCKS_EXCLUDED(mutex) {
    const auto now_there = set->Statuses();
    const absl::Time now = absl::Now();
    std::vector<std::string> due;
    sync::MutexLock lock(&mutex);
    std::map<std::string, Replica> next;
    for (const auto& status : now_there) {
      Replica& replica = next[status.url];
      const auto known = replicas.find(status.url);
      if (known != replicas.end()) replica = known->second;
      if (status.well && !replica.well) {
        replica.ask_at = absl::InfinitePast();
        replica.takes_filters = false;
      }
      replica.well = status.well;
      if (now >= replica.ask_at) due.push_back(status.url);
    }
    replicas = std::move(next);
    return due;
  }

  void Note(const std::string& url, bool answered,
            std::optional<promql::Version> version, bool takes_filters)
      ABSL_LOCKS_EXCLUDED(mutex) {
    sync::MutexLock lock(&mutex);
    const auto found = replicas.find(url);
    if (found == replicas.end()) return;
    // What it said before counts until it says something else.
    if (answered) found->second.version = version;
    found->second.takes_filters = takes_filters;
    const bool done = answered && takes_filters == options.ask_filters;
    found->second.ask_at =
        absl::Now() +
        (done ? options.ask_interval
              : std::min(options.ask_interval, 10 * options.look_interval));
  }

  bool AllTakeFilters() ABSL_LOCKS_EXCLUDED(mutex) {
    const auto now_there = set->Statuses();
    sync::MutexLock lock(&mutex);
    for (const auto& status : now_there) {
      const auto found = replicas.find(status.url);
      if (found == replicas.end() || !found->second.takes_filters) return false;
    }
    return !now_there.empty();
  }

  promql::Version Oldest() ABSL_LOCKS_EXCLUDED(mutex) {
    sync::MutexLock lock(&mutex);
    std::optional<promql::Version> oldest;
    for (const auto& [url, replica] : replicas) {
      if (!replica.version.has_value()) {
        if (replica.well) return kOldest;
        continue;
      }
      if (!oldest.has_value() || *replica.version < *oldest) {
        oldest = replica.version;
      }
    }
    return oldest.value_or(kOldest);
  }

  const Options options;
  const std::shared_ptr<const backend_pool::ReplicaSet> set;
  const std::shared_ptr<http::Client> client;
  asio::steady_timer timer;  // On its strand.
  std::atomic<bool> stopped{false};
  sync::Mutex mutex;
  std::map<std::string, Replica> replicas ABSL_GUARDED_BY(mutex);  // By URL.
};

StoreVersion::StoreVersion(
    Options options, std::shared_ptr<const backend_pool::ReplicaSet> replicas,
    std::shared_ptr<http::Client> client, asio::any_io_executor executor)
    : state_(std::make_shared<State>(options, std::move(replicas),
                                     std::move(client), executor)) {
  asio::co_spawn(state_->timer.get_executor(), State::Run(state_),
                 asio::detached);
}

StoreVersion::~StoreVersion() {
  state_->stopped = true;
  asio::post(state_->timer.get_executor(),
             [state = state_] { state->timer.cancel(); });
}

promql::Version StoreVersion::version() const { return state_->Oldest(); }

bool StoreVersion::takes_filters() const { return state_->AllTakeFilters(); }

promql::Dialect StoreVersion::dialect() const {
  promql::Dialect dialect;
  dialect.version = version();
  return dialect;
}

}  // namespace insula::query_frontend
