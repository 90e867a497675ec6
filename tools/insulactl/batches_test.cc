#include "tools/insulactl/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/resources/resource_file.h"
#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;
using testing::StartsWith;

std::vector<resources::Resource> Read(absl::string_view yaml) {
  const auto file = resources::ParseResourceFile(yaml, "t.yaml");
  EXPECT_THAT(file, IsOk());
  if (!file.ok()) return {};
  EXPECT_THAT(file->errors, IsEmpty());
  return file->resources;
}

// A binding of all of `count` tenants, which come after it, and their limits.
std::vector<resources::Resource> Tenants(int count, int tenants_of_binding) {
  std::string yaml = absl::StrCat(
      "kind: Binding\nid: all\nspec:\n  roles: [READ]\n",
      "  token_sha256: ", std::string(64, 'a'), "\n  tenant_ids:\n");
  for (int i = 0; i < tenants_of_binding; ++i) {
    absl::StrAppend(&yaml, "    - t", i, "\n");
  }
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&yaml, "---\nkind: Tenant\nid: t", i,
                    "\nspec: {limits_id: small}\n");
  }
  return Read(yaml + "---\nkind: Limits\nid: small\nspec: {}\n");
}

std::vector<std::string> NamesIn(const v1::ApplyRequest& request) {
  std::vector<std::string> names;
  for (const v1::Operation& operation : request.operations()) {
    names.push_back(resources::Name(
        operation.has_put() ? resources::KeyOf(operation.put())
                            : resources::KeyOf(operation.delete_())));
  }
  return names;
}

TEST(BatchesTest, WhatOthersNameComesFirst) {
  const auto requests = PutBatches(Tenants(2, 2));
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(NamesIn(requests[0]), ElementsAre("Limits/small", "Tenant/t0",
                                                "Tenant/t1", "Binding/all"));
}

TEST(BatchesTest, ARequestHasAtMostFiftyOperations) {
  const auto requests = PutBatches(Tenants(120, 1));
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_THAT(requests[0].operations_size(), Eq(50));
  EXPECT_THAT(requests[1].operations_size(), Eq(50));
  EXPECT_THAT(requests[2].operations_size(), Eq(22));
  EXPECT_THAT(NamesIn(requests[2]).back(), Eq("Binding/all"));
}

TEST(BatchesTest, ARequestFitsAMessage) {
  std::vector<resources::Resource> large(10);
  for (int i = 0; i < 10; ++i) {
    v1::Object& object = large[static_cast<size_t>(i)].object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(absl::StrCat("t", i));
    object.mutable_tenant()->set_display_name(std::string(300 << 10, 'x'));
  }
  const auto requests = PutBatches(large);
  EXPECT_THAT(requests, SizeIs(5));
  for (const auto& request : requests) {
    EXPECT_THAT(request.ByteSizeLong(), Le(1u << 20));
  }
}

TEST(BatchesTest, WhatIsNamedIsDeletedLast) {
  const auto requests = DeleteBatches({{v1::KIND_UPSTREAM, "u"},
                                       {v1::KIND_TENANT, "t"},
                                       {v1::KIND_BINDING, "b"}});
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(NamesIn(requests[0]),
              ElementsAre("Binding/b", "Tenant/t", "Upstream/u"));
}

TEST(BatchesTest, ACheckHasAllThatItsObjectsName) {
  const CheckBatches batches = MakeCheckBatches(Tenants(120, 10));
  EXPECT_THAT(batches.too_large, IsEmpty());
  std::set<std::string> all;
  for (const v1::ApplyRequest& request : batches.requests) {
    EXPECT_TRUE(request.validate_only());
    EXPECT_THAT(request.operations_size(), Le(50));
    const std::vector<std::string> names = NamesIn(request);
    const std::set<std::string> there(names.begin(), names.end());
    EXPECT_THAT(there.size(), Eq(names.size()));  // None twice.
    EXPECT_TRUE(there.contains("Limits/small"));
    all.insert(names.begin(), names.end());
  }
  EXPECT_THAT(all.size(), Eq(122u));
}

TEST(BatchesTest, AnObjectThatNamesTooManyIsToldOf) {
  const CheckBatches batches = MakeCheckBatches(Tenants(60, 60));
  EXPECT_THAT(batches.too_large, ElementsAre("Binding/all"));
  EXPECT_THAT(batches.requests, SizeIs(2));
}

// Answers by script; waits take no time.
class Sender {
 public:
  SendOptions options() {
    SendOptions options;
    options.id = "0123";
    options.timeout = absl::Hours(1);
    options.send = [this](const v1::ApplyRequest& request, absl::Time) {
      sent.push_back(request);
      return answer(request);
    };
    options.wait = [this](absl::Duration pause) {
      if (pause > absl::ZeroDuration()) ++waits;
      return !interrupted;
    };
    options.progress = [this](size_t answered) { progress = answered; };
    options.retrying = [this](const absl::Status&) { ++told; };
    return options;
  }

