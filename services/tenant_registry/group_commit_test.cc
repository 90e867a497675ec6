// Applies that wait together are stored together.
#include <boost/asio/strand.hpp>
#include <future>

#include "services/tenant_registry/registry_fixture.h"
#include "services/tenant_registry/wrapped_store.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

class GroupCommitTest : public RegistryTest {
 protected:
  using Answer = std::future<absl::StatusOr<int64_t>>;

  GroupCommitTest() { Start(); }

  absl::StatusOr<std::unique_ptr<Store>> OpenStore() override {
    auto store = RegistryTest::OpenStore();
    if (!store.ok()) return store;
    return std::make_unique<WrappedStore>(*std::move(store), gate_);
  }

  // Applies in the order of the calls.
  Answer Begin(v1::Operation operation, absl::string_view request_id = "",
               bool validate_only = false) {
    ApplyCommand command;
    command.actor = "test";
    *command.request.add_operations() = std::move(operation);
    command.request.set_request_id(std::string(request_id));
    command.request.set_validate_only(validate_only);
    return asio::co_spawn(strand_, registry_->Apply(std::move(command)),
                          asio::use_future);
  }
  // A change whose commit waits, so that what comes now makes one group.
  Answer HoldUp() {
    gate_->Close();
    Answer first = Begin(Put(TenantObject("first")));
    EXPECT_TRUE(Eventually([this] { return gate_->sizes().size() == 1; }));
    return first;
  }
  const std::shared_ptr<CommitGate> gate_ = std::make_shared<CommitGate>();
  asio::strand<asio::any_io_executor> strand_ =
      asio::make_strand(asio::any_io_executor(pool_.get_executor()));
};

TEST_F(GroupCommitTest, WhatWaitsTogetherIsStoredTogetherAtRevisionsOfItsOwn) {
  Answer first = HoldUp();
  std::vector<Answer> answers;
  for (int i = 0; i < 20; ++i) {
    answers.push_back(Begin(Put(TenantObject(absl::StrCat("t", i)))));
  }
  // Nobody sees what is not durable yet.
  EXPECT_THAT(Status().objects_by_kind(), IsEmpty());
  gate_->Open();
  EXPECT_THAT(*first.get(), Eq(1));
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(*answers[static_cast<size_t>(i)].get(), Eq(2 + i));
  }
  EXPECT_THAT(gate_->sizes(), ElementsAre(1, 20));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_commit_applies_count 2\n"));
  Stop();
  Start();
  EXPECT_THAT(Status().revision(), Eq(21));
}

TEST_F(GroupCommitTest, EachChangeIsCheckedAgainstThoseBeforeItInTheGroup) {
  Answer first = HoldUp();
  Answer store = Begin(Put(UpstreamObject("store")));
  Answer red = Begin(Put(TenantObject("red", "store")));
  Answer deletion = Begin(Delete(v1::KIND_UPSTREAM, "store"));
  Answer binding = Begin(Put(BindingObject("one", 'a', {"red"})));
  Answer same_token = Begin(Put(BindingObject("two", 'a', {"red"})));
  Answer handed_over = Begin(Put(BindingObject("one", 'b', {"red"})));
  Answer taken = Begin(Put(BindingObject("two", 'a', {"red"})));
  Answer stale = Begin(Expecting(Put(TenantObject("red")), 2));
  Answer fresh = Begin(Expecting(Put(TenantObject("red")), 3));
  Answer now_free = Begin(Delete(v1::KIND_UPSTREAM, "store"));
  Answer again = Begin(Delete(v1::KIND_UPSTREAM, "store"));
  gate_->Open();
  EXPECT_THAT(*store.get(), Eq(2));
  EXPECT_THAT(*red.get(), Eq(3));
  EXPECT_THAT(deletion.get(), StatusIs(kPrecondition, HasSubstr("Tenant/red")));
  EXPECT_THAT(*binding.get(), Eq(4));
  EXPECT_THAT(same_token.get(),
              StatusIs(kPrecondition, HasSubstr("Binding/one")));
  EXPECT_THAT(*handed_over.get(), Eq(5));
  EXPECT_THAT(*taken.get(), Eq(6));
  EXPECT_THAT(stale.get(),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("it is 3")));
  EXPECT_THAT(*fresh.get(), Eq(7));
  EXPECT_THAT(*now_free.get(), Eq(8));
  EXPECT_THAT(again.get(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(gate_->sizes(), ElementsAre(1, 7));
}

TEST_F(GroupCommitTest, AFailedCommitFailsTheGroupAndChangesNothing) {
  Answer first = HoldUp();
  std::vector<Answer> group;
  group.push_back(Begin(Put(TenantObject("red"))));
  group.push_back(Begin(Put(BindingObject("one", 'a', {"red"}))));
  // Refused because of one that fails, so that this answer is void as well.
  group.push_back(Begin(Expecting(Put(TenantObject("red")), 0)));
  group.push_back(Begin(Put(BindingObject("b", 'c', {"red"})), "", true));
  group.push_back(Begin(Put(TenantObject("blue")), "id"));
  gate_->Fail(2);
  gate_->Open();
  EXPECT_THAT(*first.get(), Eq(1));
  for (Answer& answer : group) {
    EXPECT_THAT(answer.get(), StatusIs(absl::StatusCode::kUnavailable,
                                       HasSubstr("nothing was changed")));
  }
  EXPECT_THAT(Status().revision(), Eq(1));
  EXPECT_THAT(Status().objects_by_kind().at("Tenant"), Eq(1));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tenant_registry_commit_failures_total 1\n"));
  // As if it had never been.
  EXPECT_THAT(*Apply({Put(TenantObject("green"))}, "id"), Eq(2));
  EXPECT_THAT(Apply({Put(BindingObject("one", 'a', {"red"}))}),
              StatusIs(kPrecondition, HasSubstr("no Tenant/red")));
}

TEST_F(GroupCommitTest, ARequestRepeatedWithinTheGroupIsAnsweredAlike) {
  Answer first = HoldUp();
  Answer one = Begin(Put(TenantObject("red")), "id");
  Answer same = Begin(Put(TenantObject("red")), "id");
  Answer other = Begin(Put(TenantObject("blue")), "id");
  gate_->Open();
  EXPECT_THAT(*one.get(), Eq(2));
  EXPECT_THAT(*same.get(), Eq(2));
  EXPECT_THAT(other.get(), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("request_id")));
  EXPECT_THAT(gate_->sizes(), ElementsAre(1, 1));
}

}  // namespace
}  // namespace insula::tenant_registry
