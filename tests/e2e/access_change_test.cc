// What a tenant was granted, at a real Prometheus: it reads that and nothing
// else, and a grant that is made, narrowed or taken away is so within a second.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;
using Json = nlohmann::json;
using Names = std::set<std::string>;

// With instrumented binaries, but on a machine that is idle otherwise.
constexpr absl::Duration kEffective = absl::Seconds(1);

constexpr char kViewer[] = "viewer-token";

class AccessChangeTest : public testing::Test {
 protected:
  // Every series has a label `n` of its own, and a power of two as its value,
  // so that a sum tells which of them are in it.
  void SetUp() override {
    constellation_.StartAll();
    const absl::Time now = absl::Now();
    std::vector<Series> series;
    double value = 1;
    const auto add = [&](std::map<std::string, std::string> labels) {
      // Two samples, so that there are ranges.
      series.push_back({labels, value, now - absl::Seconds(20)});
      series.push_back({std::move(labels), value, now - absl::Seconds(1)});
      value *= 2;
    };
    for (const std::string space : {"red", "blue"}) {
      const auto with = [&](std::map<std::string, std::string> labels) {
        labels["namespace"] = space;
        labels["n"] = absl::StrCat(space, "-", labels["n"]);
        add(std::move(labels));
      };
      with({{"__name__", "requests"},
            {"code", "200"},
            {"pod", "p"},
            {"n", "200"}});
      with({{"__name__", "requests"},
            {"code", "500"},
            {"pod", "p"},
            {"n", "500"}});
      with({{"__name__", "requests"},
            {"code", "500"},
            {"pod", "q"},
            {"n", "q"}});
      with({{"__name__", "node_load"}, {"n", "load"}});
      with({{"__name__", "secret"}, {"n", "secret"}});
    }
    ASSERT_EQ(
        constellation_.Write(Constellation::kSender, WriteBody(series)).status,
        204);
    ASSERT_TRUE(WaitUntil([this] {
      return Json::parse(constellation_.AskStore("{n!=\"\"}")).size() == 10;
    }));

    v1::Object tenant;
    (*tenant.mutable_tenant()->mutable_enforced_labels())["namespace"] =
        "viewer";
    tenant.mutable_tenant()->set_upstream_id("store");
    tenant.mutable_tenant()->set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    v1::Object binding;
    binding.mutable_binding()->set_token_sha256(TokenHash(kViewer));
    binding.mutable_binding()->add_tenant_ids("viewer");
    binding.mutable_binding()->add_roles(v1::ROLE_READ);
    constellation_.Apply({Put(v1::KIND_TENANT, "viewer", tenant),
                          Put(v1::KIND_BINDING, "viewer", binding)});
    ASSERT_TRUE(WaitUntil([this] { return Status() == 403; })) << Status();
  }

  static v1::Operation Put(v1::Kind kind, const std::string& id,
                           v1::Object object) {
    v1::Operation operation;
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    *operation.mutable_put() = std::move(object);
    return operation;
  }

  void Grant(const std::string& id, const std::vector<std::string>& sources,
             const std::vector<std::string>& selectors) {
    v1::Object object;
    object.mutable_access()->set_tenant_id("viewer");
    for (const std::string& source : sources) {
      object.mutable_access()->add_source_tenant_ids(source);
    }
    for (const std::string& selector : selectors) {
      object.mutable_access()->add_selectors(selector);
    }
    constellation_.Apply({Put(v1::KIND_ACCESS, id, object)});
  }

  void Revoke(const std::string& id) {
    v1::Operation operation;
    operation.mutable_delete_()->set_kind(v1::KIND_ACCESS);
    operation.mutable_delete_()->set_id(id);
    constellation_.Apply({operation});
  }

  int Status() { return constellation_.Query(kViewer, "requests").status; }

