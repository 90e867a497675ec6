// Work that another executor is to do.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace insula::sync {

// What `work` returns, which runs on `executor`: for what takes so long that an
// event loop (see runtime::EventLoops) must not do it. It must not block. The
// caller resumes on its own executor when it is done, also if it was cancelled
// meanwhile, so `work` may refer to what the caller owns.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> RunOn(
    boost::asio::any_io_executor executor, Work work) {
  using Result = std::invoke_result_t<Work>;
  const auto run = [](Work* task) -> boost::asio::awaitable<Result> {
    co_return (*task)();
  };
  co_return co_await boost::asio::co_spawn(executor, run(&work),
                                           boost::asio::use_awaitable);
}

}  // namespace insula::sync
