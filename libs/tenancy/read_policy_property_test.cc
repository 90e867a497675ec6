// Random registries against an oracle that reads the objects as their
// documentation says, one series at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/promql/printer.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/read_policy.h"

namespace insula::tenancy {
namespace {

using Labels = std::map<std::string, std::string>;

// Label values: some are expressions, and must not be read as such.
constexpr std::array<const char*, 6> kValues = {"a",   "b",  ".*",
                                                "a|b", "\"", "a,b"};
constexpr std::array<const char*, 4> kNames = {"up", "up2", "down", "x_up"};
constexpr std::array<const char*, 3> kLabels = {"ns", "zone", "job"};
// Branches are literals, or end in `.*` or `.+`; nothing else is special.
constexpr std::array<const char*, 6> kNameRegexes = {
    "up.*", "up|down", "up.+|x_.*", ".+", "d.*|up2|nothing", "o.*"};
constexpr std::array<const char*, 5> kValueRegexes = {"a|b", "a.*", ".+", ".*",
                                                      "b|"};

bool RegexMatches(absl::string_view regex, absl::string_view value) {
  for (absl::string_view branch : absl::StrSplit(regex, '|')) {
    const bool star = absl::ConsumeSuffix(&branch, ".*");
    const bool plus = !star && absl::ConsumeSuffix(&branch, ".+");
    absl::string_view rest = value;
    if (star || plus
            ? absl::ConsumePrefix(&rest, branch) && (star || !rest.empty())
            : value == branch) {
      return true;
    }
  }
  return false;
}

struct Condition {
  std::string label;
  std::string op;
  std::string value;

  bool Holds(const Labels& series) const {
    const auto at = series.find(label);
    const std::string actual = at == series.end() ? "" : at->second;
    if (op == "=") return actual == value;
    if (op == "!=") return actual != value;
    return RegexMatches(value, actual) == (op == "=~");
  }
  bool MatchesEmpty() const { return Holds({}); }
};

// A selector as text and as what it means.
struct Selector {
  std::string text;
  std::vector<Condition> conditions;
};

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  // Adds, changes or removes an object.
  void Step() {
    SnapshotBuilder builder(*snapshot_);
    if (Below(3) == 0) {
      StepTenant(&builder);
    } else {
      StepAccess(&builder);
    }
    snapshot_ = std::move(builder).Build(++revision_, "epoch");
  }

  void Begin() {
    SnapshotBuilder builder(*snapshot_);
    for (const auto* id : {"label", "label2", "header"}) {
      v1::Object object;
      object.mutable_meta()->set_kind(v1::KIND_UPSTREAM);
      object.mutable_meta()->set_id(id);
      object.mutable_upstream()->set_query_url("http://h");
      object.mutable_upstream()->set_isolation(
          id[0] == 'h' ? v1::Upstream::ISOLATION_HEADER
                       : v1::Upstream::ISOLATION_LABEL);
      ASSERT_THAT(builder.Put(object), IsOk());
    }
    for (int i = 0; i < 8; ++i) StepTenant(&builder);
    snapshot_ = std::move(builder).Build(++revision_, "epoch");
  }

  void Check() {
    std::vector<Labels> all;
    for (int i = 0; i < 60; ++i) all.push_back(RandomSeries());
    for (const auto& [id, tenant] : tenants_) {
      const auto policy = ReadPolicyOf(*snapshot_, *snapshot_->FindTenant(id));
      for (const Labels& series : all) CheckSeries(id, *policy, series);
    }
  }

  int allowed = 0;
  int refused = 0;

 private:
  size_t Below(size_t n) { return random_() % n; }
  template <typename Array>
  std::string Pick(const Array& array) {
    return std::string(array[Below(array.size())]);
  }

  Labels RandomSeries() {
    Labels series;
    if (Below(8) != 0) series["__name__"] = Pick(kNames);
    for (const char* label : kLabels) {
      if (Below(3) != 0) series[label] = Pick(kValues);
    }
    return series;
  }

