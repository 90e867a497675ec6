#include "libs/resources/resource_printer.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "libs/resources/resource_file.h"
#include "libs/status/status_matchers.h"

namespace insula::resources {
namespace {

using testing::Eq;
using testing::IsEmpty;
using testing::SizeIs;

// Both forms of an object, read again, are that object.
void ExpectReadsBack(const v1::Object& object) {
  for (const std::string& text : {ToYaml(object), ToJson(object)}) {
    SCOPED_TRACE(text);
    const auto file = ParseResourceFile(text, "t.yaml");
    ASSERT_THAT(file, IsOk());
    EXPECT_THAT(file->errors, IsEmpty());
    ASSERT_THAT(file->resources, SizeIs(1));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
        file->resources[0].object, object))
        << file->resources[0].object.DebugString();
  }
}

v1::Object Make(v1::Kind kind, absl::string_view id) {
  v1::Object object;
  object.mutable_meta()->set_kind(kind);
  object.mutable_meta()->set_id(std::string(id));
  return object;
}

v1::Object Binding() {
  v1::Object object = Make(v1::KIND_BINDING, "team/red");
  v1::Binding* binding = object.mutable_binding();
  binding->set_token_sha256(std::string(32, '\xab'));
  binding->add_tenant_ids("red");
  binding->add_tenant_ids("007");
  binding->add_roles(v1::ROLE_READ);
  binding->mutable_not_after()->set_seconds(1'896'091'200);
  binding->mutable_not_after()->set_nanos(500'000'000);
  return object;
}

TEST(ResourcePrinterTest, PrintsResourcesForPeople) {
  std::string token;
  for (int i = 0; i < 32; ++i) token += "ab";
  EXPECT_THAT(
      ToYaml(Binding()),
      Eq("kind: Binding\nid: team/red\nspec:\n  token_sha256: " + token +
         "\n  tenant_ids:\n    - red\n    - \"007\"\n"
         "  roles:\n    - READ\n"
         "  not_after: \"2030-01-31T12:00:00.5Z\"\n"));
  v1::Object tenant = Make(v1::KIND_TENANT, "red");
  tenant.mutable_tenant();
  EXPECT_THAT(ToYaml(tenant), Eq("kind: Tenant\nid: red\nspec: {}\n"));
  (*tenant.mutable_tenant()->mutable_enforced_labels())["b"] = "no";
  (*tenant.mutable_tenant()->mutable_enforced_labels())["a"] = "yes, \"so\"";
  tenant.mutable_tenant()->set_state(v1::Tenant::STATE_READ_ONLY);
  EXPECT_THAT(ToJson(tenant), Eq(R"({"kind": "Tenant", "id": "red", "spec": {)"
                                 R"("state": "READ_ONLY", "enforced_labels": )"
                                 R"({"a": "yes, \"so\"", "b": "no"}}})"));
}

TEST(ResourcePrinterTest, EveryFactReadsBack) {
  v1::Object object = Binding();
  v1::Binding* const binding = object.mutable_binding();
  binding->set_api_key_sha256(std::string(32, '\xcd'));
  ExpectReadsBack(object);
  v1::JwtFact* const jwt = binding->mutable_jwt();
  jwt->set_issuer("https://id.example");
  jwt->set_claim("realm_access.roles");
  jwt->set_value("007");
  (*jwt->mutable_required_claims())["https://id.example/org"] = "yes";
  ExpectReadsBack(object);
  binding->mutable_keystone()->set_auth_url("https://keystone:5000/v3");
  binding->mutable_keystone()->set_project_id("1e3");
  ExpectReadsBack(object);
  v1::KubernetesFact* const kubernetes = binding->mutable_kubernetes();
  kubernetes->set_user("system:serviceaccount:a:b");
  kubernetes->mutable_access()->set_verb("get");
  kubernetes->mutable_access()->set_resource("namespace");
  ExpectReadsBack(object);
  binding->mutable_certificate()->set_uri("spiffe://example.org/a");
  ExpectReadsBack(object);
  binding->mutable_basic()->set_user("ann");
  ExpectReadsBack(object);
  binding->mutable_header()->set_header("X-Tenant-Namespace");
  binding->mutable_header()->set_value("web");
  ExpectReadsBack(object);
}

