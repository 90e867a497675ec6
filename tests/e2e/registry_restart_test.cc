// The registry dies and comes back while others work: nobody notices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Writes and reads without a pause until it is stopped, and keeps what failed.
class Traffic {
 public:
  explicit Traffic(const Constellation* constellation)
      : constellation_(*constellation), thread_([this] { Run(); }) {}
  ~Traffic() { Stop(); }

  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int rounds() const { return rounds_; }
  // After Stop().
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void Run() {
    while (!stop_) {
      const HttpAnswer write = constellation_.Write(
          Constellation::kSender,
          WriteBody({{{{"__name__", "traffic"}, {"namespace", "red"}},
                      static_cast<double>(rounds_),
                      absl::Now()}}));
      if (write.status != 204) Fail("write", write);
      const HttpAnswer read =
          constellation_.Query(Constellation::kRed, "traffic");
      if (read.status != 200) Fail("read", read);
      ++rounds_;
    }
  }
  void Fail(absl::string_view what, const HttpAnswer& answer) {
    if (failures_.size() < 10) {
      failures_.push_back(
          absl::StrCat(what, ": ", answer.status, " ", answer.body));
    }
  }

  const Constellation& constellation_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> rounds_ = 0;
  std::vector<std::string> failures_;
  std::thread thread_;
};

class RegistryRestartTest : public testing::Test {
 protected:
  void SetUp() override { constellation_.StartAll(); }

  v1::Operation PutReader(const std::string& token) {
    v1::Operation operation;
    v1::Object* const object = operation.mutable_put();
    object->mutable_meta()->set_kind(v1::KIND_BINDING);
    object->mutable_meta()->set_id("reader-" + token);
    object->mutable_binding()->set_token_sha256(TokenHash(token));
    object->mutable_binding()->add_tenant_ids("red");
    object->mutable_binding()->add_roles(v1::ROLE_READ);
    return operation;
  }

  Constellation constellation_;
};

TEST_F(RegistryRestartTest, KilledAndStartedAgainInFlightNobodyNotices) {
  Traffic traffic(&constellation_);
  const auto more = [&traffic](int rounds) {
    const int target = traffic.rounds() + rounds;
    return WaitUntil([&] { return traffic.rounds() >= target; });
  };
  ASSERT_TRUE(more(20));
  for (int i = 0; i < 3; ++i) {
    constellation_.registry->Kill();
    ASSERT_TRUE(more(20)) << "with the registry down";
    constellation_.StartRegistry();
    ASSERT_TRUE(more(20)) << "with the registry back";
  }
  traffic.Stop();
  EXPECT_THAT(traffic.failures(), IsEmpty());

  // The followers found the new process: a change still arrives.
  constellation_.Apply({PutReader("after-restart")});
  EXPECT_TRUE(WaitUntil([this] {
    return constellation_.Query("after-restart", "1").status == 200;
  }));
}

TEST_F(RegistryRestartTest, ServicesStartFromTheirLastCopyWithoutTheRegistry) {
  constellation_.registry->Signal(SIGTERM);
  EXPECT_EQ(constellation_.registry->Wait(absl::Minutes(1)), 0);
  constellation_.gateway->Signal(SIGTERM);
  EXPECT_EQ(constellation_.gateway->Wait(absl::Minutes(1)), 0);
  constellation_.frontend->Kill();

  constellation_.StartGateway();
  constellation_.StartFrontend();
  EXPECT_EQ(
      constellation_
          .Write(Constellation::kSender,
                 WriteBody({{{{"__name__", "alone"}, {"namespace", "red"}},
                             7,
                             absl::Now() - absl::Seconds(5)}}))
          .status,
      204);
  EXPECT_THAT(constellation_.Query(Constellation::kRed, "alone").body,
              HasSubstr("\"7\""));
}

}  // namespace
}  // namespace insula::e2e
