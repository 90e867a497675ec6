#include "libs/registry_client/registry_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/registry_client/followed_copy.h"
#include "libs/registry_client/random_requests.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/set_digest.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using ::testing::HasSubstr;

v1::Operation Put(absl::string_view id, absl::string_view name) {
  v1::Operation operation;
  v1::Object* const object = operation.mutable_put();
  object->mutable_meta()->set_kind(v1::KIND_TENANT);
  object->mutable_meta()->set_id(std::string(id));
  object->mutable_tenant()->set_display_name(std::string(name));
  return operation;
}
v1::Operation Delete(absl::string_view id) {
  v1::Operation operation;
  operation.mutable_delete_()->set_kind(v1::KIND_TENANT);
  operation.mutable_delete_()->set_id(std::string(id));
  return operation;
}
v1::ApplyRequest Of(absl::string_view request_id,
                    std::vector<v1::Operation> operations) {
  v1::ApplyRequest request;
  request.set_request_id(std::string(request_id));
  for (v1::Operation& operation : operations) {
    *request.add_operations() = std::move(operation);
  }
  return request;
}
v1::Object Object(absl::string_view id, absl::string_view name, int64_t created,
                  int64_t modified) {
  v1::Object object = Put(id, name).put();
  object.mutable_meta()->set_create_revision(created);
  object.mutable_meta()->set_mod_revision(modified);
  object.mutable_meta()->set_uid(
      absl::StrCat(id, created, "0123456789abcdef").substr(0, 16));
  return object;
}

// Four revisions, and what a follower is told of them that begins after the
// first: a snapshot, three deltas and a progress.
class RegistryHistoryTest : public testing::Test {
 protected:
  RegistryHistoryTest() {
    EXPECT_THAT(history_.Record(2, Of("b", {Put("y", "2")})), IsOk());
    EXPECT_THAT(history_.Record(1, Of("a", {Put("x", "1")})), IsOk());
    EXPECT_THAT(history_.Record(4, Of("d", {Delete("x")})), IsOk());
    EXPECT_THAT(history_.Record(3, Of("c", {Put("x", "3")})), IsOk());
    EXPECT_THAT(history_.Replay(4), IsOk());

    Message(v1::WatchResponse::PHASE_RESET, 1);
    *Message(v1::WatchResponse::PHASE_SNAPSHOT, 1)->add_puts() =
        Object("x", "1", 1, 1);
    Message(v1::WatchResponse::PHASE_SNAPSHOT_END, 1)->set_object_count(1);
    *Message(v1::WatchResponse::PHASE_DELTA, 2)->add_puts() =
        Object("y", "2", 2, 2);
    *Message(v1::WatchResponse::PHASE_DELTA, 3)->add_puts() =
        Object("x", "3", 1, 3);
    *Message(v1::WatchResponse::PHASE_DELTA, 4)->add_deletes() =
        Delete("x").delete_();
    v1::WatchResponse* const progress =
        Message(v1::WatchResponse::PHASE_PROGRESS, 4);
    tenancy::SetDigest digest;
    digest.Add(v1::KIND_TENANT, "y", 2);
    v1::KindDigest* const kind = progress->mutable_set()->add_kinds();
    kind->set_kind(v1::KIND_TENANT);
    kind->set_count(1);
    kind->set_sum(digest.OfKind(v1::KIND_TENANT).sum);
  }

  v1::WatchResponse* Message(v1::WatchResponse::Phase phase, int64_t revision) {
    v1::WatchResponse& message = messages_.emplace_back();
    message.set_phase(phase);
    message.set_revision(revision);
    message.set_epoch("e");
    return &message;
  }
  absl::Status Followed() const {
    FollowedCopy copy("f", {});
    copy.BeginStream();
    for (const v1::WatchResponse& message : messages_) copy.Take(message);
    return copy.Check(history_);
  }

  History history_;
  std::vector<v1::WatchResponse> messages_;
};

TEST_F(RegistryHistoryTest, AFollowerThatIsToldEverythingIsRight) {
  EXPECT_THAT(Followed(), IsOk());
}

TEST_F(RegistryHistoryTest, ChangesOfSeveralRevisionsMayComeTogether) {
  // Of 3 and 4 only the end counts.
  messages_.erase(messages_.begin() + 4);
  EXPECT_THAT(Followed(), IsOk());
}

