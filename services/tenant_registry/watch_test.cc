#include <map>
#include <optional>

#include "services/tenant_registry/registry_fixture.h"
#include "services/tenant_registry/watch_session.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using Phase = v1::WatchResponse::Phase;

// A follower that does what the proto tells it to do.
class Follower {
 public:
  Follower(v1::TenantRegistry::Stub* stub, const v1::Subscribe& subscribe)
      : stream_(stub->Watch(&context_)) {
    context_.set_wait_for_ready(true);
    v1::WatchRequest request;
    *request.mutable_subscribe() = subscribe;
    stream_->Write(request);
  }
  ~Follower() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  // The next message; nullopt: the stream has ended.
  std::optional<v1::WatchResponse> Read() {
    v1::WatchResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    Take(response);
    return response;
  }
  // Reads until the copy is of a revision, and returns the phases on the way.
  std::vector<Phase> ReadTo(int64_t target) {
    std::vector<Phase> phases;
    while (revision < target || in_snapshot_) {
      const auto response = Read();
      if (!response.has_value()) break;
      phases.push_back(response->phase());
    }
    return phases;
  }
  void Ack(int64_t acked, std::vector<std::string> rejected_tenants = {}) {
    v1::WatchRequest request;
    request.mutable_ack()->set_revision(acked);
    for (const std::string& id : rejected_tenants) {
      v1::Rejection* rejection = request.mutable_ack()->add_rejections();
      rejection->mutable_ref()->set_kind(v1::KIND_TENANT);
      rejection->mutable_ref()->set_id(id);
      rejection->set_reason("no use for it");
    }
    stream_->Write(request);
  }
  absl::Status Finish() {
    const grpc::Status status = stream_->Finish();
    stream_ = nullptr;
    return rpc::FromGrpc(status);
  }

  std::map<ObjectKey, v1::Object> objects;
  int64_t revision = 0;
  std::string epoch;
  int64_t object_count = -1;

 private:
  void Take(const v1::WatchResponse& response) {
    epoch = response.epoch();
    if (response.phase() == v1::WatchResponse::PHASE_RESET) {
      in_snapshot_ = true;
      next_.clear();
    }
    auto& target = in_snapshot_ ? next_ : objects;
    for (const v1::Object& object : response.puts()) {
      target[KeyOf(object)] = object;
    }
    for (const v1::ObjectRef& ref : response.deletes()) {
      target.erase(KeyOf(ref));
    }
    if (response.phase() == v1::WatchResponse::PHASE_SNAPSHOT_END) {
      in_snapshot_ = false;
      objects = std::move(next_);
      object_count = response.object_count();
    }
    if (!in_snapshot_) {
      EXPECT_THAT(response.revision(), Ge(revision));
      revision = response.revision();
    }
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WatchRequest, v1::WatchResponse>>
      stream_;
  std::map<ObjectKey, v1::Object> next_;
  bool in_snapshot_ = false;
};

class WatchTest : public RegistryTest {
 protected:
  static v1::Subscribe From(int64_t revision = 0, std::string epoch = "",
                            std::vector<v1::Kind> kinds = {}) {
    v1::Subscribe subscribe;
    subscribe.set_client_id("test/one");
    subscribe.set_resume_revision(revision);
    subscribe.set_epoch(std::move(epoch));
    for (const v1::Kind kind : kinds) subscribe.add_kinds(kind);
    return subscribe;
  }
  void PutTenants(int count, absl::string_view display_name = "") {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(
          Apply({Put(TenantObject(absl::StrCat("t", i), "", display_name))}),
          IsOk());
    }
  }
};

TEST_F(WatchTest, BeginsWithASnapshotAndGoesOnWithDeltas) {
  Start();
  ASSERT_THAT(
      Apply({Put(UpstreamObject("store")), Put(TenantObject("red", "store"))}),
      IsOk());
  Follower follower(stub_.get(), From());
  EXPECT_THAT(follower.ReadTo(1),
              ElementsAre(v1::WatchResponse::PHASE_RESET,
                          v1::WatchResponse::PHASE_SNAPSHOT,
                          v1::WatchResponse::PHASE_SNAPSHOT_END));
  EXPECT_THAT(follower.objects.size(), Eq(2u));
  EXPECT_THAT(follower.object_count, Eq(2));
  EXPECT_THAT(follower.epoch, Eq(Status().epoch()));

  ASSERT_THAT(Apply({Put(TenantObject("blue", "store")),
                     Delete(v1::KIND_TENANT, "red")}),
              IsOk());
  follower.ReadTo(2);
  EXPECT_THAT(follower.objects.size(), Eq(2u));
  EXPECT_TRUE(follower.objects.contains({v1::KIND_TENANT, "blue"}));
  EXPECT_THAT((follower.objects[{v1::KIND_TENANT, "blue"}].meta().uid().size()),
              Eq(16u));
}

