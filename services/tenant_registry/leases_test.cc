#include "services/tenant_registry/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LeasesTest : public testing::Test {
 protected:
  // Time passes as it does when nothing stands still.
  std::vector<std::string> Pass(int seconds) {
    std::vector<std::string> ended;
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      for (std::string& id : leases_.Expire(now_)) {
        ended.push_back(std::move(id));
      }
    }
    return ended;
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(5);
  Leases leases_{absl::Seconds(12)};
};

TEST_F(LeasesTest, ALeaseEndsWhenItIsNotRenewed) {
  EXPECT_TRUE(leases_.Renew("a", now_));
  EXPECT_TRUE(leases_.Renew("b", now_));
  EXPECT_THAT(Pass(8), IsEmpty());
  EXPECT_TRUE(leases_.Renew("b", now_));
  EXPECT_THAT(Pass(3), IsEmpty());
  EXPECT_THAT(Pass(1), ElementsAre("a"));
  EXPECT_THAT(Pass(7), IsEmpty());
  EXPECT_THAT(Pass(1), ElementsAre("b"));
  EXPECT_THAT(Pass(60), IsEmpty());
}

TEST_F(LeasesTest, OneThatWasEndedDoesNotExpire) {
  leases_.Renew("a", now_);
  leases_.End("a");
  EXPECT_THAT(Pass(20), IsEmpty());
}

TEST_F(LeasesTest, NoneIsRenewedWhileItIsDeleted) {
  leases_.Renew("a", now_);
  EXPECT_THAT(Pass(12), ElementsAre("a"));
  EXPECT_FALSE(leases_.Renew("a", now_));
  leases_.Deleted("a");
  EXPECT_TRUE(leases_.Renew("a", now_));
  EXPECT_TRUE(leases_.Has("a"));
}

TEST_F(LeasesTest, TimeThatTheProcessStoodStillDoesNotCount) {
  leases_.Renew("a", now_);
  EXPECT_THAT(Pass(6), IsEmpty());
  now_ += absl::Minutes(10);
  EXPECT_THAT(leases_.Expire(now_), IsEmpty());
  EXPECT_THAT(Pass(5), IsEmpty());
  EXPECT_THAT(Pass(1), ElementsAre("a"));
}

}  // namespace
}  // namespace insula::tenant_registry
