#include "libs/logging/line_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace insula::logging::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What was written, a string a call.
class Written {
 public:
  LineBuffer::Write Writer() {
    return [this](absl::string_view lines) {
      const std::lock_guard<std::mutex> lock(mutex_);
      calls_.emplace_back(lines);
      written_.notify_all();
    };
  }

  std::vector<std::string> Calls() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }

  // Waits for the first call, for a minute at most.
  bool WaitForOne() {
    std::unique_lock<std::mutex> lock(mutex_);
    return written_.wait_for(lock, std::chrono::minutes(1),
                             [this] { return !calls_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable written_;
  std::vector<std::string> calls_;
};

TEST(LineBufferTest, LinesThatAreHeldAreWrittenTogetherAfterAWhile) {
  Written written;
  LineBuffer buffer(written.Writer());
  const auto begun = std::chrono::steady_clock::now();
  buffer.Hold("one");
  ASSERT_TRUE(written.WaitForOne());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, LineBuffer::kLongest);
  EXPECT_THAT(written.Calls(), ElementsAre("one"));
}

TEST(LineBufferTest, WhatIsAddedComesAtOnceAndBehindWhatIsHeld) {
  Written written;
  LineBuffer buffer(written.Writer());
  buffer.Add("at once");
  EXPECT_THAT(written.Calls(), ElementsAre("at once"));
  buffer.Hold("one");
  buffer.Hold("two");
  buffer.Add("three");
  // A machine that stands still for long may write the first before.
  EXPECT_EQ(absl::StrJoin(written.Calls(), "\n"), "at once\none\ntwo\nthree");
}

TEST(LineBufferTest, ManyBytesAreWrittenAtOnce) {
  Written written;
  LineBuffer buffer(written.Writer());
  const std::string line(LineBuffer::kMostBytes, 'x');
  buffer.Hold(line);
  EXPECT_THAT(written.Calls(), ElementsAre(line));
}

TEST(LineBufferTest, FlushWritesAndHasNothingToWriteThen) {
  Written written;
  LineBuffer buffer(written.Writer());
  buffer.Flush();
  EXPECT_THAT(written.Calls(), IsEmpty());
  buffer.Hold("one");
  buffer.Flush();
  buffer.Flush();
  EXPECT_THAT(written.Calls(), ElementsAre("one"));
}

TEST(LineBufferTest, WritesWhatItHoldsAtItsEnd) {
  Written written;
  {
    LineBuffer buffer(written.Writer());
    buffer.Hold("one");
  }
  EXPECT_THAT(written.Calls(), ElementsAre("one"));
}

TEST(LineBufferTest, LosesNothingOfManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kLines = 5'000;
  Written written;
  {
    LineBuffer buffer(written.Writer());
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&buffer, i] {
        for (int line = 0; line < kLines; ++line) {
          const std::string text = absl::StrCat(i, " ", line);
          line % 100 == 0 ? buffer.Add(text) : buffer.Hold(text);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::vector<int> next(kThreads);
  for (const std::string& call : written.Calls()) {
    for (const absl::string_view line : absl::StrSplit(call, '\n')) {
      const auto i = static_cast<size_t>(line[0] - '0');
      ASSERT_EQ(line, absl::StrCat(i, " ", next[i]));
      ++next[i];
    }
  }
  EXPECT_THAT(next, ElementsAre(kLines, kLines, kLines, kLines));
}

}  // namespace
}  // namespace insula::logging::internal