TEST_F(WatchTest, ASnapshotComesInChunksOfOneRevision) {
  watch_options_.max_message_bytes = 1000;
  Start();
  PutTenants(50, "a name of some length, so that few fit into one message");
  Follower follower(stub_.get(), From());
  const std::vector<Phase> phases = follower.ReadTo(50);
  EXPECT_THAT(phases.size(), Ge(10u));
  EXPECT_THAT(follower.objects.size(), Eq(50u));
  EXPECT_THAT(follower.object_count, Eq(50));
}

TEST_F(WatchTest, AnEmptyStoreIsASnapshotOfNothing) {
  Start();
  Follower follower(stub_.get(), From());
  EXPECT_THAT(follower.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  EXPECT_THAT(follower.Read()->phase(),
              Eq(v1::WatchResponse::PHASE_SNAPSHOT_END));
  EXPECT_THAT(follower.object_count, Eq(0));
}

TEST_F(WatchTest, ResumesWithTheChangesMissed) {
  Start();
  PutTenants(10);
  ASSERT_THAT(Apply({Delete(v1::KIND_TENANT, "t3")}), IsOk());
  Follower follower(stub_.get(), From(8, Status().epoch()));
  const std::vector<Phase> phases = follower.ReadTo(11);
  EXPECT_THAT(phases, testing::Each(Eq(v1::WatchResponse::PHASE_DELTA)));
  EXPECT_THAT(follower.objects.size(), Eq(2u));  // t8 and t9.
  ASSERT_THAT(Apply({Put(TenantObject("new"))}), IsOk());
  follower.ReadTo(12);
  EXPECT_THAT(follower.objects.size(), Eq(3u));
}

TEST_F(WatchTest, ResumesAfterARestart) {
  Start();
  PutTenants(3);
  const std::string epoch = Status().epoch();
  Stop();
  Start();
  Follower follower(stub_.get(), From(2, epoch));
  follower.ReadTo(3);
  EXPECT_THAT(follower.objects.size(), Eq(1u));
  EXPECT_THAT(follower.object_count, Eq(-1));
}

TEST_F(WatchTest, WhoHasEverythingHearsSoAtOnce) {
  watch_options_.progress_interval = absl::Hours(1);
  Start();
  PutTenants(3);
  Follower follower(stub_.get(), From(3, Status().epoch()));
  const auto response = follower.Read();
  ASSERT_TRUE(response.has_value());
  EXPECT_THAT(response->phase(), Eq(v1::WatchResponse::PHASE_PROGRESS));
  EXPECT_THAT(response->revision(), Eq(3));
}

TEST_F(WatchTest, StartsOverAfterCompaction) {
  options_.keep_changes = 10;
  Start();
  PutTenants(30);
  ASSERT_THAT(Status().oldest_revision(), Ge(15));
  Follower follower(stub_.get(), From(5, Status().epoch()));
  EXPECT_THAT(follower.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  follower.ReadTo(30);
  EXPECT_THAT(follower.objects.size(), Eq(30u));
  // What is still kept can be resumed from.
  Follower recent(stub_.get(),
                  From(Status().oldest_revision(), Status().epoch()));
  recent.ReadTo(30);
  EXPECT_THAT(recent.object_count, Eq(-1));
}

TEST_F(WatchTest, StartsOverForAnotherEpochAndForAFutureRevision) {
  Start();
  PutTenants(3);
  Follower other(stub_.get(), From(2, std::string(32, '0')));
  EXPECT_THAT(other.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
  Follower future(stub_.get(), From(4, Status().epoch()));
  EXPECT_THAT(future.Read()->phase(), Eq(v1::WatchResponse::PHASE_RESET));
}

TEST_F(WatchTest, SendsTheKindsAskedFor) {
  watch_options_.progress_interval = absl::Milliseconds(20);
  Start();
  ASSERT_THAT(
      Apply({Put(UpstreamObject("store")), Put(TenantObject("red", "store"))}),
      IsOk());
  Follower follower(stub_.get(), From(0, "", {v1::KIND_TENANT}));
  follower.ReadTo(1);
  EXPECT_THAT(follower.object_count, Eq(1));
  // A change of other kinds moves the revision all the same.
  ASSERT_THAT(Apply({Put(UpstreamObject("other"))}), IsOk());
  follower.ReadTo(2);
  EXPECT_THAT(follower.objects.size(), Eq(1u));
}

TEST_F(WatchTest, IdleFollowersHearOfProgress) {
  watch_options_.progress_interval = absl::Milliseconds(10);
  Start();
  Follower follower(stub_.get(), From());
  follower.Read();
  follower.Read();
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(follower.Read()->phase(),
                Eq(v1::WatchResponse::PHASE_PROGRESS));
  }
}

TEST_F(WatchTest, StatusTellsWhoHasWhat) {
  Start();
  PutTenants(2);
  Follower follower(stub_.get(), From());
  follower.ReadTo(2);
  follower.Ack(2, {"t1"});
  ASSERT_TRUE(Eventually([this] {
    return Status().followers_size() == 1 &&
           Status().followers(0).acked_revision() == 2;
  }));
  const v1::StatusResponse status = Status();
  EXPECT_THAT(status.followers(0).client_id(), Eq("test/one"));
  ASSERT_THAT(status.followers(0).rejections_size(), Eq(1));
  EXPECT_THAT(status.followers(0).rejections(0).ref().id(), Eq("t1"));
  EXPECT_THAT(status.followers(0).rejections(0).reason(), Eq("no use for it"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tenant_registry_watchers 1\n"));

  // A new version of the object is another chance.
  ASSERT_THAT(Apply({Put(TenantObject("t1", "", "mended"))}), IsOk());
  EXPECT_THAT(Status().followers(0).rejections(), IsEmpty());
  // Who acknowledges the future is not believed.
  follower.Ack(99);
  ASSERT_TRUE(Eventually(
      [this] { return Status().followers(0).acked_revision() == 3; }));
}

TEST_F(WatchTest, AFollowerThatLeavesIsForgotten) {
  Start();
  {
    Follower follower(stub_.get(), From());
    follower.Read();
    EXPECT_THAT(Status().followers_size(), Eq(1));
  }
  EXPECT_TRUE(Eventually([this] { return Status().followers_size() == 0; }));
}

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

// Random changes and disconnections: the copy always ends equal to the store.
TEST_F(WatchTest, NoChangeIsEverLostAcrossReconnections) {
  options_.keep_changes = 40;
  Start();
  std::srand(7);
  std::map<ObjectKey, v1::Object> copy;
  int64_t revision = 0;
  std::string epoch;
  for (int round = 0; round < 25; ++round) {
    Follower follower(stub_.get(), From(revision, epoch));
    follower.objects = copy;
    follower.revision = revision;
    int64_t last = Status().revision();
    for (int i = std::rand() % 6; i > 0; --i) {
      const std::string id = absl::StrCat("t", std::rand() % 12);
      const bool there = Get(v1::KIND_TENANT, id).ok();
      const auto applied =
          Apply({there && std::rand() % 2 == 0
                     ? Delete(v1::KIND_TENANT, id)
                     : Put(TenantObject(id, "", absl::StrCat(round, ".", i)))});
      ASSERT_THAT(applied, IsOk());
      last = *applied;
    }
    if (std::rand() % 3 != 0) follower.ReadTo(last);
    copy = follower.objects;
    revision = follower.revision;
    epoch = follower.epoch.empty() ? epoch : follower.epoch;
  }
  Follower follower(stub_.get(), From(revision, epoch));
  follower.objects = copy;
  follower.revision = revision;
  follower.ReadTo(Status().revision());
  const auto view = registry_->CurrentView();
  EXPECT_THAT(follower.objects.size(), Eq(view->objects.size()));
  for (const ObjectPtr& object : view->objects) {
    EXPECT_THAT(follower.objects[KeyOf(*object)].SerializeAsString(),
                Eq(object->SerializeAsString()));
  }
}

ChangePtr ChangeOf(int64_t revision, std::vector<Change::Item> items) {
  return std::make_shared<const Change>(Change{revision, std::move(items)});
}
Change::Item Item(absl::string_view id, absl::string_view name) {
  auto object = std::make_shared<v1::Object>(TenantObject(id, "", name));
  return {KeyOf(*object), object};
}

TEST(MergeChangesTest, TheLastChangeOfAnObjectCounts) {
  auto all = [](v1::Kind) { return true; };
  const auto deltas =
      MergeChanges({ChangeOf(4, {Item("a", "one"), Item("b", "one")}),
                    ChangeOf(5, {{ObjectKey{v1::KIND_TENANT, "b"}, nullptr}}),
                    ChangeOf(6, {Item("a", "two")})},
                   all, 1 << 20);
  ASSERT_THAT(deltas.size(), Eq(1u));
  EXPECT_THAT(deltas[0].revision(), Eq(6));
  ASSERT_THAT(deltas[0].puts_size(), Eq(1));
  EXPECT_THAT(deltas[0].puts(0).tenant().display_name(), Eq("two"));
  ASSERT_THAT(deltas[0].deletes_size(), Eq(1));
  EXPECT_THAT(deltas[0].deletes(0).id(), Eq("b"));
}

TEST(MergeChangesTest, ARevisionIsNeverSplit) {
  auto all = [](v1::Kind) { return true; };
  const std::string big(600, 'x');
  const auto deltas =
      MergeChanges({ChangeOf(1, {Item("a", big)}),
                    ChangeOf(2, {Item("b", big), Item("c", big)}),
                    ChangeOf(3, {Item("d", big)})},
                   all, 1000);
  ASSERT_THAT(deltas.size(), Eq(3u));
  EXPECT_THAT(deltas[0].revision(), Eq(1));
  EXPECT_THAT(deltas[1].puts_size(), Eq(2));
  EXPECT_THAT(deltas[2].revision(), Eq(3));
}

TEST(MergeChangesTest, KindsNotWantedAreLeftOut) {
  auto none = [](v1::Kind) { return false; };
  EXPECT_THAT(MergeChanges({ChangeOf(1, {Item("a", "x")})}, none, 1000),
              IsEmpty());
}

}  // namespace
}  // namespace insula::tenant_registry
