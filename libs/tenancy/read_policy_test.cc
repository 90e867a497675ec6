#include "libs/tenancy/read_policy.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/promql/printer.h"
#include "libs/status/status_matchers.h"

namespace insula::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Labels = std::map<std::string, std::string>;

// A registry in which objects come and go.
class ReadPolicyTest : public testing::Test {
 protected:
  ReadPolicyTest() {
    Put("KIND_UPSTREAM", "shared",
        "upstream { query_url: 'http://h' isolation: ISOLATION_LABEL }");
    Put("KIND_UPSTREAM", "other",
        "upstream { query_url: 'http://o' isolation: ISOLATION_LABEL }");
    Put("KIND_UPSTREAM", "apart",
        "upstream { query_url: 'http://m' isolation: ISOLATION_HEADER }");
    for (const std::string id : {"red", "blue", "green"}) Tenant(id);
  }

  void Put(absl::string_view kind, absl::string_view id,
           absl::string_view spec) {
    v1::Object object;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrCat("meta { kind: ", kind, " id: '", id, "' } ", spec),
        &object));
    SnapshotBuilder builder(*snapshot_);
    ASSERT_THAT(builder.Put(object), IsOk());
    snapshot_ = std::move(builder).Build(++revision_, "epoch");
  }

  // In the shared store, with the label ns="ID".
  void Tenant(const std::string& id, const std::string& more = "",
              const std::string& upstream = "shared") {
    Put("KIND_TENANT", id,
        absl::StrCat("tenant { upstream_id: '", upstream,
                     "' enforced_labels { key: 'ns' value: '", id, "' } ", more,
                     " }"));
  }

  // For red.
  void Access(const std::string& id, const std::string& spec) {
    Put("KIND_ACCESS", id,
        absl::StrCat("access { tenant_id: 'red' ", spec, " }"));
  }

  void Delete(v1::Kind kind, const std::string& id) {
    v1::ObjectRef ref;
    ref.set_kind(kind);
    ref.set_id(id);
    SnapshotBuilder builder(*snapshot_);
    builder.Delete(ref);
    snapshot_ = std::move(builder).Build(++revision_, "epoch");
  }

  std::shared_ptr<const ReadPolicy> Policy(const std::string& id = "red") {
    return ReadPolicyOf(*snapshot_, *snapshot_->FindTenant(id));
  }

  std::vector<std::string> Clauses(const std::string& id = "red") {
    const auto policy = Policy(id);
    std::vector<std::string> printed;
    for (const Clause& clause : policy->clauses()) {
      printed.push_back(promql::PrintSelector(clause));
    }
    return printed;
  }

  bool Reads(const Labels& series) {
    return Policy()->Allows([&series](absl::string_view name) {
      const auto at = series.find(std::string(name));
      return at == series.end() ? absl::string_view() : at->second;
    });
  }

  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  int64_t revision_ = 0;
};

TEST_F(ReadPolicyTest, ATenantReadsItsOwn) {
  EXPECT_THAT(Clauses(), UnorderedElementsAre(R"({ns="red"})"));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}}));
}

TEST_F(ReadPolicyTest, ByAccessAloneATenantWithoutOneReadsNothing) {
  Tenant("red", "read_scope: READ_SCOPE_ACCESS");
  EXPECT_TRUE(Policy()->reads_nothing());
  EXPECT_THAT(Policy()->notes(), ElementsAre(HasSubstr("apply an Access")));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "red"}}));

  Access("x", "selectors: 'up' source_tenant_ids: 'red'");
  EXPECT_THAT(Clauses(), UnorderedElementsAre(R"({__name__="up",ns="red"})"));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"__name__", "down"}, {"ns", "red"}}));
}

// Table row TR4.
TEST_F(ReadPolicyTest, SelectorsAreNamesExpressionsAndSelectors) {
  Tenant("red", "read_scope: READ_SCOPE_ACCESS");
  Access("x",
         R"(selectors: 'http_requests_total' selectors: '{__name__=~"node_.*"}'
            selectors: 'up{job="a,b"}' selectors: '{job!~"x|y",env="p"}'
            source_tenant_ids: 'red')");
  EXPECT_TRUE(Reads({{"__name__", "node_load1"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"__name__", "my_node_x"}, {"ns", "red"}}));
  EXPECT_TRUE(Reads({{"__name__", "http_requests_total"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"__name__", "http_requests_total"}, {"ns", "blue"}}));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"job", "a,b"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"job", "a"}, {"ns", "red"}}));
  EXPECT_TRUE(Reads({{"env", "p"}, {"ns", "red"}}));
  EXPECT_FALSE(Reads({{"env", "p"}, {"job", "y"}, {"ns", "red"}}));
  EXPECT_THAT(
      Clauses(),
      UnorderedElementsAre(
          R"({__name__="up",job="a,b",ns="red"})",
          R"({env="p",job!~"x|y",ns="red"})",
          R"s({__name__=~"http_requests_total|(?:node_.*)",ns="red"})s"));
}

