// A library to preload, for tests of wall clocks that jump.
//
// CLOCK_SHIM_FILE=FILE  its first 8 bytes are a signed number, of this
// machine's
//                       order of bytes: so many seconds the wall clock is ahead
//                       from now on. Other clocks are as ever.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using ClockFunction = int(clockid_t, timespec*);

std::atomic<ClockFunction*> real_clock = nullptr;
std::atomic<const std::atomic<int64_t>*> ahead = nullptr;

__attribute__((constructor)) void Begin() {
  const char* const path = std::getenv("CLOCK_SHIM_FILE");
  const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* const memory = mmap(nullptr, 8, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED) abort();
  ahead = static_cast<const std::atomic<int64_t>*>(memory);
}

int64_t Ahead() {
  const std::atomic<int64_t>* const seconds = ahead;
  return seconds == nullptr ? 0 : seconds->load(std::memory_order_relaxed);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  ClockFunction* real = real_clock;
  if (real == nullptr) {
    real = reinterpret_cast<ClockFunction*>(dlsym(RTLD_NEXT, "clock_gettime"));
    real_clock = real;
  }
  const int result = real(clock, now);
  if (result == 0 &&
      (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += Ahead();
  }
  return result;
}

int gettimeofday(timeval* now, void*) noexcept {
  timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* now) noexcept {
  timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  if (now != nullptr) *now = precise.tv_sec;
  return precise.tv_sec;
}

}  // extern "C"
