#include "libs/audit/audit_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::audit {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class AuditLogTest : public testing::Test {
 protected:
  AuditLogTest() {
    std::string pattern = testing::TempDir() + "insula-audit-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << pattern;
    directory_ = pattern;
    config_.file = directory_ + "/audit.jsonl";
  }
  ~AuditLogTest() override {
    log_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Open() {
    auto log = AuditLog::Open(config_, "ingest-gateway", &clock_, &metrics_);
    ASSERT_THAT(log, IsOk());
    log_ = *std::move(log);
    ASSERT_NE(log_, nullptr);
  }

  // The lines of the file once all are written.
  std::vector<json> Finish() { return Finish(config_.file); }
  std::vector<json> Finish(const std::string& file) {
    log_.reset();
    std::ifstream stream(file);
    std::vector<json> lines;
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  static Event Refusal(std::string id) {
    Event event;
    event.event = "request";
    event.decision = "refused";
    event.request_id = std::move(id);
    return event;
  }

  double Lines(const char* result) {
    return metrics_
        .AddCounter("insula_audit_lines_total",
                    "Lines of the audit, by what became of them.",
                    {{"result", result}})
        .Value();
  }

  std::string directory_;
  AuditConfig config_;
  FakeClock clock_{absl::FromUnixSeconds(1'795'255'200)};
  metrics::Registry metrics_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditLogTest, WritesWhatIsKnown) {
  Open();
  Event event = Refusal("7f3a");
  event.code = "PERMISSION_DENIED";
  event.method = "POST /api/v1/write";
  event.principal = "binding/agents";
  event.tenant = "blue";
  event.listener = "write";
  event.peer = "192.0.2.7";
  log_->WriteRefusal(event);
  log_.reset();
  std::ifstream stream(config_.file);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_EQ(text,
            R"({"time":"2026-11-21T10:00:00.000Z","service":"ingest-gateway",)"
            R"("event":"request","decision":"refused",)"
            R"("code":"PERMISSION_DENIED","method":"POST /api/v1/write",)"
            R"("principal":"binding/agents","tenant":"blue",)"
            R"("listener":"write","peer":"192.0.2.7","request_id":"7f3a"})"
            "\n");
}

TEST_F(AuditLogTest, HostileBytesStayWithinTheirValue) {
  Open();
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  for (const std::string& value :
       {all, std::string("\"}\n{\"decision\":\"allowed\"}"),
        std::string("\xc3"), std::string("\xed\xa0\x80"),
        std::string("\u2028\u202e"), std::string(100'000, '\xff')}) {
    Event event = Refusal(value);
    event.principal = event.method = event.tenant = event.peer = value;
    log_->WriteRefusal(event);
  }
  log_.reset();
  std::ifstream stream(config_.file);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c == '\n' || (c >= 0x20 && c < 0x7f);
  }));
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(6));
  for (const json& line : lines) {
    EXPECT_EQ(line["decision"], "refused");
    EXPECT_LE(line.dump().size(), 8U << 10);
  }
  EXPECT_EQ(lines[1]["tenant"], "\"}\n{\"decision\":\"allowed\"}");
}

TEST_F(AuditLogTest, RefusalsAboveTheRateAreCountedAndTheNextLineSaysSo) {
  config_.max_lines_per_second = 2;
  Open();
  for (int i = 0; i < 50; ++i) log_->WriteRefusal(Refusal(absl::StrCat(i)));
  EXPECT_EQ(Lines("rate_limited"), 30);
  clock_.Advance(absl::Seconds(1));
  log_->WriteRefusal(Refusal("later"));
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(21));
  EXPECT_EQ(lines.back()["request_id"], "later");
  EXPECT_EQ(lines.back()["dropped"], 30);
  EXPECT_EQ(Lines("written"), 21);
}

TEST_F(AuditLogTest, ChangesAreNotHeldBackByRefusals) {
  config_.max_lines_per_second = 1;
  Open();
  for (int i = 0; i < 50; ++i) log_->WriteRefusal(Refusal(absl::StrCat(i)));
  Event change;
  change.event = "change";
  change.object = "tenant/blue";
  change.revision = 7;
  log_->WriteChange(change);
  const std::vector<json> lines = Finish();
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back()["object"], "tenant/blue");
  EXPECT_EQ(lines.back()["revision"], 7);
}

TEST_F(AuditLogTest, NoLineIsLostOrTornWhenManyThreadsWrite) {
  config_.max_lines_per_second = 100'000;
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < 200; ++i) log_->WriteRefusal(Refusal("x"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Finish(), SizeIs(800));
}

TEST_F(AuditLogTest, AQueueThatIsFullDropsAndCounts) {
  // A pipe that nobody reads.
  config_.file = directory_ + "/pipe";
  ASSERT_EQ(mkfifo(config_.file.c_str(), 0600), 0);
  const int reader = open(config_.file.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  Open();
  Event change;
  change.reason = std::string(256, 'x');
  for (int i = 0; i < 10'000; ++i) log_->WriteChange(change);
  EXPECT_GT(Lines("queue_full"), 1000);
  // The one who writes must come to an end.
  std::thread drain([reader] {
    fcntl(reader, F_SETFL, 0);
    char piece[65536];
    while (read(reader, piece, sizeof(piece)) > 0) {
    }
    close(reader);
  });
  log_.reset();
  drain.join();
}

TEST_F(AuditLogTest, AFileThatIsMovedAwayIsMadeAnew) {
  Open();
  log_->WriteRefusal(Refusal("1"));
  while (Lines("written") < 1) std::this_thread::yield();
  const std::string old = config_.file + ".1";
  std::filesystem::rename(config_.file, old);
  clock_.Advance(absl::Seconds(2));
  log_->WriteRefusal(Refusal("2"));
  const std::vector<json> lines = Finish();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["request_id"], "2");
  EXPECT_THAT(Finish(old), SizeIs(1));
  struct stat info = {};
  ASSERT_EQ(stat(config_.file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0007, 0U);
}

TEST_F(AuditLogTest, WhatCanNotBeWrittenIsCounted) {
  config_.file = "/dev/full";
  Open();
  log_->WriteRefusal(Refusal("1"));
  log_.reset();
  EXPECT_EQ(Lines("failed"), 1);
  EXPECT_EQ(Lines("written"), 0);
}

TEST_F(AuditLogTest, LinesAreAddedToWhatIsThere) {
  Open();
  log_->WriteRefusal(Refusal("1"));
  log_.reset();
  Open();
  log_->WriteRefusal(Refusal("2"));
  EXPECT_THAT(Finish(), SizeIs(2));
}

TEST_F(AuditLogTest, WithoutAFileThereIsNone) {
  config_.file = "";
  const auto log = AuditLog::Open(config_, "x", &clock_, &metrics_);
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(*log, nullptr);
}

TEST_F(AuditLogTest, AFileThatCanNotBeOpenedIsNamed) {
  config_.file = directory_ + "/no/such";
  EXPECT_THAT(AuditLog::Open(config_, "x", &clock_, &metrics_),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("audit.file"), HasSubstr("/no/such"))));
}

TEST(AuditConfigTest, TheRateMustBePositive) {
  AuditConfig config;
  EXPECT_THAT(config.Validate(), IsOk());
  config.max_lines_per_second = 0;
  EXPECT_THAT(config.Validate(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("audit.max_lines_per_second")));
}

}  // namespace
}  // namespace insula::audit
