#include "services/ingest_gateway/dead_letters.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "libs/runtime/blocking_pool.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ContentOf(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

// The lines of a file, each of which ends; those that are no JSON are null.
std::vector<nlohmann::json> LettersIn(const std::string& path) {
  std::vector<nlohmann::json> letters;
  std::vector<std::string> lines = absl::StrSplit(ContentOf(path), '\n');
  EXPECT_THAT(lines.back(), IsEmpty());
  lines.pop_back();
  for (const std::string& line : lines) {
    const auto letter = nlohmann::json::parse(line, nullptr, false);
    letters.push_back(letter.is_object() ? letter : nlohmann::json());
  }
  return letters;
}

std::string BodyOfLetter(const nlohmann::json& letter) {
  std::string body;
  EXPECT_TRUE(
      absl::Base64Unescape(letter.at("body").get<std::string>(), &body));
  return body;
}

class DeadLettersTest : public WriteFixture {
 protected:
  DeadLettersTest() {
    std::string path = testing::TempDir() + "/letters.XXXXXX";
    dir_ = mkdtemp(path.data());
    letters_config_.file = dir_ + "/refused";
  }
  ~DeadLettersTest() override {
    handler_.reset();
    std::filesystem::remove_all(dir_);
  }

  // A handler that keeps what is refused.
  void Begin() {
    handler_.reset();
    handler_metrics_ = std::make_unique<metrics::Registry>();
    auto letters = Open();
    ASSERT_THAT(letters, IsOk());
    letters_ = *std::move(letters);
    sender_ = std::make_unique<UpstreamSender>("insula/test", &client_, &clock_,
                                               handler_metrics_.get(),
                                               letters_.get());
    handler_ = std::make_unique<WriteHandler>(
        config_, [this] { return Snapshot(); }, sender_.get(),
        pool_.get_executor(), &clock_, handler_metrics_.get());
  }
  absl::StatusOr<std::unique_ptr<DeadLetters>> Open() {
    return DeadLetters::Open(letters_config_, &blocking_, &clock_,
                             handler_metrics_.get());
  }

  void Keep(const std::string& answer, const std::string& body) {
    DeadLetter letter;
    letter.tenant_id = "red";
    letter.tenant_uid = "uid";
    letter.upstream_id = "store";
    letter.answer = answer;
    letter.body = body;
    boost::asio::co_spawn(strand_, letters_->Keep(&letter),
                          boost::asio::use_future)
        .get();
  }
  double Written() {
    return Metric("ingest_gateway_dead_letters_total{result=\"written\"}");
  }
  double Failed() {
    return Metric("ingest_gateway_dead_letters_total{result=\"failed\"}");
  }

  std::string dir_;
  DeadLettersConfig letters_config_;
  runtime::BlockingPool blocking_{2, 100};
  std::unique_ptr<DeadLetters> letters_;
};

