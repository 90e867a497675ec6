#include "libs/range_cache/range_cache.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/range_cache/extent.h"
#include "libs/range_cache/extent_store.h"
#include "libs/range_cache/flights.h"
#include "libs/sync/run_on.h"

namespace insula::range_cache {
namespace {

namespace asio = boost::asio;

// A range of more steps is not split: no Prometheus answers one so long.
constexpr int64_t kMaxSteps = 1'000'000;

absl::Time ToTime(int64_t millis) {
  return absl::UnixEpoch() + absl::Milliseconds(millis);
}

// What the store said about some steps.
struct Piece {
  std::shared_ptr<const Extent> extent;  // Null: it can't be taken apart.
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  Answer answer;  // Without an extent.
  // Whether nobody has tried to take it apart, as there was no need to.
  bool whole = false;
};
using PiecePtr = std::shared_ptr<const Piece>;

constexpr size_t kLong = 512 << 10;  // Bytes of an answer.

// Takes `answer` apart if that can be.
std::shared_ptr<Piece> ReadPiece(Answer answer, const Steps& steps,
                                 absl::Time read_at) {
  auto piece = std::make_shared<Piece>();
  absl::StatusOr<Matrix> matrix = absl::InvalidArgumentError("not a success");
  if (answer.http_status == 200) matrix = ReadMatrix(answer.body, steps);
  if (!matrix.ok()) {
    piece->answer = std::move(answer);
    return piece;
  }
  piece->answer.storable = answer.storable;
  piece->warnings = std::move(matrix->warnings);
  piece->infos = std::move(matrix->infos);
  matrix->extent.read_at = read_at;
  piece->extent = std::make_shared<const Extent>(std::move(matrix->extent));
  return piece;
}
using PieceFlights = Flights<PiecePtr>;

void AddNotes(const std::vector<std::string>& more,
              std::vector<std::string>* notes) {
  for (const std::string& note : more) {
    if (std::find(notes->begin(), notes->end(), note) == notes->end()) {
      notes->push_back(note);
    }
  }
}

metrics::Counter& Requests(metrics::Registry* registry,
                           absl::string_view result) {
  return registry->AddCounter("insula_range_cache_requests_total",
                              "Range queries, by whether the store was asked.",
                              {{"result", std::string(result)}});
}

metrics::Counter& Evicted(metrics::Registry* registry,
                          absl::string_view reason) {
  return registry->AddCounter(
      "insula_range_cache_evicted_total",
      "Answers that left the cache: over a tenant's quota, over the whole, too "
      "old.",
      {{"reason", std::string(reason)}});
}

}  // namespace

struct RangeCache::State {
  State(Options o, Environment e)
      : options(o),
        environment(e),
        store(
            {.max_bytes = o.max_bytes, .ttl = o.ttl, .hash_mask = o.hash_mask}),
        flights(std::make_shared<PieceFlights>()),
        hits(Requests(e.metrics, "hit")),
        partial(Requests(e.metrics, "partial")),
        misses(Requests(e.metrics, "miss")),
        bypassed(Requests(e.metrics, "bypass")),
        joined(e.metrics->AddCounter("insula_range_cache_joined_total",
                                     "Requests to a store that were not sent, "
                                     "because the same was under "
                                     "way.")) {}

  absl::Time Now() const { return environment.clock->Now(); }
  // The part of `steps` that does not change any more, if asked for at `now`.
  std::optional<Steps> Stable(const Steps& steps, const QueryTraits& traits,
                              absl::Time now) const {
    const absl::Time stable = now - options.freshness;
    if (traits.pinned > stable) return std::nullopt;
    return steps.Within(steps.first, absl::ToUnixMillis(stable - traits.ahead));
  }