// Table row TR5.
TEST_F(ReadPolicyTest, EveryLabelSelectorMustHold) {
  Access("x",
         "selectors: '.+' source_tenant_ids: 'blue' "
         "label_selectors { key: 'namespace' value: 'team-a' } "
         "label_selectors { key: 'env' value: 'p' }");
  EXPECT_TRUE(Reads({{"__name__", "up"},
                     {"ns", "blue"},
                     {"env", "p"},
                     {"namespace", "team-a"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}, {"env", "p"}}));
  EXPECT_FALSE(
      Reads({{"__name__", "up"}, {"ns", "blue"}, {"namespace", "team-a"}}));
  EXPECT_FALSE(
      Reads({{"__name__", "up"}, {"env", "p"}, {"namespace", "team-a"}}));
}

// Table row TR6.
TEST_F(ReadPolicyTest, ObjectsAreUnitedAndDeletionNarrows) {
  Tenant("red", "read_scope: READ_SCOPE_ACCESS");
  const Labels up = {{"__name__", "up"}, {"ns", "blue"}};
  const Labels load = {{"__name__", "load"}, {"ns", "green"}};
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  Access("y", "selectors: 'load' source_tenant_ids: 'green'");
  EXPECT_TRUE(Reads(up));
  EXPECT_TRUE(Reads(load));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "green"}}));
  EXPECT_THAT(Policy()->access_ids(), ElementsAre("x", "y"));

  Delete(v1::KIND_ACCESS, "x");
  EXPECT_FALSE(Reads(up));
  EXPECT_TRUE(Reads(load));
  Delete(v1::KIND_ACCESS, "y");
  EXPECT_FALSE(Reads(load));
  EXPECT_TRUE(Policy()->reads_nothing());
  EXPECT_EQ(snapshot_->FindAccesses("red"), nullptr);
}

TEST_F(ReadPolicyTest, AnAccessMovesToAnotherTenant) {
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  EXPECT_THAT(Clauses(), SizeIs(2));
  Put("KIND_ACCESS", "x",
      "access { tenant_id: 'green' selectors: 'up' source_tenant_ids: 'blue' "
      "}");
  EXPECT_THAT(Clauses(), SizeIs(1));
  EXPECT_THAT(Clauses("green"), SizeIs(2));
}

TEST_F(ReadPolicyTest, SourcesAreOneMatcherAndQuoted) {
  Tenant(".*");
  Access("x",
         "selectors: 'up' source_tenant_ids: '.*' source_tenant_ids: 'blue'");
  EXPECT_THAT(Clauses(),
              UnorderedElementsAre(R"({ns="red"})",
                                   R"({__name__="up",ns=~"\\.\\*|blue"})"));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", ".*"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "green"}}));
}

TEST_F(ReadPolicyTest, SourcesOfSeveralLabelsKeepThemTogether) {
  Tenant("blue", "enforced_labels { key: 'zone' value: '1' }");
  Tenant("green", "enforced_labels { key: 'zone' value: '2' }");
  Access("x",
         "selectors: 'up' source_tenant_ids: 'blue' source_tenant_ids: "
         "'green'");
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "blue"}, {"zone", "1"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}, {"zone", "2"}}));
  EXPECT_THAT(Clauses(), SizeIs(3));
}

TEST_F(ReadPolicyTest, QuotingThatCouldReachOutStandsAlone) {
  Access("x",
         R"(selectors: 'a\\Q|b\\E' selectors: 'x\\Qc\\E' selectors: 'd|e'
            source_tenant_ids: 'blue')");
  EXPECT_TRUE(Reads({{"__name__", "a|b"}, {"ns", "blue"}}));
  EXPECT_FALSE(Reads({{"__name__", "b"}, {"ns", "blue"}}));
  const auto policy = Policy();
  for (const Clause& clause : policy->clauses()) {
    for (const labels::Matcher& matcher : clause) {
      if (matcher.name() != "__name__") continue;
      EXPECT_FALSE(matcher.Matches("b")) << matcher.value();
    }
  }
}

TEST_F(ReadPolicyTest, EverySourceIsTheWholeStore) {
  Access("x", "selectors: 'up' every_source: true");
  EXPECT_THAT(Clauses(),
              UnorderedElementsAre(R"({ns="red"})", R"({__name__="up"})"));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "whoever"}}));
}

