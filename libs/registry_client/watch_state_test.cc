#include "libs/registry_client/watch_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "insula/registry/v1/registry.pb.h"
#include "libs/registry_client/fake_registry.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using Phase = v1::WatchResponse;
using Refusal = WatchState::Refusal;
using ::testing::HasSubstr;

v1::WatchResponse Message(v1::WatchResponse::Phase phase, int64_t revision,
                          const std::string& epoch = "e") {
  v1::WatchResponse message;
  message.set_phase(phase);
  message.set_revision(revision);
  message.set_epoch(epoch);
  return message;
}

v1::WatchResponse Delta(int64_t revision, const std::vector<v1::Object>& puts,
                        const std::vector<v1::ObjectRef>& deletes = {}) {
  v1::WatchResponse message = Message(Phase::PHASE_DELTA, revision);
  for (const auto& object : puts) *message.add_puts() = object;
  for (const auto& ref : deletes) *message.add_deletes() = ref;
  return message;
}

v1::Object BadTenant(const std::string& id) {
  v1::Object object = MakeTenant(id);
  object.mutable_tenant()->set_org_id("a|b");
  return object;
}

class WatchStateTest : public testing::Test {
 protected:
  // Sends a whole snapshot; the result of its end, or of what was refused.
  WatchState::Result SendSnapshot(const std::vector<v1::Object>& objects,
                                  int64_t revision,
                                  const std::string& epoch = "e",
                                  int64_t announced = -1) {
    auto result = state_.Take(Message(Phase::PHASE_RESET, revision, epoch));
    if (result.refusal != Refusal::kNone) return result;
    // One object a part.
    for (const v1::Object& object : objects) {
      auto part = Message(Phase::PHASE_SNAPSHOT, revision, epoch);
      *part.add_puts() = object;
      result = state_.Take(part);
      if (result.refusal != Refusal::kNone) return result;
    }
    auto end = Message(Phase::PHASE_SNAPSHOT_END, revision, epoch);
    end.set_object_count(announced >= 0 ? announced
                                        : static_cast<int64_t>(objects.size()));
    return state_.Take(end);
  }

  std::string Name(const std::string& tenant) {
    const auto snapshot = state_.Publish();
    const tenancy::Tenant* found = snapshot->FindTenant(tenant);
    return found == nullptr ? "none" : found->spec.display_name();
  }

  WatchState state_{std::make_shared<const tenancy::Snapshot>(), false};
};

TEST_F(WatchStateTest, ASnapshotShowsAtItsEnd) {
  EXPECT_FALSE(state_.holds_something());
  state_.Take(Message(Phase::PHASE_RESET, 3));
  auto part = Message(Phase::PHASE_SNAPSHOT, 3);
  *part.add_puts() = MakeTenant("red", "1");
  state_.Take(part);
  EXPECT_FALSE(state_.has_changes());
  EXPECT_EQ(Name("red"), "none");
  auto end = Message(Phase::PHASE_SNAPSHOT_END, 3);
  end.set_object_count(1);
  EXPECT_TRUE(state_.Take(end).replaced);
  EXPECT_TRUE(state_.has_changes());
  EXPECT_EQ(Name("red"), "1");
  EXPECT_FALSE(state_.has_changes());
  EXPECT_EQ(state_.revision(), 3);
  EXPECT_EQ(state_.epoch(), "e");
}

TEST_F(WatchStateTest, TheFirstSnapshotMayBeEmpty) {
  EXPECT_TRUE(SendSnapshot({}, 0).replaced);
  EXPECT_TRUE(state_.holds_something());
}

TEST_F(WatchStateTest, DeltasGatherUntilPublished) {
  SendSnapshot({MakeTenant("red", "1"), MakeTenant("blue", "1")}, 3);
  const auto before = state_.Publish();
  EXPECT_EQ(state_.Take(Delta(4, {MakeTenant("red", "2")})).refusal,
            Refusal::kNone);
  // Revisions of other kinds are not seen, hence the gap.
  EXPECT_EQ(state_
                .Take(Delta(9, {MakeTenant("green", "3")},
                            {MakeRef(v1::KIND_TENANT, "blue")}))
                .refusal,
            Refusal::kNone);
  EXPECT_EQ(state_.revision(), 9);
  const auto after = state_.Publish();
  EXPECT_EQ(after->revision(), 9);
  EXPECT_EQ(after->object_count(), 2);
  EXPECT_EQ(Name("red"), "2");
  EXPECT_EQ(Name("green"), "3");
  EXPECT_EQ(Name("blue"), "none");
  EXPECT_EQ(before->revision(), 3);
  EXPECT_EQ(state_.changes(), 5);
}