  const Options options;
  const Environment environment;
  ExtentStore store;
  const std::shared_ptr<PieceFlights> flights;
  metrics::Counter& hits;
  metrics::Counter& partial;
  metrics::Counter& misses;
  metrics::Counter& bypassed;
  metrics::Counter& joined;
};

namespace {

// What the requests of one query to the store have in common.
template <typename State>
struct Asked {
  std::shared_ptr<State> state;
  std::string tenant_uid;
  QueryTraits traits;
  size_t quota = 0;
  RangeCache::Fetch fetch;
};

// What is known of `steps` by the answer to them. Keeps what may be kept of it.
template <typename State>
PiecePtr Take(const Asked<State>& asked, absl::string_view key,
              const Steps& steps, const std::optional<Steps>& stable,
              absl::Time asked_at, Answer answer) {
  const bool storable = answer.storable;
  const std::shared_ptr<const Piece> piece =
      ReadPiece(std::move(answer), steps, asked_at);
  if (storable && stable.has_value() && piece->extent != nullptr &&
      piece->warnings.empty() && piece->infos.empty()) {
    const auto kept =
        *stable == steps
            ? piece->extent
            : std::make_shared<const Extent>(Cut(*piece->extent, *stable));
    asked.state->store.Put(asked.tenant_uid, key, kept, asked.quota, asked_at);
  }
  return piece;
}

// Asks the store for some steps, and keeps what may be kept. `all`: these are
// the steps of the whole query.
template <typename State>
asio::awaitable<absl::StatusOr<PiecePtr>> Ask(
    std::shared_ptr<const Asked<State>> asked, std::string key, Steps steps,
    bool all, absl::Time deadline) {
  State& state = *asked->state;
  // Before the store looks: what it has not seen is younger.
  const absl::Time asked_at = state.Now();
  absl::StatusOr<Answer> answer = co_await asked->fetch(
      ToTime(steps.first), ToTime(steps.last()), deadline);
  if (!answer.ok()) co_return answer.status();
  const auto stable = state.Stable(steps, asked->traits, asked_at);
  const bool storable =
      answer->storable && stable.has_value() && asked->quota > 0;
  if (all && !storable) {
    auto whole = std::make_shared<Piece>();
    whole->answer = *std::move(answer);
    whole->whole = true;
    co_return whole;
  }
  const auto take = [&] {
    return Take(*asked, key, steps, asked->quota > 0 ? stable : std::nullopt,
                asked_at, *std::move(answer));
  };
  if (answer->body.size() <= kLong) co_return take();
  co_return co_await sync::RunOn(state.environment.executor, take);
}

}  // namespace

// One query on its way.
struct RangeCache::Request {
  // Some steps: kept, or to be asked for.
  struct Slot {
    std::string key;
    Steps steps;
    std::shared_ptr<const Extent> extent;  // Null: to be asked for.
    PieceFlights::Work work;
    PieceFlights::Seat seat;
  };

  void AddSlots(const std::string& key, const Steps& steps);
  void AddHole(const std::string& key, const Steps& steps);
  size_t Holes() const;
  // Asks for what is missing next, while fewer than max_parallel requests are
  // under way.
  void Begin(const asio::any_io_executor& executor);
  // The store has answered for a slot. The answer to the whole, if that is
  // clear now.
  std::optional<Answer> Fill(Slot* slot, PiecePtr piece);
  size_t Bytes() const;
  absl::StatusOr<Answer> PutTogether() const;