TEST_F(ReadPolicyTest, SourcesThatMayNotBeReadDropOut) {
  Access("x",
         "selectors: 'up' source_tenant_ids: 'blue' source_tenant_ids: "
         "'green'");
  const Labels blue = {{"__name__", "up"}, {"ns", "blue"}};
  const Labels green = {{"__name__", "up"}, {"ns", "green"}};
  ASSERT_TRUE(Reads(blue) && Reads(green));
  for (const std::string state : {"STATE_SUSPENDED", "STATE_DELETING"}) {
    Tenant("blue", "state: " + state);
    EXPECT_FALSE(Reads(blue));
    EXPECT_TRUE(Reads(green));
    EXPECT_THAT(Policy()->notes(),
                ElementsAre(HasSubstr("source tenant blue may not be read")));
  }
  Tenant("blue", "state: STATE_READ_ONLY");
  EXPECT_TRUE(Reads(blue));
  Delete(v1::KIND_TENANT, "blue");
  EXPECT_FALSE(Reads(blue));
  EXPECT_THAT(Policy()->notes(),
              ElementsAre(HasSubstr("source tenant blue is not there")));
}

TEST_F(ReadPolicyTest, SourcesOfAnotherStoreAreNamed) {
  Tenant("blue", "", "other");
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  EXPECT_THAT(Clauses(), UnorderedElementsAre(R"({ns="red"})"));
  EXPECT_THAT(Policy()->notes(),
              ElementsAre(HasSubstr("Access/x: source tenant blue is kept at "
                                    "upstream 'other', this tenant at "
                                    "'shared', and one query can't read")));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}}));
}

TEST_F(ReadPolicyTest, AStoreThatIsolatesByHeaderIsReadAsOneTenant) {
  Put("KIND_TENANT", "red", "tenant { upstream_id: 'apart' }");
  EXPECT_TRUE(Policy()->reads_whole_store());
  EXPECT_TRUE(Reads({{"__name__", "up"}}));

  Tenant("blue", "", "apart");
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  Access("y", "selectors: 'up' every_source: true");
  EXPECT_TRUE(Policy()->reads_whole_store());
  EXPECT_THAT(Policy()->notes(), ElementsAre(HasSubstr("another org id"),
                                             HasSubstr("every_source")));

  // By access alone, its own too.
  Put("KIND_TENANT", "red",
      "tenant { upstream_id: 'apart' read_scope: READ_SCOPE_ACCESS }");
  EXPECT_TRUE(Policy()->reads_nothing());
  Access("z", "selectors: 'up' source_tenant_ids: 'red'");
  EXPECT_THAT(Clauses(), UnorderedElementsAre(R"({__name__="up"})"));

  // Tenants of one org id read each other's by their labels.
  Tenant("blue", "org_id: 'red'", "apart");
  EXPECT_THAT(Clauses(), UnorderedElementsAre(R"({__name__="up",ns="blue"})",
                                              R"({__name__="up"})"));
}

TEST_F(ReadPolicyTest, NothingIsReadWhileAnythingIsUnclear) {
  const auto reads_nothing = [this](absl::string_view note) {
    EXPECT_TRUE(Policy()->reads_nothing()) << note;
    EXPECT_THAT(Policy()->notes(), ElementsAre(HasSubstr(std::string(note))));
    EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "red"}}));
    EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}}));
  };
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  Tenant("red", "state: STATE_SUSPENDED");
  reads_nothing("change Tenant.state");
  Tenant("red", "", "");
  reads_nothing("set Tenant.upstream_id");
  Tenant("red", "", "missing");
  reads_nothing("upstream missing is not known");
  Put("KIND_TENANT", "red", "tenant { upstream_id: 'shared' }");
  reads_nothing("set Tenant.enforced_labels");
}

TEST_F(ReadPolicyTest, TooManyClausesGrantNothing) {
  std::string spec = "source_tenant_ids: 'blue' source_tenant_ids: 'green' ";
  for (int i = 0; i < 501; ++i) {
    absl::StrAppend(&spec, "selectors: '{i=\"", i, "\",j!=\"", i, "\"}' ");
  }
  Access("a", "selectors: 'up' source_tenant_ids: 'blue'");
  Tenant("green", "enforced_labels { key: 'zone' value: '2' }");
  Access("x", spec);
  EXPECT_THAT(Clauses(), SizeIs(2));
  EXPECT_THAT(Policy()->notes(), ElementsAre(HasSubstr("makes 1002 clauses")));
  EXPECT_FALSE(Reads({{"i", "1"}, {"ns", "blue"}}));
}

// Bounded, however many sources there are.
TEST_F(ReadPolicyTest, ManySourcesMakeFewClauses) {
  std::string spec = "selectors: 'up' ";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&spec, "source_tenant_ids: 't", i, "' ");
    Tenant(absl::StrCat("t", i));
  }
  Access("x", spec);
  EXPECT_THAT(Clauses(), SizeIs(2));
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "t999"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "t1000"}}));
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "t99.*"}}));
}

