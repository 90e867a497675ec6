// A Spool in a directory of its own, for the tests here.
#pragma once

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/metrics/exposed_value.h"
#include "libs/metrics/metrics.h"
#include "libs/spool/spool.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::spool {

class SpoolFixture : public testing::Test {
 protected:
  SpoolFixture() {
    std::string path = testing::TempDir() + "/spool.XXXXXX";
    path_ = mkdtemp(path.data());
    options_.directory = path_ + "/queue";
    options_.min_free_bytes = 0;
    options_.steady_clock = &clock_;
  }
  ~SpoolFixture() override {
    spool_.reset();
    std::filesystem::remove_all(path_);
  }

  static std::string Uid(char c) { return std::string(kTenantUidBytes, c); }

  absl::Status TryOpen() {
    spool_.reset();
    metrics_ = std::make_unique<metrics::Registry>();
    auto spool = Spool::Open(options_, &clock_, metrics_.get());
    if (spool.ok()) spool_ = *std::move(spool);
    return spool.status();
  }
  // As after the end of the process.
  void Open() { ASSERT_THAT(TryOpen(), IsOk()); }

  static Record RecordOf(char uid, std::string body) {
    Record record;
    record.tenant_uid = Uid(uid);
    record.tenant_id = absl::StrCat("tenant-", std::string(1, uid));
    record.upstream_id = "store";
    record.series = 1;
    record.samples = 2;
    record.hash = 7;
    record.body = std::move(body);
    return record;
  }

  std::future<absl::Status> Begin(char uid, std::string body,
                                  Spool::Quota quota = {}) {
    auto done = std::make_shared<std::promise<absl::Status>>();
    spool_->Append(RecordOf(uid, std::move(body)), quota,
                   [done](absl::Status status) { done->set_value(status); });
    return done->get_future();
  }
  absl::Status Append(char uid, std::string body, Spool::Quota quota = {}) {
    return Begin(uid, std::move(body), quota).get();
  }

  // The bodies that wait, oldest first.
  std::vector<std::string> Waiting(char uid) {
    std::vector<std::string> bodies;
    const auto records = spool_->Read(Uid(uid), uint64_t{1} << 40);
    if (!records.ok()) {
      EXPECT_THAT(records, StatusIs(absl::StatusCode::kNotFound));
      return bodies;
    }
    for (const auto& stored : *records) bodies.push_back(stored.record.body);
    return bodies;
  }

  double Metric(absl::string_view name) {
    return metrics::ExposedValue(metrics_->Expose(), name).value_or(-1);
  }

  std::string path_;
  Spool::Options options_;
  FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<Spool> spool_;
};

}  // namespace insula::spool
