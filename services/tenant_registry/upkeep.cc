#include "services/tenant_registry/upkeep.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <utility>

namespace insula::tenant_registry {

namespace asio = boost::asio;

constexpr int kTicksPerMaintain = 60;

class Upkeep::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<Registry> registry, asio::any_io_executor executor,
       absl::Duration interval)
      : registry_(std::move(registry)),
        interval_(interval),
        strand_(asio::make_strand(std::move(executor))),
        wake_(strand_) {}

  void Start() {
    asio::co_spawn(strand_, Run(),
                   [self = shared_from_this()](std::exception_ptr) {
                     self->ended_.set_value();
                   });
  }
  void Stop() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stopped_ = true;
      self->wake_.cancel();
    });
    ended_.get_future().wait();
  }

 private:
  asio::awaitable<void> Run() {
    for (int i = 0; !stopped_; ++i) {
      co_await registry_->Tick();
      if (i % kTicksPerMaintain == 0) co_await registry_->Maintain();
      if (stopped_) co_return;
      wake_.expires_after(absl::ToChronoNanoseconds(interval_));
      co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  const std::shared_ptr<Registry> registry_;
  const absl::Duration interval_;
  asio::strand<asio::any_io_executor> strand_;
  std::promise<void> ended_;

  // Of the strand.
  asio::steady_timer wake_;
  bool stopped_ = false;
};

Upkeep::Upkeep(std::shared_ptr<Registry> registry,
               asio::any_io_executor executor, absl::Duration interval)
    : impl_(std::make_shared<Impl>(std::move(registry), std::move(executor),
                                   interval)) {
  impl_->Start();
}

Upkeep::~Upkeep() { impl_->Stop(); }

}  // namespace insula::tenant_registry