TEST_F(WatchStateTest, ProgressMovesTheRevision) {
  SendSnapshot({MakeTenant("red", "1")}, 3);
  state_.Publish();
  state_.Take(Message(Phase::PHASE_PROGRESS, 3));
  EXPECT_FALSE(state_.has_changes());
  state_.Take(Message(Phase::PHASE_PROGRESS, 8));
  EXPECT_TRUE(state_.has_changes());
  EXPECT_EQ(state_.Publish()->revision(), 8);
  EXPECT_EQ(Name("red"), "1");
}

TEST_F(WatchStateTest, RefusesAnOlderRevisionOfTheSameEpoch) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  const auto result = SendSnapshot({MakeTenant("red", "0")}, 4);
  EXPECT_EQ(result.refusal, Refusal::kOlderRevision);
  EXPECT_THAT(result.message, HasSubstr("rolled back"));
  EXPECT_EQ(state_.Take(Delta(5, {MakeTenant("red", "0")})).refusal,
            Refusal::kOlderRevision);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_PROGRESS, 4)).refusal,
            Refusal::kOlderRevision);
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(state_.revision(), 5);
}

TEST_F(WatchStateTest, CountsUnpublishedDeltasAsHeld) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  state_.Take(Delta(7, {MakeTenant("red", "2")}));
  EXPECT_EQ(SendSnapshot({MakeTenant("red", "0")}, 6).refusal,
            Refusal::kOlderRevision);
  EXPECT_EQ(Name("red"), "2");
}

TEST_F(WatchStateTest, TakesASnapshotOfTheSameRevision) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  EXPECT_TRUE(SendSnapshot({MakeTenant("blue", "1")}, 5).replaced);
  EXPECT_EQ(Name("red"), "none");
}

TEST_F(WatchStateTest, RefusesAnotherEpoch) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  const auto result = SendSnapshot({MakeTenant("red", "0")}, 9, "other");
  EXPECT_EQ(result.refusal, Refusal::kOtherEpoch);
  EXPECT_THAT(result.message, HasSubstr("accept_new_epoch"));
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_PROGRESS, 9, "other")).refusal,
            Refusal::kOtherEpoch);
  EXPECT_EQ(Name("red"), "1");
}

TEST_F(WatchStateTest, RefusesAnEmptySnapshotInPlaceOfSomething) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  EXPECT_EQ(SendSnapshot({}, 6).refusal, Refusal::kEmpty);
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(state_.revision(), 5);
}

TEST_F(WatchStateTest, TakesBothOverIfToldTo) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  WatchState accepting(state_.Publish(), true);
  accepting.Take(Message(Phase::PHASE_RESET, 1, "other"));
  EXPECT_TRUE(
      accepting.Take(Message(Phase::PHASE_SNAPSHOT_END, 1, "other")).replaced);
  EXPECT_EQ(accepting.Publish()->epoch(), "other");
  EXPECT_EQ(accepting.Publish()->object_count(), 0);
}

TEST_F(WatchStateTest, RefusesASnapshotThatIsNotWhole) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  EXPECT_EQ(SendSnapshot({MakeTenant("red", "2")}, 6, "e", 2).refusal,
            Refusal::kIncomplete);
  EXPECT_EQ(Name("red"), "1");
}

TEST_F(WatchStateTest, RefusesMessagesOutOfOrder) {
  EXPECT_EQ(state_.Take(Delta(1, {})).refusal, Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_SNAPSHOT, 1)).refusal,
            Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_SNAPSHOT_END, 1)).refusal,
            Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_RESET, 1, "")).refusal,
            Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_UNSPECIFIED, 1)).refusal,
            Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_RESET, -1)).refusal,
            Refusal::kOutOfOrder);
  state_.Take(Message(Phase::PHASE_RESET, 1));
  EXPECT_EQ(state_.Take(Delta(2, {})).refusal, Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_SNAPSHOT_END, 1, "f")).refusal,
            Refusal::kOutOfOrder);
}