TEST_F(RegistryHistoryTest, EveryFaultOfAFollowerIsFound) {
  using Messages = std::vector<v1::WatchResponse>;
  struct Case {
    const char* name;
    std::function<void(Messages*)> spoil;
  };
  const std::vector<Case> cases = {
      {"a change is skipped", [](Messages* m) { m->erase(m->begin() + 3); }},
      {"the last change is skipped",
       [](Messages* m) { m->erase(m->begin() + 5); }},
      {"a change is empty", [](Messages* m) { (*m)[4].clear_puts(); }},
      {"a change comes again",
       [](Messages* m) { m->insert(m->begin() + 5, (*m)[4]); }},
      {"two changes change places",
       [](Messages* m) { std::swap((*m)[3], (*m)[4]); }},
      {"a put is of another revision",
       [](Messages* m) {
         (*m)[4].mutable_puts(0)->mutable_meta()->set_mod_revision(2);
       }},
      {"a put is altered",
       [](Messages* m) {
         (*m)[4].mutable_puts(0)->mutable_tenant()->set_org_id("other");
       }},
      {"a put has another uid",
       [](Messages* m) {
         (*m)[4].mutable_puts(0)->mutable_meta()->set_uid("0123456789abcdef");
       }},
      {"two objects have one uid",
       [](Messages* m) {
         (*m)[3].mutable_puts(0)->mutable_meta()->set_uid(
             (*m)[1].puts(0).meta().uid());
       }},
      {"a put is there twice",
       [](Messages* m) { *(*m)[4].add_puts() = (*m)[4].puts(0); }},
      {"something else is deleted",
       [](Messages* m) { (*m)[5].mutable_deletes(0)->set_id("y"); }},
      {"a change is ahead of the registry",
       [](Messages* m) { m->back().set_revision(5); }},
      {"the revision goes back",
       [](Messages* m) { m->back().set_revision(3); }},
      {"the epoch is another", [](Messages* m) { m->back().set_epoch("o"); }},
      {"the digest is of other objects",
       [](Messages* m) {
         m->back().mutable_set()->mutable_kinds(0)->set_sum(1);
       }},
      {"a snapshot lacks an object",
       [](Messages* m) { m->erase(m->begin() + 1); }},
      {"a snapshot is announced with another size",
       [](Messages* m) { (*m)[2].set_object_count(2); }},
      {"a snapshot was not begun", [](Messages* m) { m->erase(m->begin()); }},
      {"a change comes amid a snapshot",
       [](Messages* m) { std::swap((*m)[2], (*m)[3]); }},
      {"a progress has a change",
       [](Messages* m) { *m->back().add_puts() = Object("y", "2", 2, 2); }},
  };
  const std::vector<v1::WatchResponse> good = messages_;
  for (const Case& c : cases) {
    messages_ = good;
    c.spoil(&messages_);
    EXPECT_EQ(Followed().code(), absl::StatusCode::kDataLoss) << c.name;
  }
}

TEST_F(RegistryHistoryTest, ARevisionThatTwoWereAnsweredWithIsFound) {
  EXPECT_THAT(history_.Record(4, Of("e", {Put("z", "5")})),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(history_.Record(5, Of("e", {Put("z", "5")})), IsOk());
  EXPECT_THAT(history_.Record(5, Of("f", {Put("z", "6")})),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("to e")));
}

TEST_F(RegistryHistoryTest, AChangeThatNobodyAskedForIsFound) {
  EXPECT_THAT(history_.Record(6, Of("f", {Put("z", "6")})), IsOk());
  EXPECT_THAT(history_.Replay(6), StatusIs(absl::StatusCode::kDataLoss,
                                           HasSubstr("revision 5 of 6")));
}

TEST_F(RegistryHistoryTest, AnAcknowledgedChangeThatIsLostIsFound) {
  EXPECT_THAT(history_.Record(5, Of("e", {Put("z", "5")})), IsOk());
  EXPECT_THAT(history_.Replay(4), StatusIs(absl::StatusCode::kDataLoss,
                                           HasSubstr("was acknowledged")));
}

TEST_F(RegistryHistoryTest, AChangeThatWasNotAllowedIsFound) {
  v1::Operation conditional = Put("y", "5");
  conditional.set_expected_mod_revision(1);
  v1::Operation dangling = Put("y", "5");
  dangling.mutable_put()->mutable_tenant()->set_limits_id("none");
  for (const v1::Operation& operation :
       {conditional, dangling, Delete("x"), Put("y", "2")}) {
    History history = history_;
    EXPECT_THAT(history.Record(5, Of("e", {operation})), IsOk());
    EXPECT_THAT(history.Replay(5), StatusIs(absl::StatusCode::kDataLoss))
        << operation.ShortDebugString();
  }
}

TEST_F(RegistryHistoryTest, ObjectsThatDifferAreFound) {
  EXPECT_THAT(history_.CheckObjects({Object("y", "2", 2, 2)}), IsOk());
  const std::vector<std::vector<v1::Object>> wrong = {
      {},
      {Object("y", "2", 2, 2), Object("x", "3", 1, 3)},
      {Object("y", "2", 2, 2), Object("y", "2", 2, 2)},
      {Object("y", "2", 2, 3)},
      {Object("y", "1", 2, 2)},
  };
  for (const std::vector<v1::Object>& objects : wrong) {
    EXPECT_THAT(history_.CheckObjects(objects),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST_F(RegistryHistoryTest, AnAuditThatDiffersIsFound) {
  v1::AuditEntry entry;
  entry.set_revision(4);
  entry.set_request_id("d");
  *entry.mutable_ref() = Delete("x").delete_();
  EXPECT_THAT(history_.CheckAudit(4, {entry}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("contents")));
  EXPECT_THAT(history_.CheckAudit(4, {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("missing")));
  entry.set_request_id("c");
  EXPECT_THAT(history_.CheckAudit(4, {entry}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("by d")));
}

TEST(RandomRequestsTest, ASeedGivesTheSameRequestsAgain) {
  RandomRequests one(7, 1);
  RandomRequests same(7, 1);
  RandomRequests other(8, 1);
  int different = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string request = one.Next().SerializeAsString();
    EXPECT_EQ(request.size(), same.Next().SerializeAsString().size());
    if (request != other.Next().SerializeAsString()) ++different;
  }
  EXPECT_GT(different, 40);
}

}  // namespace
}  // namespace insula::registry_client
