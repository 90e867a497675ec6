#include "services/query_frontend/explain.h"

#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "libs/http/url.h"
#include "services/query_frontend/api_fixture.h"

namespace insula::query_frontend {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

class ExplainTest : public ApiTest {
 protected:
  absl::StatusOr<query::v1::ExplainResponse> Explain(const std::string& tenant,
                                                     const std::string& query) {
    query::v1::ExplainRequest request;
    request.set_tenant_id(tenant);
    request.set_query(query);
    return ExplainQuery(request, *snapshot_, &pools_);
  }

  http::Response GetQuery(const std::string& tenant, const std::string& query) {
    return Get("/api/v1/query?query=" + http::PercentEncode(query),
               "token-" + tenant);
  }
};

TEST_F(ExplainTest, ShowsPolicyQueryAndStore) {
  const auto red = Explain("red", "sum(rate(up[5m]))");
  ASSERT_TRUE(red.ok()) << red.status();
  EXPECT_THAT(red->enforced_matchers(), ElementsAre("namespace=\"red\""));
  EXPECT_EQ(red->query(), "sum(rate(up{namespace=\"red\"}[5m]))");
  EXPECT_EQ(red->upstream_id(), "shared");
  EXPECT_THAT(red->query_url(), StartsWith(store_.url()));
  EXPECT_EQ(red->tenant_header(), "");
  EXPECT_EQ(red->org_id(), "");

  const auto own = Explain("own", "up");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_THAT(own->enforced_matchers(), IsEmpty());
  EXPECT_EQ(own->query(), "up");
  EXPECT_EQ(own->upstream_id(), "split");
  EXPECT_EQ(own->tenant_header(), "X-Scope-OrgID");
  EXPECT_EQ(own->org_id(), "own-org");
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(ExplainTest, TheStoreIsAskedWhatItSays) {
  store_.SetAnswer(200, kVector);
  size_t asked = 0;
  for (const char* tenant : {"red", "blue", "own", "both"}) {
    for (const char* query :
         {"up", "up{namespace=\"red\"}", "sum by (job) (rate(up[5m]))",
          "up or {__name__=~\"a.*\"}", "topk(scalar(count(up)), up)",
          "max_over_time(up[5m:1m] @ end())", "absent(up)"}) {
      const auto told = Explain(tenant, query);
      ASSERT_TRUE(told.ok()) << told.status();
      const http::Response answer = GetQuery(tenant, query);
      ASSERT_EQ(answer.status, 200) << query << answer.body;
      ASSERT_THAT(store_.asked(), SizeIs(++asked));
      const auto seen = store_.asked().back();
      EXPECT_THAT(*http::ParseForm(seen.body),
                  Contains(Pair("query", told->query())));
      EXPECT_EQ(seen.headers.Get("X-Scope-OrgID").value_or(""), told->org_id());
    }
  }
}

TEST_F(ExplainTest, RefusesAsTheApiDoes) {
  for (const char* query : {"up{", "", "up[5m] +", "rate(up)", "{job=\"\"}"}) {
    const auto told = Explain("red", query);
    EXPECT_EQ(told.status().code(), absl::StatusCode::kInvalidArgument)
        << query;
    const http::Response answer = GetQuery("red", query);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(nlohmann::json::parse(answer.body)["error"],
              std::string(told.status().message()));
  }
  EXPECT_THAT(store_.asked(), IsEmpty());
}

TEST_F(ExplainTest, ATenantThatCanNotReadIsAPrecondition) {
  const std::pair<const char*, const char*> cases[] = {
      {"bare", "no enforced label"},
      {"lost", "is not known here"},
      {"homeless", "has no store"},
      {"writer", "takes no queries"}};
  for (const auto& [tenant, why] : cases) {
    const auto told = Explain(tenant, "up");
    EXPECT_EQ(told.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(told.status().message()), HasSubstr(why));
  }
}

TEST_F(ExplainTest, SaysWhoIsNotKnown) {
  EXPECT_EQ(Explain("nobody", "up").status(),
            absl::NotFoundError("there is no tenant 'nobody'"));
  snapshot_ = std::make_shared<const tenancy::Snapshot>();
  const auto early = Explain("red", "up");
  EXPECT_EQ(early.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(early.status().message()),
              StartsWith("tenants are not known yet"));
}

}  // namespace
}  // namespace insula::query_frontend