TEST_F(WatchStateTest, ANewStreamForgetsHalfASnapshot) {
  SendSnapshot({MakeTenant("red", "1")}, 5);
  state_.Take(Message(Phase::PHASE_RESET, 6));
  state_.BeginStream();
  EXPECT_EQ(state_.Take(Message(Phase::PHASE_SNAPSHOT_END, 6)).refusal,
            Refusal::kOutOfOrder);
  EXPECT_EQ(state_.Take(Delta(6, {MakeTenant("red", "2")})).refusal,
            Refusal::kNone);
  EXPECT_EQ(Name("red"), "2");
}

TEST_F(WatchStateTest, KeepsTheOldCopyOfWhatItCanNotUse) {
  SendSnapshot({MakeTenant("red", "1"), MakeTenant("blue", "1")}, 5);
  state_.Take(Delta(6, {BadTenant("red"), MakeTenant("blue", "2")}));
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Name("blue"), "2");
  v1::Ack ack = state_.MakeAck();
  EXPECT_EQ(ack.revision(), 6);
  ASSERT_EQ(ack.rejections_size(), 1);
  EXPECT_EQ(ack.rejections(0).ref().kind(), v1::KIND_TENANT);
  EXPECT_EQ(ack.rejections(0).ref().id(), "red");
  EXPECT_THAT(ack.rejections(0).reason(), HasSubstr("Tenant/red: spec.org_id"));

  // The same in a snapshot, with a delta that is not published yet.
  state_.Take(Delta(7, {MakeTenant("blue", "3")}));
  SendSnapshot({BadTenant("red"), BadTenant("blue"), BadTenant("green")}, 8);
  EXPECT_EQ(Name("red"), "1");
  EXPECT_EQ(Name("blue"), "3");
  EXPECT_EQ(Name("green"), "none");
  EXPECT_EQ(state_.MakeAck().rejections_size(), 3);

  // It is forgotten with a good copy, or with the object.
  state_.Take(Delta(
      9, {MakeTenant("red", "4")},
      {MakeRef(v1::KIND_TENANT, "blue"), MakeRef(v1::KIND_TENANT, "green")}));
  EXPECT_EQ(Name("red"), "4");
  EXPECT_EQ(Name("blue"), "none");
  EXPECT_EQ(state_.MakeAck().rejections_size(), 0);
}

TEST_F(WatchStateTest, SkipsAndCountsUnknownKinds) {
  v1::Object unknown;
  unknown.mutable_meta()->set_kind(static_cast<v1::Kind>(1000));
  EXPECT_TRUE(SendSnapshot({MakeTenant("red", "1"), unknown}, 5).replaced);
  state_.Take(Delta(6, {unknown, unknown}));
  EXPECT_EQ(state_.skipped(), 3);
  EXPECT_EQ(state_.rejections().size(), 0U);
  EXPECT_EQ(state_.Publish()->object_count(), 1);
}

// An object as of a revision.
v1::Object At(v1::Object object, int64_t mod_revision) {
  object.mutable_meta()->set_mod_revision(mod_revision);
  return object;
}

// `message`, saying that exactly these objects are to be held after it.
v1::WatchResponse With(v1::WatchResponse message,
                       const std::vector<v1::Object>& objects) {
  tenancy::SetDigest digest;
  for (const v1::Object& object : objects) {
    digest.Add(object.meta().kind(), object.meta().id(),
               object.meta().mod_revision());
  }
  message.mutable_set();
  for (const auto& [kind, sum] : digest.kinds()) {
    v1::KindDigest* of_kind = message.mutable_set()->add_kinds();
    of_kind->set_kind(kind);
    of_kind->set_count(sum.count);
    of_kind->set_sum(sum.sum);
  }
  return message;
}

class SetDigestOfAWatchTest : public WatchStateTest {
 protected:
  SetDigestOfAWatchTest() { SendSnapshot({red_, blue_}, 5); }

  Refusal Take(const v1::WatchResponse& message) {
    return state_.Take(message).refusal;
  }

