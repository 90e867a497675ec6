// Whether a secret leaves its text in memory that is given back. A binary of
// its own: it looks into every block that is freed.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "libs/secret/secret.h"

namespace {

constexpr char kCanary[] = "canary-5b1d2c-that-lies-on-the-heap-as-it-is-long";
std::atomic<int> g_leftovers = 0;  // Blocks given back with the canary inside.

void LookAndFree(void* block) {
  if (block == nullptr) return;
  if (memmem(block, malloc_usable_size(block), kCanary, sizeof(kCanary) - 1) !=
      nullptr) {
    ++g_leftovers;
  }
  std::free(block);
}

}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return std::calloc(1, size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  void* const block = ::operator new(size, std::nothrow);
  if (block == nullptr) std::abort();
  return block;
}
void* operator new[](size_t size) { return ::operator new(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return ::operator new(size, std::nothrow);
}
void operator delete(void* block) noexcept { LookAndFree(block); }
void operator delete(void* block, size_t) noexcept { LookAndFree(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept {
  LookAndFree(block);
}
void operator delete[](void* block) noexcept { LookAndFree(block); }
void operator delete[](void* block, size_t) noexcept { LookAndFree(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept {
  LookAndFree(block);
}

namespace insula {
namespace {

TEST(SecretWipeTest, ThisTestFindsWhatAStringLeavesBehind) {
  g_leftovers = 0;
  std::make_unique<std::string>(kCanary).reset();
  EXPECT_EQ(g_leftovers, 1);
}

TEST(SecretWipeTest, ASecretLeavesNothing) {
  g_leftovers = 0;
  {
    std::string text = kCanary;
    Secret secret(std::move(text));
    std::vector<Secret> copies(10, secret);
    copies.reserve(100);
    Secret other(std::string("other"));
    other = secret;
    secret = Secret();
    EXPECT_EQ(copies[9].Reveal(), kCanary);
    EXPECT_EQ(other.Reveal(), kCanary);
  }
  EXPECT_EQ(g_leftovers, 0);
}

}  // namespace
}  // namespace insula
