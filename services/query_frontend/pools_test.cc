// Stores with several replicas, and what is known of them.

#include "services/query_frontend/pools.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr char kQuery[] = "/api/v1/query?query=up";

std::optional<promql::Version> Said(absl::string_view version) {
  return ParseBuildInfo(absl::StrCat(
      R"({"status":"success","data":{"version":")", version, R"("}})"));
}

TEST(ParseBuildInfoTest, TakesVersionsOfPrometheus) {
  EXPECT_THAT(Said("2.42.0"), Optional(Eq(promql::Version{2, 42})));
  EXPECT_THAT(Said("3.5.0-rc.1"), Optional(Eq(promql::Version{3, 5})));
  EXPECT_THAT(Said("v3.14.2+ds"), Optional(Eq(promql::Version{3, 14})));
}

TEST(ParseBuildInfoTest, TakesNothingElse) {
  for (const char* other :
       {"", "3", "x.y", "0.36.1", "2.24.0", "-3.1", "99999999.1", "3.-1"}) {
    EXPECT_THAT(Said(other), Eq(std::nullopt)) << other;
  }
  for (const char* other : {"", "canary", "[]", "{}", R"({"status":"success"})",
                            R"({"status":"success","data":[]})",
                            R"({"status":"error","data":{"version":"3.5.0"}})",
                            R"({"status":"success","data":{"version":3}})",
                            R"({"status":"success","data":{"version":"3.0.1",)"
                            R"("application":"Grafana Mimir"}})"}) {
    EXPECT_THAT(ParseBuildInfo(other), Eq(std::nullopt)) << other;
  }
}

class PoolsTest : public ApiTest {
 protected:
  PoolsTest() { store_.SetAnswer(200, kVector); }

  // The upstream of red and blue, from now on.
  void SetStore(const std::function<void(v1::Upstream*)>& fill) {
    tenancy::SnapshotBuilder builder(*snapshot_);
    Put(&builder, v1::KIND_UPSTREAM, "shared", [&](v1::Object* object) {
      object->mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
      object->mutable_upstream()->set_query_url(store_.url());
      object->mutable_meta()->set_mod_revision(++revision_);
      fill(object->mutable_upstream());
    });
    snapshot_ = std::move(builder).Build(revision_, "e");
    pools_.Follow(*snapshot_);
  }
  std::string VersionSaid() { return Get("/api/v1/status/buildinfo").body; }

  int64_t revision_ = 7;
};

TEST_F(PoolsTest, ReplicasShareTheQueries) {
  FakeStore other(pool_.get_executor(), &registry_);
  other.SetAnswer(200, kVector);
  SetStore([&](v1::Upstream* upstream) {
    upstream->add_more_query_urls(other.url());
  });
  const auto asked = [](const FakeStore& store) {
    size_t queries = 0;
    for (const Asked& each : store.asked()) {
      queries += each.target == "/store/api/v1/query" ? 1 : 0;
    }
    return queries;
  };
  for (int i = 0; i < 1000 && (asked(store_) == 0 || asked(other) == 0); ++i) {
    EXPECT_EQ(Get(kQuery).status, 200);
  }
  EXPECT_GT(asked(store_), 0U);
  EXPECT_GT(asked(other), 0U);
}