  const v1::Object red_ = At(MakeTenant("red"), 1);
  const v1::Object blue_ = At(MakeTenant("blue"), 5);
  const v1::Object newer_ = At(MakeTenant("red", "newer"), 6);
};

TEST_F(SetDigestOfAWatchTest, WhatIsHeldAsItShouldBeIsTaken) {
  EXPECT_EQ(Take(With(Message(Phase::PHASE_PROGRESS, 5), {red_, blue_})),
            Refusal::kNone);
  EXPECT_EQ(Take(With(Delta(6, {newer_}), {newer_, blue_})), Refusal::kNone);
  EXPECT_EQ(Take(With(Message(Phase::PHASE_PROGRESS, 7), {newer_, blue_})),
            Refusal::kNone);
  EXPECT_EQ(Take(With(Delta(8, {},
                            {MakeRef(v1::KIND_TENANT, "red"),
                             MakeRef(v1::KIND_TENANT, "blue")}),
                      {})),
            Refusal::kNone);
}

TEST_F(SetDigestOfAWatchTest, AChangeThatWasSkippedIsFound) {
  EXPECT_EQ(Take(Delta(7, {})), Refusal::kNone);  // Says nothing of 6.
  const auto result =
      state_.Take(With(Message(Phase::PHASE_PROGRESS, 7), {newer_, blue_}));
  EXPECT_EQ(result.refusal, Refusal::kDiverged);
  EXPECT_THAT(result.message, HasSubstr("revision 7"));
  // As is a deletion, and an object that should not be there.
  EXPECT_EQ(Take(With(Delta(8, {}), {newer_})), Refusal::kDiverged);
  EXPECT_EQ(Take(With(Message(Phase::PHASE_PROGRESS, 8), {})),
            Refusal::kDiverged);
}

TEST_F(SetDigestOfAWatchTest, ASnapshotThatIsNotTheAnnouncedOneIsNotTaken) {
  state_.Take(Message(Phase::PHASE_RESET, 9));
  auto part = Message(Phase::PHASE_SNAPSHOT, 9);
  *part.add_puts() = red_;
  *part.add_puts() = red_;
  state_.Take(part);
  auto end = With(Message(Phase::PHASE_SNAPSHOT_END, 9), {red_, blue_});
  end.set_object_count(2);
  EXPECT_EQ(Take(end), Refusal::kDiverged);
  EXPECT_EQ(state_.revision(), 5);
}

TEST_F(SetDigestOfAWatchTest, ObjectsThatCanNotBeUsedCountAsTheyWereSent) {
  const v1::Object bad = At(BadTenant("red"), 6);
  const v1::Object also_bad = At(BadTenant("green"), 7);
  EXPECT_EQ(Take(With(Delta(6, {bad}), {bad, blue_})), Refusal::kNone);
  EXPECT_EQ(Take(With(Delta(7, {also_bad}), {bad, blue_, also_bad})),
            Refusal::kNone);
  // The same in a snapshot.
  state_.Take(Message(Phase::PHASE_RESET, 8));
  auto part = Message(Phase::PHASE_SNAPSHOT, 8);
  for (const auto& object : {bad, blue_, also_bad}) *part.add_puts() = object;
  state_.Take(part);
  auto end =
      With(Message(Phase::PHASE_SNAPSHOT_END, 8), {bad, blue_, also_bad});
  end.set_object_count(3);
  EXPECT_EQ(Take(end), Refusal::kNone);
  EXPECT_EQ(
      Take(With(Message(Phase::PHASE_PROGRESS, 8), {bad, blue_, also_bad})),
      Refusal::kNone);
  EXPECT_EQ(Take(With(Message(Phase::PHASE_PROGRESS, 8), {red_, blue_})),
            Refusal::kDiverged);
}

TEST_F(SetDigestOfAWatchTest, KindsThatAreNotKnownDoNotMatter) {
  v1::Object unknown;
  unknown.mutable_meta()->set_kind(static_cast<v1::Kind>(1000));
  EXPECT_EQ(Take(With(Delta(6, {unknown}), {red_, blue_, unknown})),
            Refusal::kNone);
}

}  // namespace
}  // namespace insula::registry_client
