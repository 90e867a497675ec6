#include "services/tenant_registry/watch_encoder.h"

#include <gmock/gmock.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::tenant_registry {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Eq;
using testing::Ge;
using testing::Gt;
using testing::Le;
using testing::Ne;

constexpr char kEpoch[] = "0123456789abcdef0123456789abcdef";
constexpr size_t kMaxBytes = 1000;

ObjectPtr MakeObject(v1::Kind kind, const std::string& id, int64_t revision,
                     size_t name_bytes = 40) {
  auto object = std::make_shared<v1::Object>();
  object->mutable_meta()->set_kind(kind);
  object->mutable_meta()->set_id(id);
  object->mutable_meta()->set_mod_revision(revision);
  if (kind == v1::KIND_TENANT) {
    object->mutable_tenant()->set_display_name(std::string(name_bytes, 'n'));
  } else {
    object->mutable_upstream()->set_write_url(std::string(name_bytes, 'u'));
  }
  return object;
}

std::shared_ptr<const Registry::View> ViewOf(std::vector<ObjectPtr> objects) {
  auto digest = std::make_shared<tenancy::SetDigest>();
  auto view = std::make_shared<Registry::View>();
  view->revision = 77;
  for (const ObjectPtr& object : objects) {
    digest->Add(object->meta().kind(), object->meta().id(),
                object->meta().mod_revision());
  }
  view->objects = std::move(objects);
  view->digest = digest;
  return view;
}

// Every third one is an upstream, the others are tenants.
std::shared_ptr<const Registry::View> ViewOfMany(int count) {
  std::vector<ObjectPtr> objects;
  for (int i = 0; i < count; ++i) {
    objects.push_back(
        MakeObject(i % 3 == 0 ? v1::KIND_UPSTREAM : v1::KIND_TENANT,
                   absl::StrCat("object-", i), i + 1));
  }
  return ViewOf(std::move(objects));
}