TEST_F(PoolsTest, AReplicaThatIsAwayCostsNoAnswer) {
  SetStore([&](v1::Upstream* upstream) {
    upstream->set_query_url("http://127.0.0.1:1");
    upstream->add_more_query_urls(store_.url());
    upstream->set_query_balance(v1::Upstream::QUERY_BALANCE_FIRST);
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Get(kQuery).status, 200);
}

TEST_F(PoolsTest, FollowTheRegistryAndGoWithTheirUpstream) {
  EXPECT_EQ(Get(kQuery).status, 200);
  ASSERT_THAT(pools_.Statuses(), SizeIs(1));
  EXPECT_EQ(pools_.Statuses()[0].upstream_id, "shared");

  FakeStore other(pool_.get_executor(), &registry_);
  other.SetAnswer(200, kVector);
  SetStore(
      [&](v1::Upstream* upstream) { upstream->set_query_url(other.url()); });
  EXPECT_THAT(pools_.Statuses(), IsEmpty());
  EXPECT_EQ(Get(kQuery).status, 200);
  EXPECT_THAT(store_.asked(), SizeIs(1));
  EXPECT_THAT(other.asked(), SizeIs(1));

  // What says nothing about reads leaves the pool alone.
  const auto before = pools_.Of(*snapshot_->FindUpstream("shared"));
  SetStore([&](v1::Upstream* upstream) {
    upstream->set_query_url(other.url());
    upstream->set_write_url("http://127.0.0.1:1/write");
  });
  EXPECT_EQ(pools_.Of(*snapshot_->FindUpstream("shared")), before);

  tenancy::SnapshotBuilder builder(*snapshot_);
  v1::ObjectRef ref;
  ref.set_kind(v1::KIND_UPSTREAM);
  ref.set_id("shared");
  builder.Delete(ref);
  snapshot_ = std::move(builder).Build(++revision_, "e");
  pools_.Follow(*snapshot_);
  EXPECT_THAT(pools_.Statuses(), IsEmpty());
  EXPECT_EQ(Get(kQuery).status, 503);
}

TEST_F(PoolsTest, ARequestWithAnOlderCopyAsksTheStoreOfThatCopy) {
  const std::shared_ptr<const tenancy::Snapshot> older = snapshot_;
  FakeStore other(pool_.get_executor(), &registry_);
  other.SetAnswer(200, kVector);
  SetStore(
      [&](v1::Upstream* upstream) { upstream->set_query_url(other.url()); });
  EXPECT_EQ(Get(kQuery).status, 200);
  EXPECT_THAT(other.asked(), SizeIs(1));
  snapshot_ = older;
  EXPECT_EQ(Get(kQuery).status, 200);
  EXPECT_THAT(store_.asked(), SizeIs(1));
  EXPECT_THAT(other.asked(), SizeIs(1));
}

TEST_F(PoolsTest, UnderstandWhatTheOldestReplicaDoes) {
  constexpr char kUtf8[] =
      "/api/v1/query?query=%7B%22my.metric%22%7D";  // {"my.metric"}
  EXPECT_EQ(Get(kUtf8).status, 400);
  EXPECT_THAT(VersionSaid(), HasSubstr(R"("version":"2.42.0")"));

  FakeStore other(pool_.get_executor(), &registry_);
  other.SetAnswer(200, kVector);
  store_.SetVersion("3.5.0");
  other.SetVersion("3.1.2");
  SetStore([&](v1::Upstream* upstream) {
    upstream->add_more_query_urls(other.url());
  });
  WaitFor(
      [&] { return absl::StrContains(VersionSaid(), R"("version":"3.1.0")"); });
  const http::Response response = Get(kUtf8);
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Get("/api/v1/format_query?query=%7B%22my.metric%22%7D").status,
            200);

  // One that does not say is taken for the oldest.
  FakeStore silent(pool_.get_executor(), &registry_);
  silent.SetAnswer(200, kVector);
  SetStore([&](v1::Upstream* upstream) {
    upstream->add_more_query_urls(silent.url());
  });
  WaitFor([&] {
    return absl::StrContains(VersionSaid(), R"("version":"2.42.0")");
  });
  EXPECT_EQ(Get(kUtf8).status, 400);
}

TEST_F(PoolsTest, WhatCannotBeLookedForHereIsSaid) {
  SetStore([](v1::Upstream* upstream) { upstream->set_query_file("a.json"); });
  const http::Response file = Get(kQuery);
  EXPECT_EQ(file.status, 503);
  EXPECT_THAT(file.body, HasSubstr("upstream.file_sd_dir is not set here"));
  SetStore([](v1::Upstream* upstream) {
    upstream->mutable_query_services()->set_namespace_("x");
  });
  const http::Response services = Get(kQuery);
  EXPECT_EQ(services.status, 503);
  EXPECT_THAT(services.body, HasSubstr("kubernetes.enabled is not set here"));
}

TEST_F(PoolsTest, NamesAreLookedUp) {
  SetStore([&](v1::Upstream* upstream) {
    upstream->set_query_url(
        absl::StrCat("http://localhost:", store_.port(), "/store"));
    upstream->set_query_dns(true);
  });
  WaitFor([&] { return Get(kQuery).status == 200; });
  const auto replicas = pools_.Statuses()[0].replicas;
  std::set<std::string> urls;
  for (const auto& replica : replicas) urls.insert(replica.url);
  EXPECT_THAT(urls, testing::Contains(absl::StrCat(
                        "http://127.0.0.1:", store_.port(), "/store")));
}

TEST_F(PoolsTest, FilesAreRead) {
  std::string dir = testing::TempDir() + "/sdXXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  // Files that were changed just now may be half written.
  const auto write = [&](int port) {
    std::ofstream(dir + "/new")
        << absl::StrCat(R"([{"targets":["127.0.0.1:)", port, R"("]}])");
    std::filesystem::last_write_time(
        dir + "/new",
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    std::filesystem::rename(dir + "/new", dir + "/stores.json");
  };
  write(store_.port());
  PoolsConfig config;
  config.file_sd_dir = dir;
  config.discovery_interval = absl::Milliseconds(10);
  Pools pools(config, {.executor = pool_.get_executor(),
                       .client = client_,
                       .metrics = &registry_,
                       .run_blocking = [](std::function<absl::Status()> work)
                           -> boost::asio::awaitable<absl::Status> {
                         co_return work();
                       }});
  SetStore(
      [](v1::Upstream* upstream) { upstream->set_query_file("stores.json"); });
  const auto pool = pools.Of(*snapshot_->FindUpstream("shared"));
  const auto port_is = [&](int port) {
    const auto replicas = pool->Statuses();
    return replicas.size() == 1 &&
           absl::StrContains(replicas[0].url,
                             absl::StrCat("http://127.0.0.1:", port, "/store"));
  };
  WaitFor([&] { return port_is(store_.port()); });
  write(9);
  WaitFor([&] { return port_is(9); });
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace insula::query_frontend
