#include "libs/remote_write/shape.h"

#include <gmock/gmock.h>

#include <string>

#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

using namespace std::string_literals;

TEST(WireTest, ReadsVarintsOfUpToTenBytes) {
  struct {
    std::string bytes;
    bool ok;
    uint64_t value;
  } cases[] = {
      {"\x00"s, true, 0},
      {"\x7f", true, 127},
      {"\x80\x01", true, 128},
      {"\x80\x00"s, true, 0},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", true, UINT64_MAX},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", false, 0},
      {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"s, false, 0},
      {"\x80", false, 0},
      {"", false, 0},
  };
  for (const auto& c : cases) {
    const char* p = c.bytes.data();
    uint64_t value = 0;
    EXPECT_EQ(ReadVarint(&p, p + c.bytes.size(), &value), c.ok)
        << testing::PrintToString(c.bytes);
    EXPECT_TRUE(!c.ok || value == c.value) << testing::PrintToString(c.bytes);
  }
}

TEST(WireTest, RefusesFieldsThatNoEncoderMakes) {
  const std::string cases[] = {
      "\x02\x00"s,  // Field 0.
      "\x0b\x0c",   // A group.
      "\x0e\x00"s,  // Wire type 6.
      "\x0a\x05"    // Length over the end.
      "abcd",
      "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  // Length 2^64 - 1.
      "\x0a\x80\x80\x80\x80\x80\x00"s,                 // Length in six bytes.
      "\x8a\x80\x80\x80\x80\x00\x00"s,                 // Tag in six bytes.
      "\x09\x01\x02",                                  // Half a double.
      "\x0d\x01\x02",                                  // Half a fixed32.
      "\x10",                                          // A tag alone.
  };
  for (const std::string& bytes : cases) {
    WireReader reader(bytes);
    WireField field;
    EXPECT_FALSE(reader.Next(&field)) << testing::PrintToString(bytes);
    EXPECT_FALSE(reader.ok()) << testing::PrintToString(bytes);
  }
}

TEST(ShapeTest, TakesFieldsThatItDoesNotKnow) {
  EXPECT_TRUE(HasShape("\x7a\x02zz\x78\x01"s, SampleShape()));
}

TEST(ShapeTest, RefusesKnownFieldsOfAnotherType) {
  EXPECT_FALSE(HasShape("\x08\x01"s, SampleShape()));    // value: varint.
  EXPECT_FALSE(HasShape("\x12\x01z"s, SampleShape()));   // timestamp: bytes.
  EXPECT_FALSE(HasShape("\x10\x01"s, MetadataShape()));  // name: varint.
}

TEST(ShapeTest, LooksIntoNestedMessages) {
  EXPECT_TRUE(
      HasShape("\x0a\x06\x0a\x01"
               "a\x12\x01"
               "b",
               ExemplarShape()));
  EXPECT_FALSE(
      HasShape("\x0a\x03\x0a\x09"
               "a",
               ExemplarShape()));
  EXPECT_FALSE(HasShape("\x42\x02\x08\x80", HistogramShape()));  // Span.
}

TEST(ShapeTest, LooksIntoPackedFields) {
  EXPECT_TRUE(HasShape("\x62\x03\x01\x80\x01", HistogramShape()));
  EXPECT_FALSE(HasShape("\x62\x02\x01\x80", HistogramShape()));
  EXPECT_TRUE(HasShape("\x6a\x08zzzzzzzz", HistogramShape()));
  EXPECT_FALSE(HasShape("\x6a\x07zzzzzzz", HistogramShape()));
}

}  // namespace
}  // namespace insula::remote_write
