#include "libs/rpc/operation.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace insula::rpc {

namespace asio = boost::asio;

Operation::Operation() : state_(std::make_shared<State>()) {}

bool Operation::Begin() {
  sync::MutexLock lock(&state_->mutex);
  if (state_->started) return false;
  state_->started = true;
  return true;
}

asio::awaitable<bool> Operation::Wait(std::function<void()> on_cancel) {
  // The state is held here: `this` may be gone once the coroutine resumes.
  std::shared_ptr<State> held = state_;
  auto initiate = [&held, &on_cancel](auto handler) {
    // Without a strand the coroutine may resume, and end, before this returns:
    // nothing of its frame is touched once the mutex is released.
    const std::shared_ptr<State> state = held;
    auto slot = asio::get_associated_cancellation_slot(handler);
    const asio::any_io_executor executor =
        asio::get_associated_executor(handler);
    // std::function wants a copyable callback; Asio's handler can only move.
    auto pending = std::make_shared<decltype(handler)>(std::move(handler));
    std::function<void(bool)> resume =
        [pending, work = asio::make_work_guard(executor)](bool ok) {
          asio::post(work.get_executor(),
                     [pending, ok] { std::move (*pending)(ok); });
        };
    {
      sync::MutexLock lock(&state->mutex);
      if (state->result.has_value()) {
        state->started = false;
        const bool ok = *std::exchange(state->result, std::nullopt);
        resume(ok);
        return;
      }
      state->waiter = std::move(resume);
      if (!slot.is_connected()) return;
      slot.assign([state, on_cancel = std::move(on_cancel)](
                      asio::cancellation_type /*type*/) {
        if (on_cancel) {
          on_cancel();
          return;
        }
        std::function<void(bool)> waiter;
        {
          sync::MutexLock slot_lock(&state->mutex);
          waiter = std::exchange(state->waiter, nullptr);
        }
        if (waiter) waiter(false);  // Otherwise it has completed meanwhile.
      });
    }
  };
  const bool waits_for_cancel = on_cancel != nullptr;
  const bool ok =
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
          initiate, asio::use_awaitable);
  if (waits_for_cancel) co_return ok;
  // The end and the cancellation may both be on their way here. Who cancelled
  // does not look at the result: it is for the next to wait.
  const asio::cancellation_state cancellation =
      co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() == asio::cancellation_type::none) co_return ok;
  held->KeepResult(ok);
  co_return false;
}

void Operation::State::KeepResult(bool ok) {
  sync::MutexLock lock(&mutex);
  if (started) return;  // It has not ended: the cancellation came first.
  started = true;
  result = ok;
}

void Operation::Complete(bool ok) { Handle(*this).Complete(ok); }

void Operation::Handle::Complete(bool ok) {
  std::function<void(bool)> waiter;
  {
    sync::MutexLock lock(&state_->mutex);
    waiter = std::exchange(state_->waiter, nullptr);
    if (waiter) {
      state_->started = false;
    } else {
      state_->result = ok;
    }
  }
  if (waiter) waiter(ok);
}

}  // namespace insula::rpc
