#include "services/federation_pusher/address.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/auth/address_set.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Addresses = std::vector<asio::ip::address>;

// A look-up can't be interrupted, so it is left behind at the deadline.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& strand)
      : resolver(strand), done(strand) {}
  tcp::resolver resolver;
  asio::steady_timer done;
  absl::StatusOr<Addresses> result =
      Failure(Result::kSourceTimeout,
              "looking up the source's address took too long: mend the "
              "resolver, or give the job more time");
};

asio::awaitable<absl::StatusOr<Addresses>> Resolve(std::string host,
                                                   absl::Time deadline) {
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) co_return Addresses(1, address);

  const asio::any_io_executor strand = co_await asio::this_coro::executor;
  auto lookup = std::make_shared<Lookup>(strand);
  lookup->done.expires_after(absl::ToChronoNanoseconds(deadline - absl::Now()));
  lookup->resolver.async_resolve(
      host, "",
      asio::bind_executor(
          strand,
          [lookup, host](boost::system::error_code error, const auto& found) {
            if (error) {
              lookup->result = Failure(
                  Result::kSourceUnreachable,
                  absl::StrCat("can't look up the source's host '", host,
                               "': ", error.message(), "; is it right?"));
            } else {
              Addresses addresses;
              for (const auto& each : found) {
                addresses.push_back(each.endpoint().address());
              }
              lookup->result = std::move(addresses);
            }
            lookup->done.cancel();
          }));
  co_await lookup->done.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return lookup->result;
}

// Without the scope of a link-local address: networks have none.
std::string TextOf(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  return asio::ip::address_v6(address.to_v6().to_bytes()).to_string();
}

}  // namespace

asio::awaitable<absl::Status> CheckSourceAddress(
    std::string host, const std::vector<std::string>* refused_networks,
    absl::Time deadline) {
  if (refused_networks->empty()) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(const Addresses addresses,
                      co_await Resolve(host, deadline));
  for (const asio::ip::address& address : addresses) {
    const std::string text = TextOf(address);
    if (auth::Contains(*refused_networks, text)) {
      co_return Failure(
          Result::kSourceAddress,
          absl::StrCat("the source's host '", host, "' has the address ", text,
                       ", which scrape.refused_networks refuses: choose "
                       "another source, or take it out of that list"));
    }
  }
  co_return absl::OkStatus();
}

}  // namespace insula::federation_pusher