  std::shared_ptr<const Asked<State>> asked;
  Steps all;  // Of the whole query.
  absl::Time deadline;
  std::vector<Slot> slots;
  size_t next = 0;  // Of the slots, to be asked for.
  int under_way = 0;
  bool readable = true;  // What the store says can be taken apart.
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

void RangeCache::Request::AddSlots(const std::string& key, const Steps& steps) {
  int64_t from = steps.first;
  State& state = *asked->state;
  for (const auto& extent : state.store.Find(key, state.Now())) {
    const auto part = steps.Within(extent->steps.first, extent->steps.last());
    if (!part.has_value()) continue;
    if (const auto hole = steps.Within(from, part->first - 1)) {
      AddHole(key, *hole);
    }
    Slot& slot = slots.emplace_back();
    slot.steps = *part;
    slot.extent = extent;
    from = part->last() + 1;
  }
  if (const auto hole = steps.Within(from, steps.last())) AddHole(key, *hole);
}

void RangeCache::Request::AddHole(const std::string& key, const Steps& steps) {
  Slot& slot = slots.emplace_back();
  slot.key = absl::StrCat(key, "/", steps.first, "/", steps.count);
  slot.steps = steps;
  slot.work = [asked = asked, key, steps,
               all = steps == all](absl::Time until) {
    return Ask<State>(asked, key, steps, all, until);
  };
}

size_t RangeCache::Request::Holes() const {
  return static_cast<size_t>(
      std::count_if(slots.begin(), slots.end(),
                    [](const Slot& slot) { return slot.extent == nullptr; }));
}

void RangeCache::Request::Begin(const asio::any_io_executor& executor) {
  for (; next < slots.size(); ++next) {
    Slot& slot = slots[next];
    if (slot.extent != nullptr) continue;
    if (under_way == std::max(1, asked->state->options.max_parallel)) return;
    ++under_way;
    slot.seat =
        asked->state->flights->Join(slot.key, slot.work, executor, deadline);
    if (!slot.seat.first()) asked->state->joined.Increment();
  }
}

std::optional<Answer> RangeCache::Request::Fill(Slot* slot, PiecePtr piece) {
  --under_way;
  if (piece->whole && slots.size() > 1) {
    // That was asked for by another request, of these steps alone.
    piece = ReadPiece(piece->answer, slot->steps, absl::InfinitePast());
  }
  if (piece->extent == nullptr) {
    if (piece->answer.http_status != 200 || slots.size() == 1) {
      return piece->answer;
    }
    readable = false;
    return std::nullopt;
  }
  slot->extent = piece->extent;
  AddNotes(piece->warnings, &warnings);
  AddNotes(piece->infos, &infos);
  return std::nullopt;
}

size_t RangeCache::Request::Bytes() const {
  size_t bytes = 0;
  for (const Slot& slot : slots) bytes += slot.extent->bytes;
  return bytes;
}

absl::StatusOr<Answer> RangeCache::Request::PutTogether() const {
  std::vector<Part> parts;
  parts.reserve(slots.size());
  for (const Slot& slot : slots) parts.push_back({slot.extent, slot.steps});
  absl::StatusOr<std::string> body = PrintMatrix(
      parts, warnings, infos, asked->state->options.max_answer_bytes);
  if (!body.ok()) return body.status();
  Answer answer;
  answer.body = *std::move(body);
  return answer;
}

RangeCache::RangeCache(Options options, Environment environment)
    : state_(std::make_shared<State>(options, environment)) {
  metrics::Registry* const registry = environment.metrics;
  metrics::Gauge& bytes = registry->AddGauge(
      "insula_range_cache_bytes", "Memory of the answers that are kept.");
  metrics::Gauge& keys = registry->AddGauge(
      "insula_range_cache_keys", "Pieces of queries that have answers kept.");
  metrics::Counter& quota = Evicted(registry, "quota");
  metrics::Counter& memory = Evicted(registry, "memory");
  metrics::Counter& expired = Evicted(registry, "expired");
  hook_ = registry->OnCollect([state = state_, &bytes, &keys, &quota, &memory,
                               &expired,
                               last = ExtentStore::Evictions()]() mutable {
    bytes.Set(static_cast<double>(state->store.bytes()));
    keys.Set(static_cast<double>(state->store.keys()));
    const ExtentStore::Evictions now = state->store.evictions();
    quota.Increment(static_cast<double>(now.quota - last.quota));
    memory.Increment(static_cast<double>(now.memory - last.memory));
    expired.Increment(static_cast<double>(now.expired - last.expired));
    last = now;
  });
}

RangeCache::~RangeCache() = default;

asio::awaitable<absl::StatusOr<Answer>> RangeCache::Query(RangeQuery query,
                                                          QueryTraits traits,
                                                          size_t quota,
                                                          Fetch fetch,
                                                          absl::Time deadline) {
  const std::shared_ptr<State> state = state_;
  const auto steps = StepsOf(query.start, query.end, query.step);
  if (!traits.divisible || !steps.has_value() || steps->count > kMaxSteps) {
    state->bypassed.Increment();
    co_return co_await fetch(query.start, query.end, deadline);
  }
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Request request;
  auto asked = std::make_shared<Asked<State>>();
  asked->state = state;
  asked->tenant_uid = query.tenant_uid;
  asked->traits = traits;
  asked->quota = quota;
  asked->fetch = fetch;
  request.asked = std::move(asked);
  request.all = *steps;
  request.deadline = deadline;
  for (const PieceSteps& piece : SplitByPiece(*steps)) {
    request.AddSlots(CacheKey(query, *steps, piece.piece), piece.steps);
  }
  const size_t holes = request.Holes();
  (holes == 0                      ? state->hits
   : holes == request.slots.size() ? state->misses
                                   : state->partial)
      .Increment();
  for (Request::Slot& slot : request.slots) {
    if (slot.extent != nullptr) continue;
    request.Begin(executor);
    absl::StatusOr<PiecePtr> piece =
        co_await PieceFlights::Wait(std::move(slot.seat), slot.work, deadline);
    if (!piece.ok()) co_return piece.status();
    const auto fill = [&] { return request.Fill(&slot, *std::move(piece)); };
    std::optional<Answer> answer;
    if ((*piece)->answer.body.size() <= kLong) {
      answer = fill();
    } else {
      answer = co_await sync::RunOn(state->environment.executor, fill);
    }
    if (answer.has_value()) co_return *std::move(answer);
    if (!request.readable) break;
  }
  if (request.readable) {
    if (request.Bytes() <= kLong) co_return request.PutTogether();
    const auto put_together = [&request] { return request.PutTogether(); };
    co_return co_await sync::RunOn(state->environment.executor, put_together);
  }
  request.slots.clear();
  state->bypassed.Increment();
  co_return co_await fetch(query.start, query.end, deadline);
}

void RangeCache::Drop(absl::string_view tenant_uid) {
  state_->store.Drop(tenant_uid);
}

size_t RangeCache::bytes() const { return state_->store.bytes(); }

size_t RangeCache::BytesOf(absl::string_view tenant_uid) const {
  return state_->store.BytesOf(tenant_uid);
}

}  // namespace insula::range_cache
