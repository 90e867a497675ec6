#include "libs/registry_client/checked_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "insula/registry/v1/objects.pb.h"
#include "libs/status/status_matchers.h"

namespace insula::registry_client {
namespace {

using ::testing::HasSubstr;
using enum absl::StatusCode;

constexpr size_t kMaxBytes = 1000;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

registry::v1::Meta Message(const std::string& uid) {
  registry::v1::Meta meta;
  meta.set_uid(uid);
  return meta;
}

class CheckedFileTest : public testing::Test {
 protected:
  CheckedFileTest() {
    auto writer = CheckedFileWriter::Create(path_, "MAGIC");
    EXPECT_THAT(writer, IsOk());
    EXPECT_THAT(writer->Append(Message("one")), IsOk());
    EXPECT_THAT(writer->Append(Message(std::string(300, 'x'))), IsOk());
    EXPECT_THAT(writer->Finish(), IsOk());
  }

  // Reads both messages and the sum.
  absl::Status ReadBoth() {
    auto reader = CheckedFileReader::Open(path_, "MAGIC");
    if (!reader.ok()) return reader.status();
    registry::v1::Meta meta;
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = reader->Next(&meta, kMaxBytes);
      if (!status.ok()) return status;
    }
    return reader->Finish();
  }

  const std::string path_ = testing::TempDir() + "/checked_file";
};

TEST_F(CheckedFileTest, ReadsWhatWasWritten) {
  auto reader = CheckedFileReader::Open(path_, "MAGIC");
  ASSERT_THAT(reader, IsOk());
  registry::v1::Meta meta;
  ASSERT_THAT(reader->Next(&meta, kMaxBytes), IsOk());
  EXPECT_EQ(meta.uid(), "one");
  ASSERT_THAT(reader->Next(&meta, kMaxBytes), IsOk());
  EXPECT_EQ(meta.uid(), std::string(300, 'x'));
  EXPECT_THAT(reader->Finish(), IsOk());
}

TEST_F(CheckedFileTest, OnlyItsOwnerMayReadIt) {
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(CheckedFileTest, NoticesAFlippedBitInAnyByte) {
  const std::string good = ReadAll(path_);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    WriteAll(path_, bad);
    ASSERT_THAT(ReadBoth(), StatusIs(kDataLoss)) << "byte " << i;
  }
}

TEST_F(CheckedFileTest, NoticesEveryCut) {
  const std::string good = ReadAll(path_);
  for (size_t size = 0; size < good.size(); ++size) {
    WriteAll(path_, good.substr(0, size));
    ASSERT_THAT(ReadBoth(), StatusIs(kDataLoss)) << size;
  }
  WriteAll(path_, good + "x");
  EXPECT_THAT(ReadBoth(),
              StatusIs(kDataLoss, HasSubstr("more than belongs to it")));
}

TEST_F(CheckedFileTest, BoundsAMessage) {
  auto reader = CheckedFileReader::Open(path_, "MAGIC");
  registry::v1::Meta meta;
  ASSERT_THAT(reader->Next(&meta, 100), IsOk());
  EXPECT_THAT(reader->Next(&meta, 100),
              StatusIs(kDataLoss, HasSubstr("has a bad length")));
}

TEST_F(CheckedFileTest, SaysThatAFileIsMissing) {
  EXPECT_THAT(CheckedFileReader::Open(path_ + "-not", "MAGIC"),
              StatusIs(kNotFound));
}

}  // namespace
}  // namespace insula::registry_client
