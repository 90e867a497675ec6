#include "libs/remote_write/snappy_decode.h"

#include <gtest/gtest.h>
#include <snappy.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace insula::remote_write {
namespace {

// Between guards of ASan: nothing stands before or behind either.
std::optional<std::string> Decode(const std::string& elements, size_t size) {
  const std::vector<char> in(elements.begin(), elements.end());
  std::vector<char> out(size + kSnappySlack, '?');
  if (!SnappyDecode({in.data(), in.size()}, out.data(), size)) {
    return std::nullopt;
  }
  return std::string(out.data(), size);
}

std::string Varint(size_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) {
    text.push_back(static_cast<char>(value | 0x80));
  }
  text.push_back(static_cast<char>(value));
  return text;
}

std::optional<std::string> ByTheLibrary(const std::string& elements,
                                        size_t size) {
  const std::string block = absl::StrCat(Varint(size), elements);
  std::string out;
  if (!snappy::Uncompress(block.data(), block.size(), &out)) {
    return std::nullopt;
  }
  return out;
}

// A literal of 2^32 bytes is one of none to the library.
bool HasLongestLiteral(const std::string& elements) {
  return absl::StrContains(elements, "\xfc\xff\xff\xff\xff");
}

std::string Literal(absl::string_view text) {
  const size_t size = text.size() - 1;
  if (size < 60) {
    return absl::StrCat(std::string(1, static_cast<char>(size << 2)), text);
  }
  std::string head(1, static_cast<char>(62 << 2));  // Three bytes of size.
  for (int i = 0; i < 3; ++i) head.push_back(static_cast<char>(size >> 8 * i));
  return head + std::string(text);
}

// Elements of every kind, and how much they decode to.
class Elements {
 public:
  explicit Elements(unsigned seed) : random_(seed) {
    const int count = 1 + Below(30);
    for (int i = 0; i < count; ++i) Add();
  }
  const std::string& text() const { return text_; }
  size_t size() const { return size_; }

 private:
  int Below(int bound) { return static_cast<int>(random_() % bound); }

  void Add() {
    if (size_ == 0 || Below(3) == 0) {
      std::string text(Below(8) == 0 ? 1 + Below(300) : 1 + Below(70), ' ');
      for (char& c : text) c = static_cast<char>('a' + Below(26));
      text_ += Literal(text);
      size_ += text.size();
      return;
    }
    // Mostly what is there, near more often than far.
    const size_t most = Below(2) == 0 ? std::min<size_t>(size_, 20) : size_;
    const size_t offset = 1 + random_() % most;
    const int kind = 1 + Below(3);
    if (kind == 1 && offset < 2048) {
      const int length = 4 + Below(8);
      text_.push_back(
          static_cast<char>(1 | (length - 4) << 2 | (offset >> 8) << 5));
      text_.push_back(static_cast<char>(offset));
      size_ += static_cast<size_t>(length);
      return;
    }
    const int length = 1 + Below(64);
    text_.push_back(static_cast<char>((kind == 3 ? 3 : 2) | (length - 1) << 2));
    for (int i = 0; i < (kind == 3 ? 4 : 2); ++i) {
      text_.push_back(static_cast<char>(offset >> 8 * i));
    }
    size_ += static_cast<size_t>(length);
  }

  std::mt19937 random_;
  std::string text_;
  size_t size_ = 0;
};

TEST(SnappyDecodeTest, DecodesEveryKindOfElementAsTheLibraryDoes) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const Elements elements(seed);
    const auto expected = ByTheLibrary(elements.text(), elements.size());
    ASSERT_TRUE(expected.has_value()) << seed;
    ASSERT_EQ(Decode(elements.text(), elements.size()), expected) << seed;
  }
}

TEST(SnappyDecodeTest, RefusesWhatTheLibraryRefuses) {
  std::mt19937 random(5);
  int good = 0;
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    const Elements elements(seed % 1000);
    std::string text = elements.text();
    size_t size = elements.size();
    switch (random() % 4) {
      case 0:
        text.resize(random() % (text.size() + 1));
        break;
      case 1:
        size = std::min<size_t>(size + random() % 5, 20 * text.size()) -
               random() % 3;
        break;
      default:
        text[random() % text.size()] = static_cast<char>(random());
    }
    const auto expected = ByTheLibrary(text, size);
    if (expected.has_value() && HasLongestLiteral(text)) continue;
    ASSERT_EQ(Decode(text, size), expected) << absl::BytesToHexString(text);
    if (expected.has_value()) ++good;
  }
  EXPECT_GT(good, 1000);
}

TEST(SnappyDecodeTest, RefusesLiteralsBeyondTheEnd) {
  for (const absl::string_view elements :
       {absl::string_view("\xfc\xff\xff\xff\xff", 5),  // Of 2^32 bytes.
        absl::string_view("\xfc\xff\xff\xff", 4), absl::string_view("\xf0", 1),
        absl::string_view("\x04z", 2), absl::string_view("\x01", 1),
        absl::string_view("\0zz\x05", 4)}) {
    EXPECT_EQ(Decode(std::string(elements), 2), std::nullopt)
        << absl::BytesToHexString(elements);
  }
}

TEST(SnappyDecodeTest, LongTextsComeBack) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < 300'000) {
    absl::StrAppend(&text, "label=\"", random() % 500, "\",");
  }
  std::string block;
  snappy::Compress(text.data(), text.size(), &block);
  EXPECT_EQ(Decode(block.substr(Varint(text.size()).size()), text.size()),
            text);
  EXPECT_EQ(Decode(block.substr(Varint(text.size()).size()), text.size() - 1),
            std::nullopt);
}

}  // namespace
}  // namespace insula::remote_write