v1::WatchResponse Decode(grpc::ByteBuffer bytes) {
  v1::WatchResponse response;
  const grpc::Status status =
      grpc::SerializationTraits<v1::WatchResponse>::Deserialize(&bytes,
                                                                &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

// Where the bytes are: the same for messages that share them.
const uint8_t* Address(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy = bytes;
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(copy.Dump(&slices).ok());
  return slices.size() == 1 ? slices[0].begin() : nullptr;
}

std::vector<grpc::ByteBuffer> AllOf(EncodedSnapshot* snapshot) {
  std::vector<grpc::ByteBuffer> messages;
  int64_t announced = 0;
  while (true) {
    EncodedSnapshot::Message message = snapshot->Get(messages.size());
    if (message.objects == 0) break;
    announced += message.objects;
    messages.push_back(std::move(message.bytes));
  }
  int64_t sent = 0;
  for (const grpc::ByteBuffer& bytes : messages) {
    sent += Decode(bytes).puts_size();
  }
  EXPECT_THAT(announced, Eq(sent));
  return messages;
}

ChangePtr ChangeOf(int64_t revision, std::vector<Change::Item> items) {
  return std::make_shared<const Change>(Change{revision, std::move(items)});
}
Change::Item PutItem(v1::Kind kind, const std::string& id, int64_t revision,
                     size_t name_bytes = 40) {
  return {ObjectKey{kind, id}, MakeObject(kind, id, revision, name_bytes)};
}
Change::Item DeleteItem(v1::Kind kind, const std::string& id) {
  return {ObjectKey{kind, id}, nullptr};
}

tenancy::SetDigest DigestOfBoth() {
  tenancy::SetDigest digest;
  digest.Add(v1::KIND_TENANT, "red", 5);
  digest.Add(v1::KIND_UPSTREAM, "store", 4);
  return digest;
}

TEST(EncodedSnapshotTest, ComesInMessagesOfOneRevisionAndBoundedSize) {
  const auto view = ViewOfMany(100);
  WatchEncoder encoder(kMaxBytes);
  const auto snapshot = encoder.Snapshot(view, {}, kEpoch);
  const auto messages = AllOf(snapshot.get());
  EXPECT_THAT(messages.size(), Ge(6u));
  size_t next = 0;
  for (const grpc::ByteBuffer& bytes : messages) {
    EXPECT_THAT(bytes.Length(), Le(kMaxBytes));
    const v1::WatchResponse response = Decode(bytes);
    EXPECT_THAT(response.phase(), Eq(v1::WatchResponse::PHASE_SNAPSHOT));
    EXPECT_THAT(response.revision(), Eq(77));
    EXPECT_THAT(response.epoch(), Eq(kEpoch));
    for (const v1::Object& object : response.puts()) {
      ASSERT_THAT(next, Ne(view->objects.size()));
      EXPECT_THAT(object.SerializeAsString(),
                  Eq(view->objects[next++]->SerializeAsString()));
    }
  }
  EXPECT_THAT(next, Eq(view->objects.size()));
}

// The bytes are those that protobuf itself would write.
TEST(EncodedSnapshotTest, IsWhatProtobufWrites) {
  const auto view = ViewOfMany(4);
  WatchEncoder encoder(1 << 20);
  const auto messages = AllOf(encoder.Snapshot(view, {}, kEpoch).get());
  ASSERT_THAT(messages.size(), Eq(1u));
  v1::WatchResponse expected;
  expected.set_phase(v1::WatchResponse::PHASE_SNAPSHOT);
  expected.set_revision(77);
  expected.set_epoch(kEpoch);
  for (const ObjectPtr& object : view->objects) *expected.add_puts() = *object;
  EXPECT_THAT(Decode(messages[0]).SerializeAsString(),
              Eq(expected.SerializeAsString()));
  EXPECT_THAT(messages[0].Length(), Eq(expected.ByteSizeLong()));
}

TEST(EncodedSnapshotTest, AnObjectLargerThanAMessageIsAlone) {
  WatchEncoder encoder(kMaxBytes);
  const auto snapshot = encoder.Snapshot(
      ViewOf({MakeObject(v1::KIND_TENANT, "a", 1),
              MakeObject(v1::KIND_TENANT, "b", 2, 5 * kMaxBytes),
              MakeObject(v1::KIND_TENANT, "c", 3)}),
      {}, kEpoch);
  const auto messages = AllOf(snapshot.get());
  ASSERT_THAT(messages.size(), Eq(3u));
  for (const grpc::ByteBuffer& bytes : messages) {
    EXPECT_THAT(Decode(bytes).puts_size(), Eq(1));
  }
}

TEST(EncodedSnapshotTest, NothingIsNoMessage) {
  WatchEncoder encoder(kMaxBytes);
  EXPECT_THAT(encoder.Snapshot(ViewOf({}), {}, kEpoch)->Get(0).objects, Eq(0));
  EXPECT_THAT(
      encoder.Snapshot(ViewOfMany(50), {v1::KIND_JOB}, kEpoch)->Get(0).objects,
      Eq(0));
}

TEST(EncodedSnapshotTest, HasTheKindsWantedAlone) {
  const auto view = ViewOfMany(100);
  WatchEncoder encoder(kMaxBytes);
  const auto tenants = encoder.Snapshot(view, {v1::KIND_TENANT}, kEpoch);
  const auto both =
      encoder.Snapshot(view, {v1::KIND_TENANT, v1::KIND_UPSTREAM}, kEpoch);
  EXPECT_THAT(tenants, Ne(both));
  std::map<v1::Kind, int> counts;
  const auto count = [&counts](EncodedSnapshot* snapshot) {
    for (const grpc::ByteBuffer& bytes : AllOf(snapshot)) {
      const v1::WatchResponse response = Decode(bytes);
      for (const auto& object : response.puts()) ++counts[object.meta().kind()];
    }
  };
  count(tenants.get());
  EXPECT_THAT(counts, ElementsAre(std::pair(v1::KIND_TENANT, 66)));
  count(both.get());
  EXPECT_THAT(counts, ElementsAre(std::pair(v1::KIND_TENANT, 132),
                                  std::pair(v1::KIND_UPSTREAM, 34)));
}

TEST(EncodedSnapshotTest, IsMadeOnceForAllWhoWantTheSame) {
  const auto view = ViewOfMany(100);
  WatchEncoder encoder(kMaxBytes);
  const auto one = encoder.Snapshot(view, {v1::KIND_TENANT}, kEpoch);
  const auto two = encoder.Snapshot(view, {v1::KIND_TENANT}, kEpoch);
  EXPECT_THAT(one, Eq(two));
  EXPECT_THAT(Address(one->Get(1).bytes), Eq(Address(two->Get(1).bytes)));
  // Whoever comes later gets what is newer.
  const auto later =
      encoder.Snapshot(ViewOfMany(10), {v1::KIND_TENANT}, kEpoch);
  EXPECT_THAT(later, Ne(one));
  EXPECT_THAT(&later->view(), Ne(view.get()));
}

// One that stops half way, as a watch that is cut off does.
TEST(EncodedSnapshotTest, WhoStopsHalfWayDisturbsNobody) {
  const auto view = ViewOfMany(100);
  WatchEncoder encoder(kMaxBytes);
  auto slow = encoder.Snapshot(view, {}, kEpoch);
  const auto quick = encoder.Snapshot(view, {}, kEpoch);
  slow->Get(0);
  slow->Get(1);
  slow = nullptr;
  int objects = 0;
  for (const auto& bytes : AllOf(quick.get())) {
    objects += Decode(bytes).puts_size();
  }
  EXPECT_THAT(objects, Eq(100));
}

TEST(EncodedSnapshotTest, KeepsNoMoreThanThereIsRoomFor) {
  const auto kept = std::make_shared<std::atomic<size_t>>(0);
  size_t of_all = 0;
  {
    EncodedSnapshot snapshot(ViewOfMany(100), {}, kEpoch, kMaxBytes, kept);
    AllOf(&snapshot);
    of_all = *kept;
    EXPECT_THAT(of_all, Gt(5 * kMaxBytes));
    AllOf(&snapshot);
    EXPECT_THAT(*kept, Eq(of_all));
  }
  EXPECT_THAT(*kept, Eq(0u));

  // Others have taken all but a little.
  constexpr size_t kTaken = (64 << 20) - kMaxBytes - kMaxBytes / 2;
  *kept = kTaken;
  {
    EncodedSnapshot snapshot(ViewOfMany(100), {}, kEpoch, kMaxBytes, kept);
    const auto first = AllOf(&snapshot);
    const auto second = AllOf(&snapshot);
    EXPECT_THAT(*kept, Le(size_t{64 << 20}));
    ASSERT_THAT(first.size(), Eq(second.size()));
    EXPECT_THAT(Address(first[0]), Eq(Address(second[0])));
    EXPECT_THAT(Address(first[3]), Ne(Address(second[3])));
    EXPECT_THAT(Decode(first[3]).SerializeAsString(),
                Eq(Decode(second[3]).SerializeAsString()));
  }
  EXPECT_THAT(*kept, Eq(kTaken));
}

TEST(EncodedSnapshotTest, ManyMayAskAtOnce) {
  const auto kept = std::make_shared<std::atomic<size_t>>(0);
  EncodedSnapshot alone(ViewOfMany(300), {}, kEpoch, kMaxBytes, kept);
  AllOf(&alone);
  const size_t of_one = *kept;
  EncodedSnapshot snapshot(ViewOfMany(300), {}, kEpoch, kMaxBytes, kept);
  std::vector<int> objects(8, 0);
  {
    std::vector<std::thread> threads;
    for (int& sum : objects) {
      threads.emplace_back([&snapshot, &sum] {
        for (const auto& bytes : AllOf(&snapshot)) {
          sum += Decode(bytes).puts_size();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_THAT(objects, Each(Eq(300)));
  EXPECT_THAT(*kept, Eq(2 * of_one));
}

TEST(WatchEncoderTest, DeltasHavePutsDeletesAndTheSetAfterThem) {
  WatchEncoder encoder(kMaxBytes);
  const tenancy::SetDigest digest = DigestOfBoth();
  const std::vector<ChangePtr> changes = {
      ChangeOf(4, {PutItem(v1::KIND_UPSTREAM, "store", 4),
                   PutItem(v1::KIND_TENANT, "blue", 4)}),
      ChangeOf(5, {PutItem(v1::KIND_TENANT, "red", 5),
                   DeleteItem(v1::KIND_TENANT, "blue")})};
  const auto all = encoder.Deltas(changes, {}, &digest, kEpoch);
  ASSERT_THAT(all->size(), Eq(1u));
  v1::WatchResponse delta = Decode(all->front());
  EXPECT_THAT(delta.phase(), Eq(v1::WatchResponse::PHASE_DELTA));
  EXPECT_THAT(delta.revision(), Eq(5));
  EXPECT_THAT(delta.epoch(), Eq(kEpoch));
  EXPECT_THAT(delta.puts_size(), Eq(2));
  ASSERT_THAT(delta.deletes_size(), Eq(1));
  EXPECT_THAT(delta.deletes(0).id(), Eq("blue"));
  EXPECT_THAT(delta.set().kinds_size(), Eq(2));

  const auto upstreams =
      encoder.Deltas(changes, {v1::KIND_UPSTREAM}, &digest, kEpoch);
  ASSERT_THAT(upstreams->size(), Eq(1u));
  delta = Decode(upstreams->front());
  ASSERT_THAT(delta.puts_size(), Eq(1));
  EXPECT_THAT(delta.puts(0).meta().id(), Eq("store"));
  EXPECT_THAT(delta.deletes_size(), Eq(0));
  ASSERT_THAT(delta.set().kinds_size(), Eq(1));
  EXPECT_THAT(delta.set().kinds(0).kind(), Eq(v1::KIND_UPSTREAM));
  EXPECT_THAT(delta.set().kinds(0).count(), Eq(1));
  EXPECT_THAT(delta.set().kinds(0).sum(),
              Eq(digest.OfKind(v1::KIND_UPSTREAM).sum));
}

TEST(WatchEncoderTest, ManyChangesAreSeveralDeltasAndTheLastHasTheSet) {
  WatchEncoder encoder(kMaxBytes);
  const tenancy::SetDigest digest = DigestOfBoth();
  std::vector<ChangePtr> changes;
  for (int i = 1; i <= 40; ++i) {
    const std::string id = absl::StrCat("tenant-", i);
    changes.push_back(ChangeOf(i, {PutItem(v1::KIND_TENANT, id, i, 100)}));
  }
  const auto messages = encoder.Deltas(changes, {}, &digest, kEpoch);
  EXPECT_THAT(messages->size(), Ge(5u));
  int64_t revision = 0;
  int puts = 0;
  for (const grpc::ByteBuffer& bytes : *messages) {
    EXPECT_THAT(bytes.Length(), Le(kMaxBytes + 200));  // And the set.
    const v1::WatchResponse delta = Decode(bytes);
    EXPECT_THAT(delta.revision(), Gt(revision));
    revision = delta.revision();
    puts += delta.puts_size();
    EXPECT_THAT(delta.has_set(), Eq(revision == 40));
  }
  EXPECT_THAT(revision, Eq(40));
  EXPECT_THAT(puts, Eq(40));
}

TEST(WatchEncoderTest, DeltasAreMadeOnceForAllWhoGetTheSame) {
  WatchEncoder encoder(kMaxBytes);
  const tenancy::SetDigest digest = DigestOfBoth();
  const ChangePtr four = ChangeOf(4, {PutItem(v1::KIND_TENANT, "a", 4)});
  const ChangePtr five = ChangeOf(5, {PutItem(v1::KIND_TENANT, "b", 5)});
  const auto both = encoder.Deltas({four, five}, {}, &digest, kEpoch);
  EXPECT_THAT(encoder.Deltas({four, five}, {}, &digest, kEpoch), Eq(both));
  EXPECT_THAT(encoder.Deltas({five}, {}, &digest, kEpoch), Ne(both));
  EXPECT_THAT(encoder.Deltas({four}, {}, &digest, kEpoch), Ne(both));
  EXPECT_THAT(encoder.Deltas({four, five}, {v1::KIND_TENANT}, &digest, kEpoch),
              Ne(both));
  // What one client has missed is for it alone, and says nothing of the set.
  const auto missed = encoder.Deltas({four, five}, {}, nullptr, kEpoch);
  EXPECT_THAT(missed, Ne(both));
  EXPECT_FALSE(Decode(missed->back()).has_set());
}

TEST(WatchEncoderTest, OldAndLargeDeltasAreNotKept) {
  WatchEncoder encoder(kMaxBytes);
  const tenancy::SetDigest digest = DigestOfBoth();
  const ChangePtr first = ChangeOf(1, {PutItem(v1::KIND_TENANT, "a", 1)});
  const auto kept = encoder.Deltas({first}, {}, &digest, kEpoch);
  for (int i = 2; i <= 33; ++i) {
    encoder.Deltas({ChangeOf(i, {PutItem(v1::KIND_TENANT, "a", i)})}, {},
                   &digest, kEpoch);
  }
  const auto again = encoder.Deltas({first}, {}, &digest, kEpoch);
  EXPECT_THAT(again, Ne(kept));
  EXPECT_THAT(Decode(again->front()).SerializeAsString(),
              Eq(Decode(kept->front()).SerializeAsString()));

  const ChangePtr large =
      ChangeOf(50, {PutItem(v1::KIND_TENANT, "a", 50, 5 << 20)});
  EXPECT_THAT(encoder.Deltas({large}, {}, &digest, kEpoch),
              Ne(encoder.Deltas({large}, {}, &digest, kEpoch)));
  EXPECT_THAT(encoder.Deltas({first}, {}, &digest, kEpoch), Eq(again));
}

}  // namespace
}  // namespace insula::tenant_registry