TEST(ResourcePrinterTest, EveryKindReadsBack) {
  ExpectReadsBack(Binding());

  v1::Object tenant = Make(v1::KIND_TENANT, "0");
  tenant.mutable_tenant()->set_display_name(
      "a: b # c, \"d\" 'e' \\ [f] {g} - \xE2\x80\xAE \xF0\x9F\x98\x80 ~");
  tenant.mutable_tenant()->set_org_id("1.50");
  tenant.mutable_tenant()->set_state(v1::Tenant::STATE_SUSPENDED);
  auto* labels = tenant.mutable_tenant()->mutable_enforced_labels();
  (*labels)["on"] = "null";
  (*labels)["a"] = "line\nfeed\ttab\x7f";
  ExpectReadsBack(tenant);

  v1::Object upstream = Make(v1::KIND_UPSTREAM, "store");
  upstream.mutable_upstream()->set_write_url("http://[::1]:9090/w?a=b");
  upstream.mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_HEADER);
  upstream.mutable_upstream()->mutable_timeout()->set_seconds(90);
  upstream.mutable_upstream()->mutable_timeout()->set_nanos(7);
  ExpectReadsBack(upstream);

  v1::Object limits = Make(v1::KIND_LIMITS, "small");
  limits.mutable_limits()->set_max_label_names(7);
  limits.mutable_limits()->set_samples_per_second(0.1);
  limits.mutable_limits()->set_samples_burst(1e11 / 3);
  ExpectReadsBack(limits);

  v1::Object access = Make(v1::KIND_ACCESS, "a");
  access.mutable_access()->set_tenant_id("red");
  access.mutable_access()->add_selectors("{job=\"a\",code=~\"5..\"}");
  access.mutable_access()->add_selectors("up");
  access.mutable_access()->set_every_source(true);
  ExpectReadsBack(access);

  v1::Object rule = Make(v1::KIND_CLAIM_RULE, "by-namespace");
  rule.mutable_claim_rule()->set_label("namespace");
  rule.mutable_claim_rule()->set_remove_label(true);
  ExpectReadsBack(rule);

  v1::Object job = Make(v1::KIND_JOB, "slice");
  job.mutable_job()->set_tenant_id("red");
  job.mutable_job()->set_source_url("http://127.0.0.1:9090/federate");
  job.mutable_job()->add_matches("{__name__=~\"job:.*\"}");
  job.mutable_job()->mutable_interval()->set_seconds(15);
  ExpectReadsBack(job);

  v1::Object target = Make(v1::KIND_RULE_TARGET, "ruler");
  target.mutable_rule_target()->set_type(v1::RuleTarget::TYPE_CORTEX);
  target.mutable_rule_target()->set_url("http://127.0.0.1:9009");
  target.mutable_rule_target()->set_isolation(v1::Upstream::ISOLATION_HEADER);
  ExpectReadsBack(target);

  v1::Object policy = Make(v1::KIND_POLICY, "all");
  policy.mutable_policy()->add_namespaces("*");
  policy.mutable_policy()->set_every_tenant(true);
  policy.mutable_policy()->set_enforced_label("namespace");
  ExpectReadsBack(policy);
}

TEST(ResourcePrinterTest, NothingReachesTheTerminalButText) {
  EXPECT_THAT(
      Printable("a\x1b[31mb\r\n\xC2\x9B \xE2\x80\xAE \x80 \"\\ \xC3\xA9"),
      Eq("a\\u001b[31mb\\u000d\\u000a\\u009b \\u202e \\x80 \"\\ "
         "\xC3\xA9"));
  EXPECT_THAT(Quote("a\x1b\"\\\x80"), Eq(R"("a\u001b\"\\\ufffd")"));
}

}  // namespace
}  // namespace insula::resources