  std::function<absl::StatusOr<v1::ApplyResponse>(const v1::ApplyRequest&)>
      answer;
  std::vector<v1::ApplyRequest> sent;
  bool interrupted = false;
  int waits = 0;
  int told = 0;
  size_t progress = 0;
};

v1::ApplyResponse Revision(int64_t revision) {
  v1::ApplyResponse response;
  response.set_revision(revision);
  return response;
}

TEST(SendTest, WhatMayBeLostIsSentAgainWithItsId) {
  Sender sender;
  int calls = 0;
  sender.answer =
      [&](const v1::ApplyRequest&) -> absl::StatusOr<v1::ApplyResponse> {
    switch (++calls) {
      case 1:
        return absl::UnavailableError("gone");
      case 2:
        return absl::AbortedError("not now");
      case 3:
        return absl::DeadlineExceededError("late");
      default:
        return Revision(7);
    }
  };
  const SendResult result = Send(PutBatches(Tenants(60, 1)), sender.options());
  EXPECT_THAT(result.failure, IsOk());
  EXPECT_THAT(result.refused, IsEmpty());
  EXPECT_THAT(result.requests, Eq(2u));
  EXPECT_THAT(result.operations, Eq(62u));
  EXPECT_THAT(result.revision, Eq(7));
  ASSERT_THAT(sender.sent, SizeIs(5));
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(sender.sent[static_cast<size_t>(i)].request_id(),
                Eq("insulactl-0123-0"));
  }
  EXPECT_THAT(sender.sent[4].request_id(), Eq("insulactl-0123-1"));
  EXPECT_THAT(sender.told, Eq(1));
  EXPECT_THAT(sender.progress, Eq(2u));
}

TEST(SendTest, GivesUpWhenTheTimeIsOver) {
  Sender sender;
  sender.answer = [](const v1::ApplyRequest&) {
    return absl::UnavailableError("gone");
  };
  SendOptions options = sender.options();
  options.timeout = absl::Milliseconds(1);
  const SendResult result = Send(PutBatches(Tenants(60, 1)), options);
  EXPECT_THAT(result.failure, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(sender.sent, SizeIs(1));
}

TEST(SendTest, WhatOthersHinderedIsTriedAgain) {
  Sender sender;
  sender.answer = [&](const v1::ApplyRequest& request)
      -> absl::StatusOr<v1::ApplyResponse> {
    // The first wants the second.
    if (sender.sent.size() == 1) return absl::FailedPreconditionError("no");
    return Revision(request.operations_size());
  };
  const SendResult result = Send(PutBatches(Tenants(60, 1)), sender.options());
  EXPECT_THAT(result.refused, IsEmpty());
  EXPECT_THAT(result.requests, Eq(2u));
  ASSERT_THAT(sender.sent, SizeIs(3));
  EXPECT_THAT(sender.sent[2].request_id(), Eq("insulactl-0123-0"));
}

TEST(SendTest, WhatIsRefusedDoesNotKeepTheOthersBack) {
  Sender sender;
  sender.answer = [&](const v1::ApplyRequest& request)
      -> absl::StatusOr<v1::ApplyResponse> {
    if (request.request_id() == "insulactl-0123-0") {
      return absl::FailedPreconditionError("Tenant/t0: never");
    }
    return Revision(3);
  };
  const SendResult result = Send(PutBatches(Tenants(60, 1)), sender.options());
  EXPECT_THAT(result.requests, Eq(1u));
  ASSERT_THAT(result.refused, SizeIs(1));
  EXPECT_THAT(result.refused[0], StatusIs(absl::StatusCode::kFailedPrecondition,
                                          "Tenant/t0: never"));
  EXPECT_THAT(sender.sent, SizeIs(3));
}

TEST(SendTest, AnInterruptionLetsTheRequestOnItsWayEnd) {
  Sender sender;
  sender.answer = [&](const v1::ApplyRequest&) {
    sender.interrupted = true;
    return Revision(4);
  };
  const SendResult result = Send(PutBatches(Tenants(120, 1)), sender.options());
  EXPECT_THAT(result.failure, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(result.requests, Eq(1u));
  EXPECT_THAT(sender.sent, SizeIs(1));
}

TEST(SendTest, AnIdFitsTheRegistryAndIsAnother) {
  EXPECT_THAT(RandomId(), SizeIs(32));
  EXPECT_NE(RandomId(), RandomId());
  Sender sender;
  sender.answer = [](const v1::ApplyRequest&) { return Revision(1); };
  SendOptions options = sender.options();
  options.id = RandomId();
  Send(PutBatches(Tenants(1, 1)), options);
  EXPECT_THAT(sender.sent[0].request_id().size(), Le(64u));
  EXPECT_THAT(sender.sent[0].request_id(), StartsWith("insulactl-"));
}

}  // namespace
}  // namespace insula::insulactl
