#include "libs/fair_queue/request_rates.h"

#include <gmock/gmock.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace insula::fair_queue {
namespace {

using ::testing::Eq;

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

class RequestRatesTest : public ::testing::Test {
 protected:
  // How many of twenty requests at once pass; %d in a name is their number.
  int Passed(RouteClass route, absl::string_view tenant, absl::string_view uri,
             absl::string_view address, absl::Time now = kStart) {
    int passed = 0;
    for (int i = 0; i < 20; ++i) {
      const auto name = [i](absl::string_view text) {
        return text == "%d" ? absl::StrCat(i) : std::string(text);
      };
      const auto refused =
          rates_.Take(route, PredecessorZones(route), name(tenant), name(uri),
                      name(address), now);
      if (!refused.has_value()) {
        ++passed;
      } else {
        zone_ = std::string(refused->zone);
        EXPECT_THAT(refused->retry_after, Eq(absl::Seconds(30)));
      }
    }
    return passed;
  }

  RequestRates rates_;
  std::string zone_;  // That refused last.
};

TEST_F(RequestRatesTest, TwentyRapidQueriesPassAsBeforeThePredecessor) {
  EXPECT_THAT(Passed(RouteClass::kQuery, "a", "/q", "ip1"), Eq(3));
  EXPECT_THAT(zone_, Eq("uri"));
  EXPECT_THAT(Passed(RouteClass::kQuery, "b", "%d", "ip2"), Eq(4));
  EXPECT_THAT(zone_, Eq("tenant"));
  EXPECT_THAT(Passed(RouteClass::kQuery, "%d", "/q", "ip3"), Eq(6));
  EXPECT_THAT(zone_, Eq("address"));
  EXPECT_THAT(Passed(RouteClass::kApi, "a", "/l", "ip1"), Eq(6));
  EXPECT_THAT(Passed(RouteClass::kDebug, "a", "/d", "ip1"), Eq(2));
  EXPECT_THAT(Passed(RouteClass::kCollected, "a", "/c", "ip1"), Eq(2));
}

TEST_F(RequestRatesTest, RefillsAtTheRate) {
  Passed(RouteClass::kQuery, "a", "%d", "ip");
  EXPECT_THAT(Passed(RouteClass::kQuery, "a", "%d", "ip",
                     kStart + absl::Milliseconds(399)),
              Eq(1));
  EXPECT_THAT(
      Passed(RouteClass::kQuery, "a", "%d", "ip", kStart + absl::Seconds(5)),
      Eq(4));
}

TEST_F(RequestRatesTest, WhatOneZoneRefusesCountsInNoOther) {
  // The URI lets three through; the tenant has one left for another URI.
  EXPECT_THAT(Passed(RouteClass::kQuery, "a", "/q", "ip"), Eq(3));
  EXPECT_THAT(Passed(RouteClass::kQuery, "a", "/other", "ip"), Eq(1));
  EXPECT_THAT(zone_, Eq("tenant"));
}

TEST_F(RequestRatesTest, TheSameUriOfAnotherTenantIsAnother) {
  EXPECT_THAT(Passed(RouteClass::kQuery, "a", "/q", "ip1"), Eq(3));
  EXPECT_THAT(Passed(RouteClass::kQuery, "b", "/q", "ip2"), Eq(3));
}

TEST_F(RequestRatesTest, WithoutARateThereIsNoLimit) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(
        rates_.Take(RouteClass::kQuery, RateZones(), "a", "/q", "ip", kStart));
  }
}

TEST_F(RequestRatesTest, ALimitThatChangesHoldsAtOnce) {
  RateZones zones;
  zones.tenant = {1, 0};
  const auto take = [&](absl::Time now) {
    return rates_.Take(RouteClass::kQuery, zones, "a", "/q", "ip", now)
        .has_value();
  };
  EXPECT_FALSE(take(kStart));
  EXPECT_TRUE(take(kStart));
  zones.tenant = {100, 99};
  EXPECT_TRUE(take(kStart + absl::Milliseconds(1)));
  EXPECT_FALSE(take(kStart + absl::Milliseconds(11)));
  EXPECT_TRUE(take(kStart + absl::Milliseconds(11)));
  zones.tenant = {0, 0};
  EXPECT_FALSE(take(kStart + absl::Milliseconds(11)));
}

}  // namespace
}  // namespace insula::fair_queue
