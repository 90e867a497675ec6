// Parsing takes no memory for a sample once the buffers have grown.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/text_parser.h"

namespace {
int allocations = 0;
}

// Of the whole program.
void* operator new(size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace insula::exposition {
namespace {

class Counter : public Sink {
 public:
  absl::Status OnSample(const Sample& sample) override {
    labels_ += sample.labels.size();
    return absl::OkStatus();
  }
  size_t labels() const { return labels_; }

 private:
  size_t labels_ = 0;
};

std::string Text(Format format, int lines) {
  const bool open_metrics = format == Format::kOpenMetrics;
  std::string text;
  for (int i = 0; i < lines; ++i) {
    absl::StrAppend(
        &text, "# HELP a_long_name_of_a_metric with \\\\ in it\n",
        "a_long_name_of_a_metric{instance=\"10.0.0.", i % 100 + 100,
        ":9100\",path=\"C:\\\\files and more of them\"} ", i % 1000 + 10'000,
        ".000000000000000000000123 1760003000",
        open_metrics ? ".123 # {trace_id=\"\\\"0123456789\"} 1" : "123", "\n");
  }
  return text;
}

TEST(AllocationTest, ThereIsNoneForASample) {
  for (const Format format : {Format::kPrometheus, Format::kOpenMetrics}) {
    Counter counter;
    TextParser parser({.format = format}, &counter);
    const std::string text = Text(format, 1000);
    const auto feed = [&] {
      for (size_t at = 0; at < text.size(); at += 100) {
        ASSERT_TRUE(parser.Feed(absl::string_view(text).substr(at, 100)).ok());
      }
    };
    feed();
    const int before = allocations;
    EXPECT_GT(before, 0);  // They are counted.
    feed();
    EXPECT_EQ(allocations, before);
    EXPECT_EQ(counter.labels(), 4000u);
  }
}

}  // namespace
}  // namespace insula::exposition
