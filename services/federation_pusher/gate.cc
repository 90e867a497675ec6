#include "services/federation_pusher/gate.h"

#include <algorithm>

namespace insula::federation_pusher {

namespace asio = boost::asio;

asio::awaitable<Gate::Place> Gate::Enter() {
  const auto turn = std::make_shared<Turn>();
  if (EnterOrWait(turn)) co_return Place(this);
  const bool* const came = co_await turn->Wait();
  if (came == nullptr && GiveUp(turn)) co_return Place();
  co_return Place(this);
}

bool Gate::EnterOrWait(const std::shared_ptr<Turn>& turn) {
  sync::MutexLock lock(&mutex_);
  if (free_ == 0) {
    waiting_.push_back(turn);
    return false;
  }
  --free_;
  return true;
}

bool Gate::GiveUp(const std::shared_ptr<Turn>& turn) {
  sync::MutexLock lock(&mutex_);
  const auto found = std::find(waiting_.begin(), waiting_.end(), turn);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

void Gate::Leave() {
  std::shared_ptr<Turn> next;
  {
    sync::MutexLock lock(&mutex_);
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
  }
  next->Set(true);
}

}  // namespace insula::federation_pusher
