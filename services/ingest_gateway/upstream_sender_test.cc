#include "services/ingest_gateway/upstream_sender.h"

#include <gmock/gmock.h>

#include <set>

#include "libs/time/fake_clock.h"

namespace insula::ingest_gateway {
namespace {

tenancy::Upstream Three() {
  tenancy::Upstream upstream;
  upstream.id = "store";
  upstream.spec.set_write_url("http://a/");
  upstream.spec.add_more_write_urls("http://b/");
  upstream.spec.add_more_write_urls("http://c/");
  return upstream;
}

void Fail(UpstreamHealth* health, const std::string& url) {
  for (int i = 0; i < UpstreamHealth::kMaxFailures; ++i) {
    health->Note(url, false);
  }
}

std::set<std::string> PickMany(UpstreamHealth* health,
                               const tenancy::Upstream& upstream) {
  std::set<std::string> picked;
  for (int i = 0; i < 30; ++i) picked.insert(health->Pick(upstream));
  return picked;
}

TEST(UpstreamHealthTest, UrlsTakeTurns) {
  FakeClock clock;
  UpstreamHealth health(&clock);
  EXPECT_EQ(PickMany(&health, Three()).size(), 3u);
}

TEST(UpstreamHealthTest, OneThatDoesNotAnswerIsLeftOut) {
  FakeClock clock;
  UpstreamHealth health(&clock);
  Fail(&health, "http://b/");
  EXPECT_THAT(PickMany(&health, Three()),
              testing::ElementsAre("http://a/", "http://c/"));
  EXPECT_TRUE(health.IsWell(Three()));
}

TEST(UpstreamHealthTest, AnAnswerInBetweenKeepsItIn) {
  FakeClock clock;
  UpstreamHealth health(&clock);
  for (int i = 0; i < 20; ++i) {
    health.Note("http://a/", false);
    if (i % UpstreamHealth::kMaxFailures == 2) health.Note("http://a/", true);
  }
  EXPECT_EQ(PickMany(&health, Three()).size(), 3u);
}

TEST(UpstreamHealthTest, OneThatIsDownIsTriedByOneWriteAfterAWhile) {
  FakeClock clock;
  UpstreamHealth health(&clock);
  Fail(&health, "http://b/");
  clock.Advance(absl::Seconds(2));
  int tries = 0;
  for (int i = 0; i < 30; ++i) {
    if (health.Pick(Three()) == "http://b/") ++tries;
  }
  EXPECT_EQ(tries, 1);
  health.Note("http://b/", true);
  EXPECT_EQ(PickMany(&health, Three()).size(), 3u);
}

TEST(UpstreamHealthTest, AnUpstreamIsNotWellWhenAllItsUrlsAreDown) {
  FakeClock clock;
  UpstreamHealth health(&clock);
  for (const char* url : {"http://a/", "http://b/", "http://c/"}) {
    Fail(&health, url);
  }
  EXPECT_FALSE(health.IsWell(Three()));
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(health.IsWell(Three()));
}

}  // namespace
}  // namespace insula::ingest_gateway
