#include "services/query_frontend/query_watch.h"

#include <algorithm>
#include <utility>

namespace insula::query_frontend {

QueryWatch::Query QueryWatch::Cut(Query query) const {
  if (query.text.size() > options_.max_text_bytes) {
    query.text.resize(options_.max_text_bytes);
    query.text.shrink_to_fit();
  }
  return query;
}

QueryWatch::Running QueryWatch::Begin(Query query) {
  query = Cut(std::move(query));
  sync::MutexLock lock(&mutex_);
  const uint64_t number = next_++;
  running_.emplace_hint(running_.end(), number, std::move(query));
  return {this, number};
}

void QueryWatch::End(uint64_t number) {
  sync::MutexLock lock(&mutex_);
  running_.erase(number);
}

void QueryWatch::NoteSlow(SlowQuery slow) {
  slow.query = Cut(std::move(slow.query));
  sync::MutexLock lock(&mutex_);
  const auto of_tenant = [&slow](const SlowQuery& other) {
    return other.query.tenant == slow.query.tenant;
  };
  if (static_cast<size_t>(
          std::count_if(slow_.begin(), slow_.end(), of_tenant)) >=
      options_.max_slow_of_tenant) {
    slow_.erase(std::find_if(slow_.begin(), slow_.end(), of_tenant));
  }
  slow_.push_back(std::move(slow));
  if (slow_.size() > options_.max_slow) slow_.pop_front();
}

std::vector<QueryWatch::Query> QueryWatch::AllRunning(size_t most) const {
  sync::MutexLock lock(&mutex_);
  std::vector<Query> queries;
  for (const auto& [number, query] : running_) {
    if (queries.size() == most) break;
    queries.push_back(query);
  }
  return queries;
}

std::vector<QueryWatch::SlowQuery> QueryWatch::Slow() const {
  sync::MutexLock lock(&mutex_);
  return {slow_.rbegin(), slow_.rend()};
}

}  // namespace insula::query_frontend
