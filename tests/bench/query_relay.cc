#include "tests/bench/query_relay.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdint>
#include <utility>

namespace insula::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

asio::awaitable<void> RelayConnection(tcp::socket client, int store_port) {
  tcp::socket store(client.get_executor());
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(),
                               static_cast<uint16_t>(store_port));
  co_await store.async_connect(endpoint, asio::use_awaitable);
  client.set_option(tcp::no_delay(true));
  store.set_option(tcp::no_delay(true));
  beast::flat_buffer from_client;
  beast::flat_buffer from_store;
  while (true) {
    beast::http::request<beast::http::string_body> request;
    co_await beast::http::async_read(client, from_client, request,
                                     asio::use_awaitable);
    co_await beast::http::async_write(store, request, asio::use_awaitable);
    beast::http::response<beast::http::string_body> response;
    co_await beast::http::async_read(store, from_store, response,
                                     asio::use_awaitable);
    co_await beast::http::async_write(client, response, asio::use_awaitable);
  }
}

asio::awaitable<void> Accept(tcp::acceptor acceptor, int store_port) {
  while (true) {
    tcp::socket client = co_await acceptor.async_accept(asio::use_awaitable);
    // Ends by an exception, when the client leaves.
    asio::co_spawn(acceptor.get_executor(),
                   RelayConnection(std::move(client), store_port),
                   asio::detached);
  }
}

}  // namespace

int Relay(int listener, int store_port) {
  asio::io_context context(1);
  tcp::acceptor acceptor(context, tcp::v4(), listener);
  asio::co_spawn(context, Accept(std::move(acceptor), store_port),
                 asio::detached);
  context.run();
  return 0;
}

}  // namespace insula::bench
