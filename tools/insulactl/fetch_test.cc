#include "tools/insulactl/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using testing::Eq;
using testing::SizeIs;

// A registry of tenants t0, t1, ..., in pages of two.
class Tenants {
 public:
  explicit Tenants(int count) : count_(count) {}

  Reads reads() {
    Reads reads;
    reads.get =
        [this](
            const v1::GetRequest& request) -> absl::StatusOr<v1::GetResponse> {
      ++gets;
      for (int i = 0; i < count_; ++i) {
        if (request.ref().id() != absl::StrCat("t", i)) continue;
        v1::GetResponse response;
        *response.mutable_object() = Tenant(i);
        return response;
      }
      return absl::NotFoundError("none");
    };
    reads.list = [this](const v1::ListRequest& request)
        -> absl::StatusOr<v1::ListResponse> {
      ++lists;
      const int from =
          request.page_token().empty() ? 0 : atoi(request.page_token().c_str());
      if (from > 0 && changes > 0) {
        --changes;
        return absl::OutOfRangeError("changed");
      }
      v1::ListResponse response;
      for (int i = from; i < count_ && i < from + 2; ++i) {
        *response.add_objects() = Tenant(i);
      }
      if (from + 2 < count_) {
        response.set_next_page_token(absl::StrCat(from + 2));
      }
      return response;
    };
    return reads;
  }

  int gets = 0;
  int lists = 0;
  int changes = 0;  // So often a list is found out of date.

 private:
  static v1::Object Tenant(int i) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(absl::StrCat("t", i));
    return object;
  }

  const int count_;
};

TEST(FetchTest, AListIsOfOneRevision) {
  Tenants tenants(5);
  tenants.changes = 3;
  const auto objects = ListAll(tenants.reads(), v1::KIND_TENANT, "");
  ASSERT_THAT(objects, IsOk());
  EXPECT_THAT(*objects, SizeIs(5));
  EXPECT_THAT(tenants.lists, Eq(3 * 2 + 3));
}

TEST(FetchTest, AListThatAlwaysChangesIsGivenUp) {
  Tenants tenants(5);
  tenants.changes = 1000;
  EXPECT_THAT(ListAll(tenants.reads(), v1::KIND_TENANT, ""),
              StatusIs(absl::StatusCode::kAborted));
}

TEST(FetchTest, FewObjectsAreGotAndManyListed) {
  Tenants few(5);
  auto objects = Fetch(few.reads(), {{v1::KIND_TENANT, "t1"},
                                     {v1::KIND_TENANT, "t1"},
                                     {v1::KIND_TENANT, "missing"}});
  ASSERT_THAT(objects, IsOk());
  EXPECT_THAT(*objects, SizeIs(1));
  EXPECT_THAT(few.gets, Eq(2));
  EXPECT_THAT(few.lists, Eq(0));

  Tenants many(300);
  std::vector<resources::ObjectKey> keys;
  for (int i = 100; i < 400; ++i) {
    keys.push_back({v1::KIND_TENANT, absl::StrCat("t", i)});
  }
  objects = Fetch(many.reads(), keys);
  ASSERT_THAT(objects, IsOk());
  EXPECT_THAT(*objects, SizeIs(200));
  EXPECT_THAT(many.gets, Eq(0));
}

TEST(FetchTest, ARefusalEndsIt) {
  Reads reads;
  reads.get = [](const v1::GetRequest&) {
    return absl::UnavailableError("gone");
  };
  EXPECT_THAT(Fetch(reads, {{v1::KIND_TENANT, "a"}}),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace insula::insulactl