  // The `n` of what the viewer is shown; "STATUS" if that is an error.
  Names Sees(const std::string& query = R"({n!=""})",
             const std::string& token = kViewer) {
    const HttpAnswer answer = constellation_.Query(token, query);
    if (answer.status != 200) return {absl::StrCat(answer.status)};
    const Json body = Json::parse(answer.body);
    Names names;
    for (const Json& one : body["data"]["result"]) {
      names.insert(one["metric"].value("n", "-"));
    }
    return names;
  }

  // The value of a query with one, as the store writes it.
  std::string Value(const std::string& query) {
    const HttpAnswer answer = constellation_.Query(kViewer, query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const Json body = Json::parse(answer.body);
    const Json& result = body["data"]["result"];
    return result.size() == 1 ? result[0]["value"][1].get<std::string>()
                              : result.dump();
  }

  // What an endpoint answers: its strings, or the `n` of its series.
  Names Data(const std::string& target) {
    const HttpAnswer answer = constellation_.Get(kViewer, target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const Json body = Json::parse(answer.body);
    Names names;
    for (const Json& one : body["data"]) {
      names.insert(one.is_string() ? one.get<std::string>()
                                   : one.value("n", "-"));
    }
    return names;
  }

  // How long it takes from now until it sees just that, on an idle machine.
  absl::Duration Until(const Names& names) {
    const Waited waited = TimeUntil([&] { return Sees() == names; });
    EXPECT_TRUE(waited.in_time) << testing::PrintToString(Sees());
    return waited.OnIdleMachine();
  }

  Constellation constellation_;
};

TEST_F(AccessChangeTest, GrantedNarrowedAndRevokedWithinASecond) {
  Grant("x", {"blue"}, {"requests"});
  EXPECT_THAT(Until({"blue-200", "blue-500", "blue-q"}), Lt(kEffective));
  Grant("x", {"blue"}, {R"(requests{code="500"})"});
  EXPECT_THAT(Until({"blue-500", "blue-q"}), Lt(kEffective));
  Grant("y", {"red"}, {"node_.*"});
  EXPECT_THAT(Until({"blue-500", "blue-q", "red-load"}), Lt(kEffective));
  Revoke("x");
  EXPECT_THAT(Until({"red-load"}), Lt(kEffective));
  Revoke("y");
  EXPECT_THAT(Until({"403"}), Lt(kEffective));
}

TEST_F(AccessChangeTest, ATenantOfItsOwnLosesNothingButTheGrant) {
  const Names own = {"red-200", "red-500", "red-q", "red-load", "red-secret"};
  EXPECT_EQ(Sees(R"({n!=""})", Constellation::kRed), own);
  v1::Object object;
  object.mutable_access()->set_tenant_id("red");
  object.mutable_access()->add_source_tenant_ids("blue");
  object.mutable_access()->add_selectors("node_load");
  constellation_.Apply({Put(v1::KIND_ACCESS, "z", object)});
  Names wider = own;
  wider.insert("blue-load");
  EXPECT_TRUE(WaitUntil(
      [&] { return Sees(R"({n!=""})", Constellation::kRed) == wider; }));
  Revoke("z");
  EXPECT_TRUE(WaitUntil(
      [&] { return Sees(R"({n!=""})", Constellation::kRed) == own; }));
}

TEST_F(AccessChangeTest, AUnionOfGrantsIsReadAsIfNothingElseWereThere) {
  Grant("pods", {"blue"}, {R"({pod="p"})"});
  Grant("codes", {"blue", "red"}, {R"({code="500"})"});
  const Names all = {"blue-200", "blue-500", "blue-q", "red-500", "red-q"};
  ASSERT_THAT(Until(all), Lt(kEffective));

  // blue-200 is 32, blue-500 64, blue-q 128, red-500 2, red-q 4.
  EXPECT_EQ(Value("sum(requests)"), "230");
  EXPECT_EQ(Value("sum(max_over_time(requests[5m]))"), "230");
  EXPECT_EQ(Value("max(max_over_time(sum(requests)[1m:1s]))"), "230");
  EXPECT_EQ(Value("sum(requests{namespace=\"red\"})"), "6");
  EXPECT_EQ(Value("count({__name__=~\".+\"})"), "5");
  EXPECT_EQ(Value("sum(topk(scalar(count(requests)), requests))"), "230");
  EXPECT_EQ(Value("sum(requests) / count(requests{pod=\"p\"})"),
            "76.66666666666667");
  EXPECT_THAT(Sees("secret"), IsEmpty());
  EXPECT_THAT(Sees("requests{namespace=\"red\",code=\"200\"}"), IsEmpty());
  EXPECT_THAT(Sees("requests[5m]"), all);
  EXPECT_THAT(Sees("requests[5m:1s]"), all);

  EXPECT_EQ(Data("/api/v1/series?match[]=%7Bn!%3D%22%22%7D"), all);
  EXPECT_THAT(Data("/api/v1/series?match[]=secret"), IsEmpty());
  EXPECT_EQ(Data("/api/v1/labels"),
            (Names{"__name__", "code", "n", "namespace", "pod"}));
  EXPECT_EQ(Data("/api/v1/label/n/values"), all);
  EXPECT_EQ(Data("/api/v1/label/__name__/values"), Names{"requests"});
  EXPECT_EQ(Data("/api/v1/label/n/values?match[]=%7Bnamespace%3D%22red%22%7D"),
            (Names{"red-500", "red-q"}));
}

TEST_F(AccessChangeTest, SamplesOfARangeAreThoseOfTheStore) {
  Grant("pods", {"blue"}, {R"({pod="p"})"});
  Grant("codes", {"blue"}, {R"({code="500"})"});
  ASSERT_THAT(Until({"blue-200", "blue-500", "blue-q"}), Lt(kEffective));
  const HttpAnswer answer = constellation_.Query(kViewer, "requests[5m]");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto by_labels = [](const Json& result) {
    std::map<std::string, Json> series;
    for (const Json& one : result) {
      EXPECT_TRUE(series.emplace(one["metric"].dump(), one["values"]).second);
      EXPECT_THAT(one["values"], SizeIs(Ge(2U)));
    }
    return series;
  };
  const Json body = Json::parse(answer.body);
  const Json held =
      Json::parse(constellation_.AskStore("requests{namespace=\"blue\"}[5m]"));
  EXPECT_EQ(by_labels(body["data"]["result"]), by_labels(held));
}

TEST_F(AccessChangeTest, GrantsOnSeriesWithoutANameAreUnited) {
  Grant("x", {"blue"}, {"node_load", R"({__name__=~"req.*",pod="p"})"});
  ASSERT_THAT(Until({"blue-200", "blue-500", "blue-load"}), Lt(kEffective));
  const HttpAnswer answer =
      constellation_.Query(kViewer, R"(max_over_time({n!=""}[5m]))");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json body = Json::parse(answer.body);
  Names names;
  for (const Json& one : body["data"]["result"]) {
    names.insert(one["metric"]["n"]);
  }
  EXPECT_EQ(names, (Names{"blue-200", "blue-500", "blue-load"}));
}

TEST_F(AccessChangeTest, WhatCanNotBeConfinedIsRefused) {
  Grant("x", {"blue"}, {"node_load", R"({__name__=~"req.*",pod="p"})"});
  ASSERT_THAT(Until({"blue-200", "blue-500", "blue-load"}), Lt(kEffective));
  std::string query = "0";
  for (int i = 0; i < 9; ++i) {
    absl::StrAppend(&query, " + max_over_time({n!=\"\",n!=\"", i, "\"}[5m])");
  }
  const HttpAnswer answer = constellation_.Query(kViewer, query);
  EXPECT_EQ(answer.status, 422);
  EXPECT_THAT(answer.body, HasSubstr(R"("errorType":"execution")"));
  EXPECT_THAT(answer.body, HasSubstr("add a metric name"));
  EXPECT_EQ(constellation_.Query(kViewer, "max_over_time({n!=\"\"}[5m]").status,
            400);
  EXPECT_EQ(Value(R"(sum(max_over_time(requests[5m])))"), "96");
}

}  // namespace
}  // namespace insula::e2e
