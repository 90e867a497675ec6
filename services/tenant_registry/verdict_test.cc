// What is said of resource files without a registry is what an empty registry
// says of their objects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/resource_file.h"
#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::Gt;
using testing::IsEmpty;
using testing::SizeIs;

class VerdictTest : public RegistryTest {
 protected:
  void SetUp() override { Start(); }

  // Fails if the verdicts differ. Returns whether the objects are valid.
  bool Compare(const std::vector<resources::Resource>& resources) {
    const std::vector<std::string> errors = resources::CheckTogether(
        resources, [](const ObjectKey& /*key*/) { return nullptr; });
    std::vector<v1::Operation> operations;
    for (const auto& resource : resources) {
      operations.push_back(Put(resource.object));
    }
    const auto answer = Apply(operations, "", /*validate_only=*/true);
    EXPECT_EQ(answer.ok(), errors.empty())
        << "offline: " << absl::StrJoin(errors, "\n")
        << "\nregistry: " << answer.status();
    // The registry tells of one, and in the same words, but for an object that
    // is there twice, of which only files can say where. Of two bindings of one
    // token, files name the second.
    if (!answer.ok() && !absl::IsInvalidArgument(answer.status())) {
      absl::string_view words = answer.status().message();
      constexpr absl::string_view kSame = "has the same token";
      if (absl::StrContains(words, kSame)) words = kSame;
      EXPECT_TRUE(std::any_of(errors.begin(), errors.end(),
                              [&](const std::string& error) {
                                return absl::StrContains(error, words);
                              }))
          << "offline: " << absl::StrJoin(errors, "\n")
          << "\nregistry: " << answer.status();
    }
    return errors.empty();
  }
};

struct Case {
  const char* name;
  bool valid;
  const char* yaml;
};

constexpr char kToken[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

TEST_F(VerdictTest, OfGoodAndBadFiles) {
  const std::string binding = absl::StrCat(
      "{roles: [READ], tenant_ids: [red], token_sha256: ", kToken, "}\n");
  const std::string red = "kind: Tenant\nid: red\nspec: {}\n---\n";
  const std::vector<Case> cases = {
      {"a tenant", true, "kind: Tenant\nid: red\nspec: {}\n"},
      {"a store that is not there", false,
       "kind: Tenant\nid: red\nspec: {upstream_id: store}\n"},
      {"a store that comes later", true,
       "kind: Tenant\nid: red\nspec: {upstream_id: store}\n---\n"
       "kind: Upstream\nid: store\nspec: {isolation: HEADER, write_url: "
       "\"http://a/w\"}\n"},
      {"a shared store and no labels", false,
       "kind: Tenant\nid: red\nspec: {upstream_id: store}\n---\n"
       "kind: Upstream\nid: store\nspec: {isolation: LABEL, write_url: "
       "\"http://a/w\"}\n"},
      {"a shared store and labels", true,
       "kind: Tenant\nid: red\nspec: {upstream_id: store, enforced_labels: {a: "
       "b}}\n---\n"
       "kind: Upstream\nid: store\nspec: {isolation: LABEL, write_url: "
       "\"http://a/w\"}\n"},
      {"limits that are not there", false,
       "kind: Tenant\nid: red\nspec: {limits_id: small}\n"},
      {"a ruler that is not there", false,
       "kind: Tenant\nid: red\nspec: {rule_target_id: ruler}\n"},
      {"a tenant to be deleted", false,
       "kind: Tenant\nid: red\nspec: {state: DELETING}\n"},
      {"a claim rule's default", false,
       "kind: ClaimRule\nid: rule\nspec: {label: a, default_tenant_id: red}\n"},
      {"a job of nobody", false,
       "kind: Job\nid: job\nspec: {tenant_id: red, source_url: "
       "\"http://a/federate\", matches: [\"{a=\\\"b\\\"}\"]}\n"},
      {"a grant from nobody", false,
       "kind: Tenant\nid: red\nspec: {}\n---\n"
       "kind: Access\nid: a\nspec: {tenant_id: red, selectors: [up], "
       "source_tenant_ids: [blue]}\n"},
      {"a policy without its store", false,
       "kind: Policy\nid: p\nspec: {namespaces: [a], upstream_id: store}\n"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto file = resources::ParseResourceFile(one.yaml, "t.yaml");
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->errors, IsEmpty());
    EXPECT_EQ(Compare(file->resources), one.valid);
  }
  for (const auto& [text, valid] : std::vector<std::pair<std::string, bool>>{
           {absl::StrCat(red, "kind: Binding\nid: a\nspec: ", binding), true},
           {absl::StrCat("kind: Binding\nid: a\nspec: ", binding), false},
           {absl::StrCat(red, "kind: Binding\nid: a\nspec: ", binding,
                         "---\nkind: Binding\nid: b\nspec: ", binding),
            false}}) {
    const auto file = resources::ParseResourceFile(text, "t.yaml");
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ(Compare(file->resources), valid) << text;
  }
}

// A few objects with ids, tokens and references out of a few.
class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}

  std::vector<resources::Resource> Objects() {
    std::vector<resources::Resource> objects;
    const int count = 1 + Roll(12);
    for (int i = 0; i < count; ++i) {
      objects.push_back({Object(), absl::StrCat("t.yaml:", i)});
    }
    return objects;
  }

 private:
  int Roll(int sides) {
    return std::uniform_int_distribution<int>(0, sides - 1)(random_);
  }
  std::string Id(int unset) {
    if (Roll(4) < unset) return "";
    return Roll(2) == 0 ? "one" : "two";
  }

  v1::Object Object() {
    switch (Roll(6)) {
      case 0:
        return UpstreamObject(Id(0), Roll(2) == 0
                                         ? v1::Upstream::ISOLATION_LABEL
                                         : v1::Upstream::ISOLATION_HEADER);
      case 1: {
        v1::Object limits;
        limits.mutable_meta()->set_kind(v1::KIND_LIMITS);
        limits.mutable_meta()->set_id(Id(0));
        limits.mutable_limits();
        return limits;
      }
      case 2:
        return BindingObject(Id(0) + Id(2), Roll(2) == 0 ? 'a' : 'b', {Id(0)});
      default: {
        v1::Object tenant = TenantObject(Id(0), Id(3));
        tenant.mutable_tenant()->set_limits_id(Id(3));
        if (Roll(3) > 0) {
          (*tenant.mutable_tenant()->mutable_enforced_labels())["a"] = "b";
        }
        if (Roll(20) == 0) {
          tenant.mutable_tenant()->set_state(v1::Tenant::STATE_DELETING);
        }
        return tenant;
      }
    }
  }

  std::mt19937 random_;
};

TEST_F(VerdictTest, OfObjectsAtRandom) {
  int valid = 0;
  int invalid = 0;
  for (uint32_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    (Compare(Dice(seed).Objects()) ? valid : invalid) += 1;
    if (HasFailure()) return;
  }
  EXPECT_THAT(valid, Gt(50));
  EXPECT_THAT(invalid, Gt(50));
}

}  // namespace
}  // namespace insula::tenant_registry
