#include "tools/insulactl/watch_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace insula::insulactl {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

v1::WatchResponse Message(v1::WatchResponse::Phase phase, int64_t revision,
                          const std::string& epoch = "e") {
  v1::WatchResponse message;
  message.set_phase(phase);
  message.set_revision(revision);
  message.set_epoch(epoch);
  return message;
}

void Put(const std::string& id, int64_t revision, v1::WatchResponse* message) {
  v1::Object* object = message->add_puts();
  object->mutable_meta()->set_kind(v1::KIND_TENANT);
  object->mutable_meta()->set_id(id);
  object->mutable_meta()->set_mod_revision(revision);
  object->mutable_tenant();
}

std::vector<std::string> Take(WatchState* state, const v1::WatchResponse& m) {
  std::vector<std::string> told;
  for (const WatchedChange& change : state->Take(m)) {
    told.push_back(absl::StrCat(change.object.has_value() ? "+" : "-",
                                change.key.id, "@", change.revision));
  }
  return told;
}

using Objects = std::vector<std::pair<std::string, int64_t>>;

std::vector<std::string> Snapshot(WatchState* state, int64_t revision,
                                  const Objects& objects,
                                  const std::string& epoch = "e") {
  Take(state, Message(v1::WatchResponse::PHASE_RESET, revision, epoch));
  v1::WatchResponse puts =
      Message(v1::WatchResponse::PHASE_SNAPSHOT, revision, epoch);
  for (const auto& [id, mod] : objects) Put(id, mod, &puts);
  EXPECT_THAT(Take(state, puts), IsEmpty());
  return Take(state,
              Message(v1::WatchResponse::PHASE_SNAPSHOT_END, revision, epoch));
}

TEST(WatchStateTest, WhatIsThereAtTheStartIsNoChangeUnlessAskedFor) {
  WatchState quiet(false);
  EXPECT_THAT(Snapshot(&quiet, 5, {{"a", 3}}), IsEmpty());
  EXPECT_THAT(quiet.revision(), Eq(5));
  EXPECT_THAT(quiet.epoch(), Eq("e"));
  WatchState all(true);
  EXPECT_THAT(Snapshot(&all, 5, {{"a", 3}}), ElementsAre("+a@3"));
}

TEST(WatchStateTest, ChangesAreToldAsTheyCome) {
  WatchState state(false);
  Snapshot(&state, 5, {{"a", 3}});
  v1::WatchResponse delta = Message(v1::WatchResponse::PHASE_DELTA, 6);
  Put("b", 6, &delta);
  v1::ObjectRef* gone = delta.add_deletes();
  gone->set_kind(v1::KIND_TENANT);
  gone->set_id("a");
  EXPECT_THAT(Take(&state, delta), ElementsAre("+b@6", "-a@6"));
  EXPECT_THAT(state.revision(), Eq(6));
  EXPECT_THAT(Take(&state, Message(v1::WatchResponse::PHASE_PROGRESS, 9)),
              IsEmpty());
  EXPECT_THAT(state.revision(), Eq(9));
}

TEST(WatchStateTest, ALaterSnapshotIsComparedWithWhatIsKnown) {
  WatchState state(false);
  Snapshot(&state, 5, {{"same", 1}, {"changed", 2}, {"gone", 3}});
  EXPECT_FALSE(state.started_over());
  state.Take(Message(v1::WatchResponse::PHASE_RESET, 20));
  EXPECT_TRUE(state.started_over());
  EXPECT_THAT(Snapshot(&state, 20, {{"same", 1}, {"changed", 12}, {"new", 15}}),
              UnorderedElementsAre("+changed@12", "+new@15", "-gone@20"));
}

TEST(WatchStateTest, RevisionsOfAnotherEpochAreNotCompared) {
  WatchState state(false);
  Snapshot(&state, 5, {{"a", 1}});
  EXPECT_THAT(Snapshot(&state, 5, {{"a", 1}}, "f"), ElementsAre("+a@1"));
  EXPECT_THAT(state.epoch(), Eq("f"));
}

TEST(WatchStateTest, ASnapshotThatBreaksOffIsForgotten) {
  WatchState state(false);
  Snapshot(&state, 5, {{"a", 1}, {"b", 2}});
  state.Take(Message(v1::WatchResponse::PHASE_RESET, 7));
  v1::WatchResponse part = Message(v1::WatchResponse::PHASE_SNAPSHOT, 7);
  Put("a", 6, &part);
  state.Take(part);
  EXPECT_THAT(state.revision(), Eq(5));
  EXPECT_THAT(Snapshot(&state, 8, {{"a", 6}, {"b", 2}}), ElementsAre("+a@6"));
}

}  // namespace
}  // namespace insula::insulactl
