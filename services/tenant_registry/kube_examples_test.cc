// The objects of tests/kube/examples, which the Kubernetes API server takes or
// refuses there by the CRDs: what reading them says without any CRD.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/tenant_registry/kube_plan.h"

namespace insula::tenant_registry {
namespace {

using nlohmann::json;
using Kind = KubeDeclaration::Kind;
using ::testing::StartsWith;

// As kubectl makes it of YAML: plain scalars have a type, quoted ones are text.
json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    json map = json::object();
    for (const auto& entry : node) {
      map[entry.first.Scalar()] = ToJson(entry.second);
    }
    return map;
  }
  if (node.IsSequence()) {
    json list = json::array();
    for (const YAML::Node& element : node) list.push_back(ToJson(element));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& text = node.Scalar();
  int64_t number = 0;
  if (node.Tag() == "?") {
    if (text == "true" || text == "false") return text == "true";
    if (absl::SimpleAtoi(text, &number)) return number;
  }
  return text == "TENANT_151" ? std::string(151, 'a') : text;
}

std::string Path(absl::string_view name) {
  return absl::StrCat(TESTDATA_DIR, "/", name);
}

Kind KindOf(const std::string& name) {
  for (const Kind kind : {Kind::kMetricAccess, Kind::kOpenMetricsRule,
                          Kind::kMetricsIngestionTenant}) {
    if (name == KubeKindName(kind)) return kind;
  }
  ADD_FAILURE() << name;
  std::abort();
}

KubeDeclaration Read(const std::string& kind, json object) {
  json& meta = object["metadata"];
  if (!meta.contains("namespace")) meta["namespace"] = "red";
  if (!meta.contains("name")) meta["name"] = "x";
  return ReadKubeObject(KindOf(kind), object);
}

TEST(KubeExamplesTest, AreAllAcceptedWhereAPolicyAllowsThem) {
  std::deque<KubeDeclaration> read;
  for (const absl::string_view name :
       {"metric-access.yaml", "open-metrics-rule.yaml",
        "metrics-ingestion-tenant.yaml"}) {
    for (const YAML::Node& document : YAML::LoadAllFromFile(Path(name))) {
      json object = ToJson(document);
      read.push_back(Read(object["kind"], object));
      EXPECT_THAT(read.back().problem, IsOk()) << object.dump();
    }
  }
  ASSERT_EQ(read.size(), 7);
  std::vector<const KubeDeclaration*> declarations;
  for (const KubeDeclaration& d : read) declarations.push_back(&d);
  v1::Policy policy;
  policy.add_namespaces("team-shop");
  policy.set_every_tenant(true);
  policy.add_target_urls("https://metrics.example.com/api/");

  const KubePlan plan = PlanKubeObjects(declarations, {&policy});

  for (const KubeVerdict& verdict : plan.verdicts) {
    EXPECT_TRUE(verdict.accepted) << verdict.conditions[0].message;
  }
  // team-shop, warehouse, warehouse-2, (old)'s!, .* and four Accesses.
  EXPECT_EQ(plan.objects.size(), 9);

  // And without one: what names other tenants or URLs is not.
  const KubePlan without = PlanKubeObjects(declarations, {});
  EXPECT_EQ(std::count_if(without.verdicts.begin(), without.verdicts.end(),
                          [](const KubeVerdict& v) { return v.accepted; }),
            3);
}

TEST(KubeExamplesTest, WhatTheCrdsRefuseIsRefusedWithoutThemToo) {
  const YAML::Node cases = YAML::LoadFile(Path("refused.yaml"));
  int checked = 0;
  for (const YAML::Node& entry : cases) {
    const json c = ToJson(entry);
    std::string field = c["field"];
    if (c.contains("registry")) field = c["registry"];
    if (field.empty())
      continue;  // Of the groups of rules, which rule-sync reads.
    ++checked;
    const KubeDeclaration read = Read(c["kind"], {{"spec", c["spec"]}});
    EXPECT_THAT(std::string(read.problem.message()), StartsWith(field))
        << c.dump();
  }
  EXPECT_GT(checked, 60);
}

}  // namespace
}  // namespace insula::tenant_registry
