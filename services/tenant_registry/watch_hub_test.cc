#include "services/tenant_registry/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::tenant_registry {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class WatchHubTest : public testing::Test {
 protected:
  std::shared_ptr<Watcher> Add(int64_t revision = 0,
                               std::set<v1::Kind> kinds = {},
                               size_t queue_limit = 4096) {
    Watcher::Options options;
    options.client_id = absl::StrCat("test/", hub_.size());
    options.kinds = std::move(kinds);
    options.revision = revision;
    options.held_revision = revision;
    options.digest = std::make_shared<const tenancy::SetDigest>(digest_);
    options.queue_limit = queue_limit;
    options.now = now_;
    auto watcher =
        std::make_shared<Watcher>(context_.get_executor(), std::move(options));
    EXPECT_THAT(hub_.Add(watcher, 10'000), IsOk());
    return watcher;
  }
  void AddMany(int count) {
    for (int i = 0; i < count; ++i) Add();
  }

  Published Make(int64_t revision, v1::Kind kind = v1::KIND_TENANT) {
    auto object = std::make_shared<v1::Object>();
    object->mutable_meta()->set_kind(kind);
    object->mutable_meta()->set_id(absl::StrCat("object-", revision));
    object->mutable_meta()->set_mod_revision(revision);
    digest_.Add(kind, object->meta().id(), revision);
    Change change;
    change.revision = revision;
    change.items.push_back({KeyOf(*object), object});
    return {std::make_shared<const Change>(std::move(change)),
            std::make_shared<const tenancy::SetDigest>(digest_), now_};
  }
  std::optional<absl::Duration> Publish(int64_t revision,
                                        v1::Kind kind = v1::KIND_TENANT) {
    return hub_.Publish({Make(revision, kind)}, now_);
  }

  static std::vector<int64_t> Revisions(const Watcher::Taken& taken) {
    std::vector<int64_t> revisions;
    for (const ChangePtr& change : taken.changes) {
      revisions.push_back(change->revision);
    }
    return revisions;
  }

  boost::asio::io_context context_;
  WatchHub hub_;
  tenancy::SetDigest digest_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

TEST_F(WatchHubTest, HandsOnAtOnceWhatComesSlowly) {
  const auto watcher = Add();
  AddMany(99);  // 100 of them: 5 ms.
  EXPECT_THAT(Publish(1), Eq(std::nullopt));
  EXPECT_THAT(Revisions(watcher->Take()), ElementsAre(1));
  now_ += absl::Milliseconds(5);
  EXPECT_THAT(Publish(2), Eq(std::nullopt));
  const Watcher::Taken taken = watcher->Take();
  EXPECT_THAT(Revisions(taken), ElementsAre(2));
  EXPECT_THAT(taken.revision, Eq(2));
  EXPECT_THAT(taken.digest->kinds(), Eq(digest_.kinds()));
}

TEST_F(WatchHubTest, HandsOnTogetherWhatComesFastWhereManyWatch) {
  const auto watcher = Add();
  AddMany(99);
  Publish(1);
  watcher->Take();
  now_ += absl::Milliseconds(1);
  EXPECT_THAT(Publish(2), Eq(absl::Milliseconds(4)));
  now_ += absl::Milliseconds(1);
  EXPECT_THAT(Publish(3), Eq(std::nullopt));  // A release is on its way.
  EXPECT_THAT(Revisions(watcher->Take()), IsEmpty());
  // They have happened, though.
  EXPECT_THAT(watcher->Describe().wanted_revision, Eq(3));

  now_ += absl::Milliseconds(3);
  hub_.Release(now_);
  const Watcher::Taken taken = watcher->Take();
  EXPECT_THAT(Revisions(taken), ElementsAre(2, 3));
  EXPECT_THAT(taken.digest->kinds(), Eq(digest_.kinds()));
  now_ += absl::Milliseconds(1);
  EXPECT_THAT(Publish(4), Eq(absl::Milliseconds(4)));
}

TEST_F(WatchHubTest, HoldsNothingBackForLong) {
  AddMany(5000);
  Publish(1);
  EXPECT_THAT(Publish(2), Eq(absl::Milliseconds(100)));
}

TEST_F(WatchHubTest, HoldsNoMoreBackThanQueuesCanTake) {
  const auto watcher = Add();
  AddMany(999);
  Publish(1);
  watcher->Take();
  for (int64_t revision = 2; revision <= 257; ++revision) Publish(revision);
  const Watcher::Taken taken = watcher->Take();
  EXPECT_THAT(taken.end, IsOk());
  EXPECT_THAT(taken.changes, SizeIs(256));
  // The release that was on its way has nothing to do, and is no hindrance.
  hub_.Release(now_);
  EXPECT_THAT(watcher->Take().changes, IsEmpty());
  EXPECT_THAT(Publish(258), Eq(absl::Milliseconds(50)));
}

// Who comes while a change is held back has it already.
TEST_F(WatchHubTest, ANewWatcherGetsWhatItDidNotBeginWith) {
  AddMany(100);
  Publish(1);
  ASSERT_THAT(Publish(2), Eq(absl::Milliseconds(5)));
  const auto watcher = Add(/*revision=*/2);
  Publish(3);
  hub_.Release(now_);
  EXPECT_THAT(Revisions(watcher->Take()), ElementsAre(3));
}

TEST_F(WatchHubTest, EachGetsItsKindsAndEveryRevision) {
  const auto tenants = Add(0, {v1::KIND_TENANT});
  const auto upstreams = Add(0, {v1::KIND_UPSTREAM, v1::KIND_JOB});
  std::vector<Published> changes = {Make(1, v1::KIND_TENANT),
                                    Make(2, v1::KIND_UPSTREAM),
                                    Make(3, v1::KIND_JOB)};
  hub_.Publish(std::move(changes), now_);
  Watcher::Taken taken = tenants->Take();
  EXPECT_THAT(Revisions(taken), ElementsAre(1));
  EXPECT_THAT(taken.revision, Eq(3));
  taken = upstreams->Take();
  EXPECT_THAT(Revisions(taken), ElementsAre(2, 3));
  EXPECT_THAT(taken.revision, Eq(3));
}

TEST_F(WatchHubTest, ASlowWatcherIsCutOffAlone) {
  const auto slow = Add(0, {}, /*queue_limit=*/3);
  const auto quick = Add(0, {}, /*queue_limit=*/3);
  for (int64_t revision = 1; revision <= 10; ++revision) {
    now_ += absl::Seconds(1);
    Publish(revision);
    EXPECT_THAT(Revisions(quick->Take()), ElementsAre(revision));
  }
  const Watcher::Taken taken = slow->Take();
  EXPECT_THAT(taken.end, StatusIs(absl::StatusCode::kResourceExhausted,
                                  HasSubstr("subscribe again")));
  EXPECT_THAT(taken.changes, IsEmpty());
  EXPECT_THAT(quick->Take().end, IsOk());
}

TEST_F(WatchHubTest, CloseEndsAllAndAdmitsNobody) {
  const auto watcher = Add();
  hub_.Close();
  EXPECT_THAT(watcher->Take().end, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(hub_.Add(watcher, 10), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace insula::tenant_registry
