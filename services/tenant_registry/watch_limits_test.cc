// What a watch must not cost: slow clients, clients that are none, the end.
#include "services/tenant_registry/watch_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::HasSubstr;

TEST_F(WatchTest, ASlowFollowerIsCutOffAndTheOthersAreNot) {
  options_.watch_queue = 8;
  Start();
  Follower slow(stub_.get(), From());
  Follower quick(stub_.get(), From());
  slow.ReadTo(0);
  const std::string big(250, 'x');
  ASSERT_THAT(Apply({Put(TenantObject("t"))}), IsOk());
  slow.ReadTo(1);
  quick.ReadTo(1);

  // Nobody reads `slow`; half a megabyte each time, until the transport is full
  // and then the queue.
  int64_t revision = 1;
  for (int i = 0; i < 400 && Status().followers_size() == 2; ++i) {
    std::vector<v1::Operation> operations;
    for (int j = 0; j < 50; ++j) {
      v1::Object object;
      object.mutable_meta()->set_kind(v1::KIND_TENANT);
      object.mutable_meta()->set_id(absl::StrCat("t", j));
      auto* labels = object.mutable_tenant()->mutable_enforced_labels();
      for (int k = 0; k < 30; ++k) {
        (*labels)[absl::StrCat("label_", k)] = absl::StrCat(i, big);
      }
      operations.push_back(Put(std::move(object)));
    }
    const auto applied = Apply(std::move(operations));
    ASSERT_THAT(applied, IsOk());
    revision = *applied;
    quick.ReadTo(revision);
    ASSERT_THAT(quick.revision, Eq(revision));
  }
  while (slow.Read().has_value()) {
  }
  EXPECT_THAT(slow.Finish(), StatusIs(absl::StatusCode::kResourceExhausted,
                                      HasSubstr("subscribe again")));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_slow_watchers_cut_total 1\n"));

  // It goes on from what it has, and ends with what the other one has.
  Follower again(stub_.get(), From(slow.revision, slow.epoch));
  again.objects = slow.objects;
  again.revision = slow.revision;
  again.ReadTo(revision);
  EXPECT_THAT(again.objects.size(), Eq(quick.objects.size()));
  for (const auto& [key, object] : quick.objects) {
    EXPECT_THAT(again.objects[key].meta().mod_revision(),
                Eq(object.meta().mod_revision()));
  }
}

TEST_F(WatchTest, AFollowerThatTakesNothingIsCutOff) {
  watch_options_.write_timeout = absl::Milliseconds(300);
  watch_options_.max_message_bytes = 100'000;
  Start();
  // A snapshot that does not fit the transport's windows.
  const std::string big(1000, 'x');
  for (int i = 0; i < 20; ++i) {
    std::vector<v1::Operation> operations;
    for (int j = 0; j < 20; ++j) {
      v1::Object object = TenantObject(absl::StrCat("t", i, "-", j));
      auto* labels = object.mutable_tenant()->mutable_enforced_labels();
      for (int k = 0; k < 30; ++k) (*labels)[absl::StrCat("label_", k)] = big;
      operations.push_back(Put(std::move(object)));
    }
    ASSERT_THAT(Apply(std::move(operations)), IsOk());
  }
  Follower follower(stub_.get(), From());
  ASSERT_TRUE(Eventually([this] {
    return metrics_.Expose().find(
               "tenant_registry_slow_watchers_cut_total 1\n") !=
           std::string::npos;
  }));
  while (follower.Read().has_value()) {
  }
  EXPECT_THAT(follower.Finish(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(WatchTest, RefusesWhatIsNoWatch) {
  watch_options_.subscribe_timeout = absl::Milliseconds(100);
  options_.max_watchers = 1;
  Start();
  v1::Subscribe nameless;
  Follower no_name(stub_.get(), nameless);
  EXPECT_FALSE(no_name.Read().has_value());
  EXPECT_THAT(no_name.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("client_id")));
  {
    grpc::ClientContext context;
    auto stream = stub_->Watch(&context);
    v1::WatchRequest ack;
    ack.mutable_ack()->set_revision(1);
    stream->Write(ack);
    EXPECT_THAT(rpc::FromGrpc(stream->Finish()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("must be Subscribe")));
  }
  {
    grpc::ClientContext context;
    auto stream = stub_->Watch(&context);
    EXPECT_THAT(rpc::FromGrpc(stream->Finish()),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
  v1::Subscribe too_many = From();
  for (int i = 0; i < 101; ++i) too_many.add_kinds(v1::KIND_TENANT);
  Follower greedy(stub_.get(), too_many);
  EXPECT_FALSE(greedy.Read().has_value());
  EXPECT_THAT(greedy.Finish(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kinds")));
  Follower first(stub_.get(), From());
  first.Read();
  Follower second(stub_.get(), From());
  EXPECT_FALSE(second.Read().has_value());
  EXPECT_THAT(second.Finish(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(WatchTest, ClosingEndsAllWatches) {
  Start();
  Follower follower(stub_.get(), From());
  follower.Read();
  follower.Read();
  registry_->CloseWatches();
  while (follower.Read().has_value()) {
  }
  EXPECT_THAT(follower.Finish(), StatusIs(absl::StatusCode::kUnavailable,
                                          HasSubstr("shutting down")));
}

}  // namespace
}  // namespace insula::tenant_registry
