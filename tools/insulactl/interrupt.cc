#include "tools/insulactl/interrupt.h"

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "absl/time/clock.h"

namespace insula::insulactl {
namespace {

constexpr int kExitInterrupted = 130;

}  // namespace

Interrupt::Interrupt() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  // Threads that are made later inherit it; only ours takes them.
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::thread([this] { Run(); });
}

Interrupt::~Interrupt() {
  {
    sync::MutexLock lock(&mutex_);
    ending_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void Interrupt::Run() {
  while (true) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0) continue;
    sync::MutexLock lock(&mutex_);
    if (ending_) return;
    if (happened_) _exit(kExitInterrupted);
    happened_ = true;
    changed_.notify_all();
    if (cancel_) cancel_();
  }
}

bool Interrupt::happened() const {
  sync::MutexLock lock(&mutex_);
  return happened_;
}

bool Interrupt::WaitFor(absl::Duration duration) {
  const auto until = absl::ToChronoTime(absl::Now() + duration);
  sync::MutexLock lock(&mutex_);
  while (!happened_) {
    if (changed_.wait_until(mutex_, until) == std::cv_status::timeout) break;
  }
  return !happened_;
}

Interrupt::Scope::Scope(Interrupt* interrupt, std::function<void()> cancel)
    : interrupt_(*interrupt) {
  sync::MutexLock lock(&interrupt_.mutex_);
  interrupt_.cancel_ = std::move(cancel);
  if (interrupt_.happened_) interrupt_.cancel_();
}

Interrupt::Scope::~Scope() {
  sync::MutexLock lock(&interrupt_.mutex_);
  interrupt_.cancel_ = nullptr;
}

}  // namespace insula::insulactl
