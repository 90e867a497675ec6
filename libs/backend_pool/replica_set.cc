#include "libs/backend_pool/replica_set.h"

#include <algorithm>

namespace insula::backend_pool {

// But for the URL under the mutex of the set.
struct ReplicaSet::Replica {
  Replica(http::Url u, Backoff::Options ejection)
      : url(std::move(u)), text(url.ToString()), backoff(ejection) {}

  const http::Url url;
  const std::string text;
  int open = 0;
  int failures = 0;  // In a row.
  int failed_probes = 0;
  absl::Time out_until = absl::InfinitePast();
  absl::Time last_seen = absl::InfinitePast();
  Backoff backoff;
};

ReplicaSet::Use::~Use() {
  if (replica_ != nullptr) set_->End(replica_.get());
}

const http::Url& ReplicaSet::Use::url() const { return replica_->url; }

void ReplicaSet::Use::Note(bool answered) {
  set_->Note(replica_.get(), answered);
}

ReplicaSet::ReplicaSet(Options options, const Clock* clock)
    : options_(options), clock_(*clock), random_(std::random_device()()) {}

void ReplicaSet::Update(const std::vector<http::Url>& urls) {
  sync::MutexLock lock(&mutex_);
  Replicas next;
  for (const http::Url& url : urls) {
    if (next.size() == options_.max_replicas) break;
    const std::string text = url.ToString();
    const auto same = [&text](const auto& r) { return r->text == text; };
    if (std::any_of(next.begin(), next.end(), same)) continue;
    const auto known = std::find_if(replicas_.begin(), replicas_.end(), same);
    next.push_back(known != replicas_.end()
                       ? *known
                       : std::make_shared<Replica>(url, options_.ejection));
  }
  replicas_.swap(next);
}

bool ReplicaSet::IsWell(const Replica& replica) const {
  return replica.failed_probes < options_.max_failed_probes &&
         replica.out_until <= clock_.Now();
}

std::shared_ptr<ReplicaSet::Replica> ReplicaSet::Choose(const Replicas& among) {
  if (options_.mode == Mode::kActivePassive || among.size() == 1) {
    return among.front();
  }
  const size_t one = random_() % among.size();
  const size_t other =
      (one + 1 + random_() % (among.size() - 1)) % among.size();
  return among[one]->open <= among[other]->open ? among[one] : among[other];
}

std::optional<ReplicaSet::Use> ReplicaSet::Pick(
    const std::vector<std::string>& tried) {
  sync::MutexLock lock(&mutex_);
  if (replicas_.empty()) return std::nullopt;
  const auto is_new = [&](const Replica& replica) {
    return std::find(tried.begin(), tried.end(), replica.text) == tried.end();
  };
  Replicas well;
  for (const auto& replica : replicas_) {
    if (IsWell(*replica) && is_new(*replica)) well.push_back(replica);
  }
  std::shared_ptr<Replica> chosen;
  if (!well.empty()) {
    chosen = Choose(well);
  } else {
    // New ones first, then those that are out for no or little time.
    chosen = *std::min_element(
        replicas_.begin(), replicas_.end(), [&](const auto& a, const auto& b) {
          const auto rank = [&](const Replica& r) {
            return std::make_pair(!is_new(r), r.out_until);
          };
          return rank(*a) < rank(*b);
        });
  }
  if (chosen->failures >= options_.max_failures) {
    // One request tries it; the others wait for what that learns.
    chosen->out_until = clock_.Now() + chosen->backoff.Next();
  }
  ++chosen->open;
  return Use(shared_from_this(), std::move(chosen));
}

void ReplicaSet::Note(Replica* replica, bool answered) {
  sync::MutexLock lock(&mutex_);
  if (answered) {
    replica->failures = 0;
    replica->out_until = absl::InfinitePast();
    replica->last_seen = clock_.Now();
    replica->backoff.Reset();
    return;
  }
  if (++replica->failures == options_.max_failures) {
    replica->out_until = clock_.Now() + replica->backoff.Next();
  }
}

void ReplicaSet::End(Replica* replica) {
  sync::MutexLock lock(&mutex_);
  --replica->open;
}

void ReplicaSet::NoteProbe(absl::string_view url, bool ok) {
  sync::MutexLock lock(&mutex_);
  for (const auto& replica : replicas_) {
    if (replica->text != url) continue;
    if (ok) replica->last_seen = clock_.Now();
    replica->failed_probes =
        ok ? 0
           : std::min(replica->failed_probes + 1, options_.max_failed_probes);
  }
}

size_t ReplicaSet::size() const {
  sync::MutexLock lock(&mutex_);
  return replicas_.size();
}

std::vector<http::Url> ReplicaSet::Urls() const {
  sync::MutexLock lock(&mutex_);
  std::vector<http::Url> urls;
  for (const auto& replica : replicas_) urls.push_back(replica->url);
  return urls;
}

std::vector<ReplicaSet::Status> ReplicaSet::Statuses() const {
  sync::MutexLock lock(&mutex_);
  std::vector<Status> statuses;
  for (const auto& replica : replicas_) {
    statuses.push_back(
        {replica->text, IsWell(*replica), replica->open, replica->last_seen});
  }
  return statuses;
}

}  // namespace insula::backend_pool