TEST_F(ReadPolicyTest, ValuesOfALabelAreThoseOfSomeClause) {
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  EXPECT_TRUE(Policy()->AllowsValue("ns", "blue"));
  EXPECT_TRUE(Policy()->AllowsValue("ns", "red"));
  EXPECT_FALSE(Policy()->AllowsValue("ns", "green"));
  EXPECT_TRUE(Policy()->AllowsValue("job", "any"));
}

TEST_F(ReadPolicyTest, IsMadeOnceUntilSomethingItIsMadeOfChanges) {
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  Put("KIND_ACCESS", "y",
      "access { tenant_id: 'green' selectors: 'up' source_tenant_ids: 'blue' "
      "}");
  const auto first = Policy();
  EXPECT_EQ(Policy(), first);
  // Of others.
  Tenant("green");
  Tenant("new");
  Put("KIND_ACCESS", "y",
      "access { tenant_id: 'green' selectors: 'x' source_tenant_ids: 'blue' "
      "}");
  EXPECT_EQ(Policy(), first);
  // Its own.
  Tenant("blue", "display_name: 'B'");
  const auto second = Policy();
  EXPECT_NE(second, first);
  Access("z", "selectors: 'down' source_tenant_ids: 'blue'");
  EXPECT_NE(Policy(), second);
}

TEST_F(ReadPolicyTest, OfATenantWithoutAccessIsMadeOnceUntilThatChanges) {
  const auto first = Policy();
  EXPECT_EQ(Policy(), first);
  Tenant("blue", "display_name: 'B'");
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  EXPECT_NE(Policy(), first);
  EXPECT_TRUE(Reads({{"__name__", "up"}, {"ns", "blue"}}));
  Delete(v1::KIND_ACCESS, "x");
  EXPECT_EQ(Policy(), first);
  EXPECT_FALSE(Reads({{"__name__", "up"}, {"ns", "blue"}}));

  Put("KIND_TENANT", "red", "tenant { upstream_id: 'shared' }");
  const auto before = snapshot_;
  const auto red_before = snapshot_->ShareTenant("red");
  EXPECT_TRUE(Policy()->reads_nothing());
  Put("KIND_UPSTREAM", "shared",
      "upstream { query_url: 'http://h' isolation: ISOLATION_HEADER }");
  EXPECT_EQ(snapshot_->ShareTenant("red"), red_before);
  EXPECT_TRUE(Policy()->reads_whole_store());
  // Snapshots are asked side by side, and each says what it holds.
  EXPECT_TRUE(ReadPolicyOf(*before, *red_before)->reads_nothing());
  EXPECT_TRUE(Policy()->reads_whole_store());
  Delete(v1::KIND_UPSTREAM, "shared");
  EXPECT_TRUE(Policy()->reads_nothing());

  Tenant("red", "state: STATE_SUSPENDED", "other");
  EXPECT_TRUE(Policy()->reads_nothing());
  Tenant("red", "", "other");
  EXPECT_FALSE(Policy()->reads_nothing());
}

TEST_F(ReadPolicyTest, OfATenantWithoutAccessGoesWithTheTenant) {
  const std::weak_ptr<const ReadPolicy> policy = Policy();
  EXPECT_FALSE(policy.expired());
  Tenant("red", "display_name: 'another version'");
  EXPECT_TRUE(policy.expired());
}

TEST_F(ReadPolicyTest, ManyAskAtOnceWhileTheStoreChanges) {
  Put("KIND_TENANT", "red", "tenant { upstream_id: 'shared' }");
  const auto by_label = snapshot_;
  Put("KIND_UPSTREAM", "shared",
      "upstream { query_url: 'http://h' isolation: ISOLATION_HEADER }");
  const auto by_header = snapshot_;
  std::vector<std::thread> threads;
  for (const auto& snapshot : {by_label, by_header, by_label, by_header}) {
    threads.emplace_back([snapshot, whole = snapshot == by_header] {
      for (int i = 0; i < 500; ++i) {
        EXPECT_EQ(ReadPolicyOf(*snapshot, *snapshot->FindTenant("red"))
                      ->reads_whole_store(),
                  whole);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A source made again under its id is another tenant; what was read of the
// old one is told by labels, which are those of the new one.
TEST_F(ReadPolicyTest, ASnapshotKeepsItsMeaning) {
  Access("x", "selectors: 'up' source_tenant_ids: 'blue'");
  const auto old = snapshot_;
  Delete(v1::KIND_ACCESS, "x");
  EXPECT_THAT(Clauses(), SizeIs(1));
  EXPECT_THAT(ReadPolicyOf(*old, *old->FindTenant("red"))->clauses(),
              SizeIs(2));
}

}  // namespace
}  // namespace insula::tenancy
