// Strands that cost little.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace insula::sync {

// A strand on `executor`. One that knows the type of what runs it schedules
// without memory from the heap, which a strand on an any_io_executor can't.
inline boost::asio::any_io_executor MakeStrand(
    boost::asio::any_io_executor executor) {
  namespace asio = boost::asio;
  if (const auto* pool = executor.target<asio::thread_pool::executor_type>()) {
    return asio::make_strand(*pool);
  }
  if (const auto* context =
          executor.target<asio::io_context::executor_type>()) {
    return asio::make_strand(*context);
  }
  return asio::make_strand(std::move(executor));
}

// What `strand` is a strand on; itself if it is none.
inline boost::asio::any_io_executor ExecutorBelow(
    const boost::asio::any_io_executor& strand) {
  namespace asio = boost::asio;
  if (const auto* on_pool =
          strand.target<asio::strand<asio::thread_pool::executor_type>>()) {
    return on_pool->get_inner_executor();
  }
  if (const auto* on_context =
          strand.target<asio::strand<asio::io_context::executor_type>>()) {
    return on_context->get_inner_executor();
  }
  if (const auto* on_any =
          strand.target<asio::strand<asio::any_io_executor>>()) {
    return on_any->get_inner_executor();
  }
  return strand;
}

// Whether what runs on `executor` never runs twice at the same time.
inline bool IsStrand(const boost::asio::any_io_executor& executor) {
  namespace asio = boost::asio;
  return executor.target<asio::strand<asio::any_io_executor>>() != nullptr ||
         executor.target<asio::strand<asio::thread_pool::executor_type>>() !=
             nullptr ||
         executor.target<asio::strand<asio::io_context::executor_type>>() !=
             nullptr;
}

}  // namespace insula::sync