  Selector RandomSelector() {
    while (true) {
      Selector selector;
      const size_t form = Below(3);
      if (form == 0) {
        selector.text = Pick(kNames);
        selector.conditions.push_back({"__name__", "=", selector.text});
      } else if (form == 1) {
        selector.text = Pick(kNameRegexes);
        selector.conditions.push_back({"__name__", "=~", selector.text});
      } else {
        std::vector<labels::Matcher> matchers;
        for (size_t i = 1 + Below(3); i > 0; --i)
          matchers.push_back(Any(&selector));
        selector.text = promql::PrintSelector(matchers);
      }
      const bool excludes = std::any_of(
          selector.conditions.begin(), selector.conditions.end(),
          [](const Condition& condition) { return !condition.MatchesEmpty(); });
      // CheckObject() refuses the others.
      if (excludes) return selector;
      EXPECT_FALSE(ParseAccessSelector(selector.text).ok()) << selector.text;
    }
  }

  labels::Matcher Any(Selector* selector) {
    constexpr std::array<labels::MatchType, 4> kTypes = {
        labels::MatchType::kEqual, labels::MatchType::kNotEqual,
        labels::MatchType::kRegex, labels::MatchType::kNotRegex};
    const size_t type = Below(4);
    Condition condition;
    condition.label = Below(3) == 0 ? "__name__" : Pick(kLabels);
    condition.op = std::string(labels::MatchOperator(kTypes[type]));
    const bool name = condition.label == "__name__";
    if (type < 2) {
      condition.value = name ? Pick(kNames) : Pick(kValues);
    } else {
      condition.value = name ? Pick(kNameRegexes) : Pick(kValueRegexes);
    }
    selector->conditions.push_back(condition);
    auto matcher =
        labels::Matcher::Create(kTypes[type], condition.label, condition.value);
    EXPECT_TRUE(matcher.ok());
    return *std::move(matcher);
  }

  void StepTenant(SnapshotBuilder* builder) {
    const std::string id = absl::StrCat("t", Below(8));
    if (tenants_.count(id) != 0 && Below(6) == 0) {
      v1::ObjectRef ref;
      ref.set_kind(v1::KIND_TENANT);
      ref.set_id(id);
      builder->Delete(ref);
      tenants_.erase(id);
      return;
    }
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(id);
    v1::Tenant& tenant = *object.mutable_tenant();
    if (Below(6) == 0) tenant.set_state(v1::Tenant::STATE_SUSPENDED);
    if (Below(2) == 0) tenant.set_read_scope(v1::Tenant::READ_SCOPE_ACCESS);
    if (Below(3) == 0) tenant.set_org_id("shared");
    tenant.set_upstream_id(
        Pick(std::array<const char*, 4>{"label", "label", "label2", "header"}));
    for (const char* label : {"ns", "zone"}) {
      if (Below(3) != 0) {
        (*tenant.mutable_enforced_labels())[label] = Pick(kValues);
      }
    }
    ASSERT_THAT(builder->Put(object), IsOk());
    tenants_[id] = tenant;
  }

  void StepAccess(SnapshotBuilder* builder) {
    const std::string id = absl::StrCat("a", Below(12));
    if (accesses_.count(id) != 0 && Below(3) == 0) {
      v1::ObjectRef ref;
      ref.set_kind(v1::KIND_ACCESS);
      ref.set_id(id);
      builder->Delete(ref);
      accesses_.erase(id);
      return;
    }
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_ACCESS);
    object.mutable_meta()->set_id(id);
    v1::Access& access = *object.mutable_access();
    access.set_tenant_id(absl::StrCat("t", Below(8)));
    std::vector<Selector> selectors;
    for (size_t i = 1 + Below(4); i > 0; --i) {
      selectors.push_back(RandomSelector());
      access.add_selectors(selectors.back().text);
    }
    if (Below(6) == 0) {
      access.set_every_source(true);
    } else {
      for (size_t i = 0; i < 8; ++i) {
        if (Below(3) == 0) access.add_source_tenant_ids(absl::StrCat("t", i));
      }
      if (access.source_tenant_ids().empty())
        access.add_source_tenant_ids("t0");
    }
    if (Below(4) == 0) {
      (*access.mutable_label_selectors())["job"] = Pick(kValues);
    }
    ASSERT_THAT(builder->Put(object), IsOk());
    accesses_[id] = {access, selectors};
  }