TEST_F(DeadLettersTest, HoldsWhatAStoreRefusedAsItWasSent) {
  Begin();
  store_.SetMood("red", {.status = 400, .body = "out of order sample"});
  EXPECT_EQ(Write("sender", BodyOf({"red", "blue"})).status, 400);
  std::string sent;
  for (const FakeStore::Seen& seen : store_.TakeSeen()) {
    if (seen.tenant == "red") sent = seen.body;
  }
  const auto letters = LettersIn(letters_config_.file);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].at("tenant"), "red");
  EXPECT_EQ(letters[0].at("tenant_uid"),
            absl::BytesToHexString(Snapshot()->FindTenant("red")->uid));
  EXPECT_EQ(letters[0].at("upstream"), "store");
  EXPECT_EQ(letters[0].at("answer"), "400 out of order sample\n");
  EXPECT_EQ(letters[0].at("series"), 1);
  EXPECT_EQ(letters[0].at("samples"), 1);
  EXPECT_EQ(BodyOfLetter(letters[0]), sent);
  EXPECT_EQ(Written(), 1);
  struct stat about = {};
  ASSERT_EQ(stat(letters_config_.file.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(DeadLettersTest, WhatMayBeSentAgainIsNotInIt) {
  Begin();
  for (const int status : {204, 408, 425, 429, 500, 503}) {
    store_.SetMood("red", {.status = status});
    Write("sender", BodyOf({"red"}));
  }
  EXPECT_THAT(LettersIn(letters_config_.file), IsEmpty());
}

TEST_F(DeadLettersTest, AnAnswerOfAnyBytesIsOneLineOfAscii) {
  Begin();
  Keep("400 \xff\n\"}\x01\xc3\xa9", std::string("\0\xff\n", 3));
  const std::string content = ContentOf(letters_config_.file);
  for (const char c : content.substr(0, content.size() - 1)) {
    EXPECT_TRUE(c >= ' ' && c <= '~');
  }
  const auto letters = LettersIn(letters_config_.file);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(BodyOfLetter(letters[0]), std::string("\0\xff\n", 3));
}

TEST_F(DeadLettersTest, TakesNoMoreThanItMayAndKeepsTheNewest) {
  letters_config_.max_bytes.value = 1 << 20;
  Begin();
  const std::string older = letters_config_.file + ".1";
  for (int i = 0; i < 30; ++i) {
    Keep(std::to_string(i), std::string(90'000, 'x'));
    uint64_t all = std::filesystem::file_size(letters_config_.file);
    if (std::filesystem::exists(older))
      all += std::filesystem::file_size(older);
    EXPECT_LE(all, letters_config_.max_bytes.value);
  }
  EXPECT_EQ(Written(), 30);
  std::vector<nlohmann::json> letters = LettersIn(older);
  for (auto& letter : LettersIn(letters_config_.file)) {
    letters.push_back(std::move(letter));
  }
  ASSERT_GE(letters.size(), 5u);
  for (size_t i = 0; i < letters.size(); ++i) {
    EXPECT_EQ(letters[letters.size() - 1 - i].at("answer"),
              std::to_string(29 - i));
  }
}

TEST_F(DeadLettersTest, OneThatIsTooLargeIsCounted) {
  letters_config_.max_bytes.value = 1 << 20;
  Begin();
  Keep("400", std::string(1 << 20, 'x'));
  EXPECT_EQ(Failed(), 1);
  Keep("400", "small");
  EXPECT_THAT(LettersIn(letters_config_.file), SizeIs(1));
}

TEST_F(DeadLettersTest, ALineThatWasCutOffSpoilsNoOther) {
  std::ofstream(letters_config_.file) << "{\"tenant\":\"re";
  Begin();
  Keep("400", "body");
  const auto letters = LettersIn(letters_config_.file);
  ASSERT_THAT(letters, SizeIs(2));
  EXPECT_TRUE(letters[0].is_null());
  EXPECT_EQ(BodyOfLetter(letters[1]), "body");
}

TEST_F(DeadLettersTest, AFileThatIsMovedAwayIsMadeAnew) {
  Begin();
  Keep("400", "first");
  std::filesystem::rename(letters_config_.file, dir_ + "/moved");
  Keep("400", "second");
  EXPECT_EQ(BodyOfLetter(LettersIn(dir_ + "/moved").at(0)), "first");
  EXPECT_EQ(BodyOfLetter(LettersIn(letters_config_.file).at(0)), "second");
}

TEST_F(DeadLettersTest, TheSenderIsAnsweredWhateverBecomesOfTheFile) {
  Begin();
  store_.SetMood("red", {.status = 400});
  std::filesystem::remove_all(dir_);
  EXPECT_EQ(Write("sender", BodyOf({"red"})).status, 400);
  EXPECT_EQ(Failed(), 1);
}

TEST_F(DeadLettersTest, WhatIsNoFileIsRefusedAtTheStart) {
  const auto refused = [this](const std::string& file) {
    letters_config_.file = file;
    EXPECT_THAT(Open().status(),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr("dead_letters.file '" + file + "'")));
  };
  refused(dir_);
  refused(dir_ + "/missing/file");
  ASSERT_EQ(mkfifo((dir_ + "/pipe").c_str(), 0600), 0);
  refused(dir_ + "/pipe");
}

TEST_F(DeadLettersTest, WithoutAFileThereIsNone) {
  letters_config_.file.clear();
  const auto letters = Open();
  ASSERT_THAT(letters, IsOk());
  EXPECT_EQ(*letters, nullptr);
}

}  // namespace
}  // namespace insula::ingest_gateway