  template <typename Map>
  static bool HasAll(const Labels& series, const Map& labels) {
    return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      const auto at = series.find(label.first);
      return at != series.end() && at->second == label.second;
    });
  }

  // The documentation, in the order of its sentences.
  bool Oracle(const std::string& id, const Labels& series) {
    const v1::Tenant& tenant = tenants_.at(id);
    if (tenant.state() == v1::Tenant::STATE_SUSPENDED) return false;
    const bool header = tenant.upstream_id() == "header";
    if (!header && tenant.enforced_labels().empty()) return false;
    if (tenant.read_scope() != v1::Tenant::READ_SCOPE_ACCESS &&
        HasAll(series, tenant.enforced_labels())) {
      return true;
    }
    for (const auto& [_, entry] : accesses_) {
      const v1::Access& access = entry.first;
      if (access.tenant_id() != id) continue;
      bool of_source = access.every_source() && !header;
      for (const std::string& source_id : access.source_tenant_ids()) {
        const auto source = tenants_.find(source_id);
        if (source == tenants_.end()) continue;
        const v1::Tenant& spec = source->second;
        const auto org = [](const auto& tenant_id, const v1::Tenant& of) {
          return of.org_id().empty() ? tenant_id : of.org_id();
        };
        if (spec.state() == v1::Tenant::STATE_SUSPENDED ||
            spec.upstream_id() != tenant.upstream_id() ||
            (header && org(source_id, spec) != org(id, tenant)) ||
            (!header && spec.enforced_labels().empty())) {
          continue;
        }
        of_source = of_source || HasAll(series, spec.enforced_labels());
      }
      if (!of_source || !HasAll(series, access.label_selectors())) continue;
      for (const Selector& selector : entry.second) {
        if (std::all_of(selector.conditions.begin(), selector.conditions.end(),
                        [&](const Condition& c) { return c.Holds(series); })) {
          return true;
        }
      }
    }
    return false;
  }

  void CheckSeries(const std::string& id, const ReadPolicy& policy,
                   const Labels& series) {
    const auto label = [&series](absl::string_view name) {
      const auto at = series.find(std::string(name));
      return at == series.end() ? absl::string_view() : at->second;
    };
    const bool expected = Oracle(id, series);
    ++(expected ? allowed : refused);
    ASSERT_EQ(policy.Allows(label), expected)
        << id << " " << testing::PrintToString(series);
    const bool by_clauses = std::any_of(
        policy.clauses().begin(), policy.clauses().end(), [&](const Clause& c) {
          return std::all_of(c.begin(), c.end(), [&](const auto& matcher) {
            return matcher.Matches(label(matcher.name()));
          });
        });
    ASSERT_EQ(by_clauses, expected)
        << id << " " << testing::PrintToString(series);
    for (const auto& [name, value] : series) {
      ASSERT_TRUE(!expected || policy.AllowsValue(name, value)) << name;
    }
    for (const Clause& clause : policy.clauses()) {
      ASSERT_TRUE(policy.reads_whole_store() ||
                  std::any_of(clause.begin(), clause.end(),
                              [](const auto& m) { return !m.MatchesEmpty(); }));
    }
  }

  std::mt19937 random_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  int64_t revision_ = 0;
  std::map<std::string, v1::Tenant> tenants_;
  std::map<std::string, std::pair<v1::Access, std::vector<Selector>>> accesses_;
};

TEST(ReadPolicyPropertyTest, AgreesWithTheObjectsReadOneByOne) {
  int allowed = 0;
  int refused = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.Begin();
    for (int step = 0; step < 40; ++step) {
      world.Step();
      world.Check();
      if (testing::Test::HasFatalFailure()) return;
    }
    allowed += world.allowed;
    refused += world.refused;
  }
  // Neither verdict is rare.
  EXPECT_GT(allowed, 10000);
  EXPECT_GT(refused, 10000);
}

}  // namespace
}  // namespace insula::tenancy
