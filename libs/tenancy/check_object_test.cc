#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/status/status_matchers.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/url_check.h"

namespace insula::tenancy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}

const std::string kToken = "'0123456789abcdef0123456789abcdef'";  // 32 bytes

std::string TenantWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_TENANT id: 'acme' } tenant { ", spec,
                      " }");
}
std::string BindingWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_BINDING id: 'a/b' } binding { ", spec,
                      " }");
}
std::string UpstreamWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_UPSTREAM id: 'store' } upstream { ",
                      spec, " }");
}
std::string TargetWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_RULE_TARGET id: 't' } rule_target { ",
                      spec, " }");
}
std::string PolicyWith(absl::string_view spec) {
  return absl::StrCat("meta { kind: KIND_POLICY id: 'p' } policy { ", spec,
                      " }");
}
std::string JobWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_JOB id: 'j' } job { ", spec, " }");
}
std::string RuleWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_CLAIM_RULE id: 'r' } claim_rule { ",
                      spec, " }");
}
std::string AccessWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_ACCESS id: 'ns/x' } access { ", spec,
                      " }");
}
std::string LimitsWith(const std::string& spec) {
  return absl::StrCat("meta { kind: KIND_LIMITS id: 'l' } limits { ", spec,
                      " }");
}

TEST(CheckObjectTest, AcceptsSoundObjects) {
  for (const std::string& text : std::vector<std::string>{
           TenantWith(""),
           TenantWith("display_name: 'Acme \303\204' state: STATE_SUSPENDED "
                      "org_id: 'x' limits_id: 'l' upstream_id: 'ns/store' "
                      "inherits_uids: '00112233445566778899aabbccddeeff' "
                      "enforced_labels { key: 'namespace' value: '.*' } "
                      "enforced_labels { key: '_id' value: '\303\204' }"),
           "meta { kind: KIND_TENANT id: 'a' uid: '0123456789abcdef' } "
           "tenant {}",
           BindingWith("token_sha256: " + kToken +
                       " tenant_ids: 'red' tenant_ids: 'blue' roles: "
                       "ROLE_WRITE roles: ROLE_READ claim_rule_id: 'r' "
                       "not_after { seconds: 1900000000 }"),
           BindingWith("token_sha256: " + kToken +
                       " every_tenant: true roles: ROLE_WRITE"),
           BindingWith("token_sha256: " + kToken +
                       " roles: ROLE_ADMIN roles: ROLE_OPERATOR"),
           UpstreamWith("write_url: 'http://store:9090/api/v1/write' "
                        "query_url: 'https://[::1]/prometheus' isolation: "
                        "ISOLATION_LABEL timeout { seconds: 5 }"),
           TargetWith("type: TYPE_PROMETHEUS url: 'http://a:9090/p' isolation: "
                      "ISOLATION_LABEL timeout { seconds: 5 }"),
           TargetWith("type: TYPE_CORTEX url: 'http://a' isolation: "
                      "ISOLATION_HEADER tenant_header: 'X-Tenant'"),
           JobWith("tenant_id: 'acme' source_url: 'http://a/federate' matches: "
                   "'up' matches: '{job=\"x\"}' labels { key: 'a' value: 'b' }"
                   " interval { seconds: 15 } timeout { seconds: 10 }"),
           UpstreamWith("query_url: 'http://h' isolation: ISOLATION_HEADER "
                        "tenant_header: 'THANOS-TENANT'"),
           RuleWith("label: 'namespace' remove_label: true"),
           RuleWith("default_tenant_id: 'red'"),
           RuleWith("labels: 'team' labels: 'owner' remove_label: true "
                    "allowed_tenant_ids: 'a' full_replication: true "
                    "default_tenant_ids: 'b' default_tenant_ids: 'c' values { "
                    "label: 'ns' tenant_ids { key: 'x.y/\303\204' value: 'a' "
                    "} tenant_ids { key: 'z' value: '' } } selections { "
                    "selector: 'up{job=~\"a.*\"}' tenant_ids: 'd' } "
                    "selections { selector: '{__name__=\"x\"}' }"),
           UpstreamWith("write_url: 'http://a/w' more_write_urls: "
                        "'http://b/w' more_write_urls: 'https://c/w' "
                        "isolation: ISOLATION_LABEL write_protocol: "
                        "WRITE_PROTOCOL_2"),
           UpstreamWith("query_url: 'http://a' more_query_urls: 'http://b/p' "
                        "query_balance: QUERY_BALANCE_FIRST isolation: "
                        "ISOLATION_LABEL"),
           UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                        "query_store: QUERY_STORE_VICTORIA_METRICS"),
           UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                        "query_dns: true"),
           UpstreamWith("query_url: 'https://a' isolation: ISOLATION_LABEL "
                        "query_file: 'a-1.json'"),
           UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                        "query_services { namespace: 'm' label_selector: 'a=b' "
                        "port: 'http' }"),
           LimitsWith("write_requests_per_second: 0.1 write_requests_burst: 1 "
                      "write_bytes_per_second: 1e6 write_bytes_burst: 1e7 "
                      "max_series_per_write: 10000000 max_active_series: "
                      "1000000000 max_queue_bytes: 1125899906842624 "
                      "queue_full: QUEUE_FULL_DROP_OLDEST"),
           LimitsWith("max_concurrent_queries: 10000 max_queued_queries: "
                      "100000 query_rates { tenant { per_second: 5 burst: 3 } "
                      "url { per_second: 1e6 } retry_after { seconds: 30 } } "
                      "api_rates { address { per_second: 0.1 } } "
                      "max_query_range { seconds: 2764800 } max_query_steps: "
                      "11001 max_query_selectors: 10000 max_response_bytes: "
                      "1073741824 max_response_series: 10000000 "
                      "query_timeout { seconds: 3599 } max_cache_bytes: "
                      "1099511627776"),
           AccessWith("tenant_id: 'a' selectors: '{x=\"y\"}' "
                      "source_tenant_ids: 'b'"),
           AccessWith("tenant_id: 'a' selectors: 'up' selectors: 'node_.*' "
                      "selectors: 'up{job=\"a,b\"}' every_source: true"),
           LimitsWith(""),
           LimitsWith("samples_per_second: 10 samples_burst: 20 "
                      "max_label_names: 40"),
       }) {
    EXPECT_THAT(CheckObject(Parse(text)), IsOk()) << text;
  }
}

struct Bad {
  std::string object;
  std::string message;  // A part of it.
};

class BadObjectTest : public testing::TestWithParam<Bad> {};

TEST_P(BadObjectTest, IsRefusedByFieldAndCause) {
  EXPECT_THAT(CheckObject(Parse(GetParam().object)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().message)))
      << GetParam().object;
}

INSTANTIATE_TEST_SUITE_P(
    Meta, BadObjectTest,
    testing::Values(
        Bad{"", "object/: meta.kind: 0 is no kind"},
        Bad{"meta { id: 'a' } tenant {}", "object/a: meta.kind: 0"},
        Bad{"meta { kind: KIND_TENANT id: 'a|b' } tenant {}",
            "Tenant/a|b: meta.id: tenant id 'a|b' must be of"},
        Bad{"meta { kind: KIND_TENANT } tenant {}", "Tenant/: meta.id: "},
        Bad{"meta { kind: KIND_BINDING id: 'a//b' } binding {}",
            "Binding/a//b: meta.id: "},
        Bad{"meta { kind: KIND_TENANT id: 'a' uid: 'short' } tenant {}",
            "Tenant/a: meta.uid: has 5 bytes"},
        Bad{"meta { kind: KIND_TENANT id: 'a' source: 'a\\nb' } tenant {}",
            "Tenant/a: meta.source: must not have control characters"},
        Bad{"meta { kind: KIND_TENANT id: 'a' }",
            "Tenant/a: spec: must be that of a Tenant"},
        Bad{"meta { kind: KIND_TENANT id: 'a' } limits {}",
            "Tenant/a: spec: must be that of a Tenant"}));

INSTANTIATE_TEST_SUITE_P(
    Tenant, BadObjectTest,
    testing::Values(
        Bad{TenantWith("state: 17"), "Tenant/acme: spec.state: 17"},
        Bad{TenantWith("org_id: 'a|b'"), "spec.org_id: tenant id 'a|b'"},
        Bad{TenantWith("org_id: 'a\\r\\nX: y'"), "spec.org_id: "},
        Bad{TenantWith("inherits_uids: 'acme'"),
            "spec.inherits_uids[0]: 'acme' is no uid"},
        Bad{TenantWith("inherits_uids: '00112233445566778899AABBCCDDEEFF'"),
            "spec.inherits_uids[0]: "},
        Bad{TenantWith("inherits_uids: '00112233445566778899aabbccddeeff' "
                       "inherits_uids: '00112233445566778899aabbccddeeff'"),
            "spec.inherits_uids[1]: '00112233445566778899aabbccddeeff' is "
            "listed twice"},
        Bad{TenantWith("display_name: 'a\\nb'"),
            "spec.display_name: must not have control characters"},
        Bad{TenantWith("display_name: '" + std::string(257, 'x') + "'"),
            "spec.display_name: has 257 bytes"},
        Bad{TenantWith("limits_id: '..'"), "spec.limits_id: "},
        Bad{TenantWith("upstream_id: 'a b'"), "spec.upstream_id: "},
        Bad{TenantWith("enforced_labels { key: 'a-b' value: 'x' }"),
            "Tenant/acme: spec.enforced_labels[a-b]: 'a-b' is no label name"},
        Bad{TenantWith("enforced_labels { key: '1a' value: 'x' }"),
            "spec.enforced_labels[1a]: "},
        Bad{TenantWith("enforced_labels { key: '' value: 'x' }"),
            "spec.enforced_labels[]: "},
        Bad{TenantWith("enforced_labels { key: '__name__' value: 'x' }"),
            "spec.enforced_labels[__name__]: "},
        Bad{TenantWith("enforced_labels { key: 'a' value: '' }"),
            "spec.enforced_labels[a]: must have a value"},
        Bad{TenantWith("enforced_labels { key: 'a' value: '" +
                       std::string(2049, 'x') + "' }"),
            "spec.enforced_labels[a]: has a value of 2049 bytes"}));

INSTANTIATE_TEST_SUITE_P(
    Binding, BadObjectTest,
    testing::Values(
        Bad{BindingWith("roles: ROLE_READ tenant_ids: 'a'"),
            "Binding/a/b: spec.token_sha256: must be set"},
        Bad{BindingWith("token_sha256: 'x' roles: ROLE_READ tenant_ids: 'a'"),
            "spec.token_sha256: has 1 bytes"},
        Bad{BindingWith("token_sha256: " + kToken + " tenant_ids: 'a'"),
            "spec.roles: must have at least one"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " tenant_ids: 'a' roles: ROLE_UNSPECIFIED"),
            "spec.roles[0]: 0 is no role"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " tenant_ids: 'a' roles: 40"),
            "spec.roles[0]: 40 is no role"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " tenant_ids: 'a' roles: ROLE_READ roles: ROLE_READ"),
            "spec.roles[1]: ROLE_READ is listed twice"},
        Bad{BindingWith("token_sha256: " + kToken + " roles: ROLE_READ"),
            "spec.tenant_ids: must name a tenant"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_ADMIN roles: ROLE_READ"),
            "spec.tenant_ids: must name a tenant"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' every_tenant: "
                        "true"),
            "spec.tenant_ids: must be empty with every_tenant"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' tenant_ids: 'a'"),
            "spec.tenant_ids[1]: 'a' is listed twice"},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' tenant_ids: ''"),
            "spec.tenant_ids[1]: "},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' claim_rule_id: "
                        "'/'"),
            "spec.claim_rule_id: "},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' not_after { "
                        "seconds: 253402300800 }"),
            "spec.not_after: "},
        Bad{BindingWith("token_sha256: " + kToken +
                        " roles: ROLE_READ tenant_ids: 'a' not_after { nanos: "
                        "-1 }"),
            "spec.not_after: "}));

INSTANTIATE_TEST_SUITE_P(
    Upstream, BadObjectTest,
    testing::Values(
        Bad{UpstreamWith("isolation: ISOLATION_LABEL"),
            "Upstream/store: spec.write_url: must be set"},
        Bad{UpstreamWith("write_url: 'ftp://a' isolation: ISOLATION_LABEL"),
            "spec.write_url: "},
        Bad{UpstreamWith("query_url: 'http://a b' isolation: ISOLATION_LABEL"),
            "spec.query_url: "},
        Bad{UpstreamWith(
                "query_url: 'http://a/?x=y' isolation: ISOLATION_LABEL"),
            "spec.query_url: must not have a '?'"},
        Bad{UpstreamWith("query_url: 'http://a'"), "spec.isolation: "},
        Bad{UpstreamWith("query_url: 'http://a' isolation: 9"),
            "spec.isolation: "},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "tenant_header: 'X-A'"),
            "spec.tenant_header: is for ISOLATION_HEADER only"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_HEADER "
                         "tenant_header: 'X A'"),
            "spec.tenant_header: 'X A' is no HTTP header name"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_HEADER "
                         "tenant_header: 'X:\\r\\n'"),
            "spec.tenant_header: 'X:\\r\\n' is no HTTP"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_HEADER "
                         "timeout { seconds: 0 }"),
            "spec.timeout: "},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_HEADER "
                         "timeout { seconds: 3600 }"),
            "spec.timeout: "},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_HEADER "
                         "timeout { seconds: -1 nanos: 5 }"),
            "spec.timeout: "}));

constexpr absl::string_view kGoodJob =
    "tenant_id: 'acme' source_url: 'http://a/federate' ";

INSTANTIATE_TEST_SUITE_P(
    RuleTargetsAndJobs, BadObjectTest,
    ::testing::Values(
        Bad{TargetWith("url: 'http://a' isolation: ISOLATION_LABEL"),
            "spec.type: "},
        Bad{TargetWith("type: TYPE_CORTEX isolation: ISOLATION_LABEL"),
            "spec.url: "},
        Bad{TargetWith("type: TYPE_CORTEX url: 'http://a?b' isolation: "
                       "ISOLATION_LABEL"),
            "spec.url: "},
        Bad{TargetWith("type: TYPE_CORTEX url: 'http://a'"),
            "spec.isolation: "},
        Bad{TargetWith("type: TYPE_PROMETHEUS url: 'http://a' isolation: "
                       "ISOLATION_HEADER"),
            "spec.isolation: "},
        Bad{TargetWith("type: TYPE_CORTEX url: 'http://a' isolation: "
                       "ISOLATION_HEADER tenant_header: 'Host'"),
            "spec.tenant_header: "},
        Bad{TenantWith("rule_target_id: '/'"), "spec.rule_target_id: "},
        Bad{JobWith("source_url: 'http://a' matches: 'up'"),
            "spec.tenant_id: "},
        Bad{JobWith("tenant_id: 'acme' source_url: 'ftp://a' matches: 'x'"),
            "spec.source_url: "},
        Bad{JobWith("tenant_id: 'acme' source_url: 'http://a?match[]=x' "
                    "matches: 'x'"),
            "spec.source_url: "},
        Bad{JobWith(std::string(kGoodJob)), "spec.matches: "},
        Bad{JobWith(absl::StrCat(kGoodJob, "matches: ''")),
            "spec.matches[0]: "},
        Bad{JobWith(absl::StrCat(kGoodJob, "matches: '",
                                 std::string(17 << 10, 'x'), "'")),
            "spec.matches[0]: "},
        Bad{JobWith(absl::StrCat(kGoodJob,
                                 "matches: 'x' labels { key: '__name__' }")),
            "spec.labels[__name__]: "},
        Bad{JobWith(absl::StrCat(kGoodJob,
                                 "matches: 'x' interval { nanos: 999999999 }")),
            "spec.interval: "},
        Bad{JobWith(absl::StrCat(kGoodJob,
                                 "matches: 'x' timeout { seconds: 3600 }")),
            "spec.timeout: "}));

INSTANTIATE_TEST_SUITE_P(
    Policies, BadObjectTest,
    testing::Values(
        Bad{PolicyWith(""), "Policy/p: spec.namespaces: must name"},
        Bad{PolicyWith("namespaces: 'Team'"), "spec.namespaces[0]: 'Team' is"},
        Bad{PolicyWith("namespaces: 'a' namespaces: 'a'"),
            "spec.namespaces[1]: 'a' is listed twice"},
        Bad{PolicyWith("namespaces: '" + std::string(64, 'a') + "'"),
            "spec.namespaces[0]: "},
        Bad{PolicyWith("namespaces: 'a' tenant_id: 'a|b'"), "spec.tenant_id: "},
        Bad{PolicyWith("namespaces: 'a' tenant_ids: '.'"),
            "spec.tenant_ids[0]: "},
        Bad{PolicyWith("namespaces: 'a' tenant_ids: 'b' every_tenant: true"),
            "spec.tenant_ids: must be empty"},
        Bad{PolicyWith(
                "namespaces: 'a' source_tenant_ids: 'b' every_source: true"),
            "spec.source_tenant_ids: must be empty"},
        Bad{PolicyWith("namespaces: 'a' target_namespaces: '*'"),
            "spec.target_namespaces[0]: '*' is no"},
        Bad{PolicyWith("namespaces: 'a' target_urls: 'ftp://x'"),
            "spec.target_urls[0]: "},
        Bad{PolicyWith("namespaces: 'a' upstream_id: '/'"),
            "spec.upstream_id: "},
        Bad{PolicyWith("namespaces: 'a' rule_target_id: '/'"),
            "spec.rule_target_id: "},
        Bad{PolicyWith("namespaces: 'a' limits_id: '/'"), "spec.limits_id: "},
        Bad{PolicyWith("namespaces: 'a' enforced_label: '__name__'"),
            "spec.enforced_label: "}));

INSTANTIATE_TEST_SUITE_P(
    Others, BadObjectTest,
    testing::Values(
        Bad{RuleWith(""), "ClaimRule/r: spec.label: must be set"},
        Bad{RuleWith("label: 'a-b'"), "spec.label: 'a-b' is no label name"},
        Bad{RuleWith("label: '__name__'"), "spec.label: "},
        Bad{RuleWith("default_tenant_id: '..'"), "spec.default_tenant_id: "},
        Bad{RuleWith("default_tenant_id: 'a' remove_label: true"),
            "spec.remove_label: needs spec.label"},
        Bad{RuleWith("label: 'a' labels: 'a'"),
            "spec.labels[0]: 'a' is looked at twice"},
        Bad{RuleWith("label: 'a' labels: 'b-c'"), "spec.labels[0]: 'b-c' is"},
        Bad{RuleWith("default_tenant_id: 'a' allowed_tenant_ids: 'b'"),
            "spec.allowed_tenant_ids: needs spec.label"},
        Bad{RuleWith("label: 'a' allowed_tenant_ids: 'b' allowed_tenant_ids: "
                     "'b'"),
            "spec.allowed_tenant_ids[1]: 'b' is listed twice"},
        Bad{RuleWith("default_tenant_ids: '..'"),
            "spec.default_tenant_ids[0]: "},
        Bad{RuleWith("default_tenant_id: 'a' default_tenant_ids: 'a'"),
            "spec.default_tenant_ids: 'a' is spec.default_tenant_id already"},
        Bad{RuleWith("label: 'a' full_replication: true"),
            "spec.full_replication: needs spec.default_tenant_id"},
        Bad{RuleWith("values { label: 'ns' }"),
            "spec.values[0].tenant_ids: must have a value"},
        Bad{RuleWith("values { tenant_ids { key: 'x' value: 'a' } }"),
            "spec.values[0].label: '' is no label name"},
        Bad{RuleWith("label: 'ns' values { label: 'ns' tenant_ids { key: 'x' "
                     "value: 'a' } }"),
            "spec.values[0].label: 'ns' is looked at twice"},
        Bad{RuleWith("values { label: 'ns' tenant_ids { key: '' value: 'a' } "
                     "}"),
            "spec.values[0].tenant_ids[]: must be a value of 1 to 2048"},
        Bad{RuleWith("values { label: 'ns' tenant_ids { key: 'x' value: 'a|b' "
                     "} }"),
            "spec.values[0].tenant_ids[x]: tenant id 'a|b'"},
        Bad{RuleWith("selections { tenant_ids: 'a' }"),
            "spec.selections[0].selector: must be a series selector"},
        Bad{RuleWith("selections { selector: '{a=\"b' tenant_ids: 'a' }"),
            "spec.selections[0].selector: "},
        Bad{RuleWith("selections { selector: '{a!=\"b\"}' tenant_ids: 'a' }"),
            "selects series whatever they are"},
        Bad{RuleWith("selections { selector: 'up' tenant_ids: '.' }"),
            "spec.selections[0].tenant_ids[0]: "},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_write_urls: 'http://b'"),
            "spec.more_write_urls: needs spec.write_url"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "write_protocol: WRITE_PROTOCOL_1"),
            "spec.write_protocol: needs spec.write_url"},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_write_urls: 'http://a'"),
            "spec.more_write_urls[0]: 'http://a' is there twice"},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_write_urls: 'ftp://b'"),
            "spec.more_write_urls[0]: "},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "write_protocol: 7"),
            "spec.write_protocol: 7 is not known"},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_query_urls: 'http://b'"),
            "spec.more_query_urls: needs spec.query_url"},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_dns: true"),
            "spec.query_url: must be set for queries"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_query_urls: 'http://a'"),
            "spec.more_query_urls[0]: 'http://a' is there twice"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "more_query_urls: 'http://b?c=d'"),
            "spec.more_query_urls[0]: must not have a '?'"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_dns: true query_file: 'x'"),
            "spec.query_dns: only one of"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_dns: true more_query_urls: 'http://b'"),
            "spec.more_query_urls: must be empty"},
        Bad{UpstreamWith("query_url: 'https://a' isolation: ISOLATION_LABEL "
                         "query_dns: true"),
            "spec.query_dns: needs an http:// URL"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_file: '../../etc/x'"),
            "spec.query_file: '../../etc/x' must be a name"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_services {}"),
            "spec.query_services.namespace: must be set"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_balance: 9"),
            "spec.query_balance: 9 is not known"},
        Bad{UpstreamWith("query_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_store: 9"),
            "spec.query_store: 9 is not known"},
        Bad{UpstreamWith("write_url: 'http://a' isolation: ISOLATION_LABEL "
                         "query_store: QUERY_STORE_VICTORIA_METRICS"),
            "spec.query_url: must be set for queries"},
        Bad{LimitsWith("max_cache_bytes: 1099511627777"),
            "spec.max_cache_bytes: "},
        Bad{LimitsWith("write_requests_burst: 1"),
            "spec.write_requests_burst: needs spec.write_requests_per_second"},
        Bad{LimitsWith("write_requests_per_second: 1 write_requests_burst: "
                       "0.5"),
            "spec.write_requests_burst: must be at least 1"},
        Bad{LimitsWith("write_bytes_per_second: nan"),
            "spec.write_bytes_per_second: "},
        Bad{LimitsWith("write_bytes_burst: 1"),
            "spec.write_bytes_burst: needs spec.write_bytes_per_second"},
        Bad{LimitsWith("max_series_per_write: 10000001"),
            "spec.max_series_per_write: is 10000001, may be at most"},
        Bad{LimitsWith("max_active_series: 1000000001"),
            "spec.max_active_series: "},
        Bad{LimitsWith("max_queue_bytes: 1125899906842625"),
            "spec.max_queue_bytes: "},
        Bad{LimitsWith("queue_full: 9"), "spec.queue_full: 9 is not known"},
        Bad{LimitsWith("max_concurrent_queries: 10001"),
            "spec.max_concurrent_queries: is 10001, may be at most 10000"},
        Bad{LimitsWith("max_queued_queries: 100001"),
            "spec.max_queued_queries: "},
        Bad{LimitsWith("query_rates { tenant { per_second: nan } }"),
            "spec.query_rates.tenant.per_second: must be a number"},
        Bad{LimitsWith("query_rates { url { per_second: -1 } }"),
            "spec.query_rates.url.per_second: "},
        Bad{LimitsWith("api_rates { address { burst: 1 } }"),
            "spec.api_rates.address.burst: needs per_second"},
        Bad{LimitsWith("api_rates { tenant { per_second: 1 burst: 1000001 } }"),
            "spec.api_rates.tenant.burst: is 1000001"},
        Bad{LimitsWith("query_rates { retry_after { nanos: 1 } }"),
            "spec.query_rates.retry_after: must be at least 1s"},
        Bad{LimitsWith("max_query_range { seconds: -1 }"),
            "spec.max_query_range: must be at least 1s"},
        Bad{LimitsWith("max_query_steps: 11002"), "spec.max_query_steps: "},
        Bad{LimitsWith("max_query_selectors: 10001"),
            "spec.max_query_selectors: "},
        Bad{LimitsWith("max_response_bytes: 1073741825"),
            "spec.max_response_bytes: "},
        Bad{LimitsWith("max_response_series: 10000001"),
            "spec.max_response_series: "},
        Bad{LimitsWith("query_timeout {}"), "spec.query_timeout: "},
        Bad{AccessWith("selectors: 'x' source_tenant_ids: 'b'"),
            "Access/ns/x: spec.tenant_id: "},
        Bad{AccessWith("tenant_id: 'a' source_tenant_ids: 'b'"),
            "spec.selectors: must have 1 to"},
        Bad{AccessWith("tenant_id: 'a' selectors: '' source_tenant_ids: 'b'"),
            "spec.selectors[0]: "},
        Bad{AccessWith("tenant_id: 'a' selectors: '" + std::string(65537, 'x') +
                       "' source_tenant_ids: 'b'"),
            "spec.selectors[0]: "},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x' selectors: '" +
                       std::string(65536, 'x') + "' source_tenant_ids: 'b'"),
            "spec.selectors[1]: "},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x' selectors: 'a)|(.*' "
                       "source_tenant_ids: 'b'"),
            "spec.selectors[1]: error parsing regexp"},
        Bad{AccessWith("tenant_id: 'a' selectors: '{x!=\"y\"}' "
                       "source_tenant_ids: 'b'"),
            "spec.selectors[0]: '{x!=\\\"y\\\"}' selects series whatever"},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x'"),
            "spec.source_tenant_ids: must name"},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x' source_tenant_ids: 'b' "
                       "every_source: true"),
            "spec.source_tenant_ids: must name"},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x' every_source: true "
                       "label_selectors { key: 'a-b' value: 'c' }"),
            "spec.label_selectors[a-b]: "},
        Bad{TenantWith("read_scope: 9"), "spec.read_scope: 9 is no scope"},
        Bad{AccessWith("tenant_id: 'a' selectors: 'x' source_tenant_ids: '.'"),
            "spec.source_tenant_ids[0]: "},
        Bad{LimitsWith("max_label_names: 1001"),
            "Limits/l: spec.max_label_names: is 1001, may be at most 1000"},
        Bad{LimitsWith("max_label_name_bytes: 4000000000"),
            "spec.max_label_name_bytes: "},
        Bad{LimitsWith("max_label_value_bytes: 4000000000"),
            "spec.max_label_value_bytes: "},
        Bad{LimitsWith("max_query_bytes: 4000000000"),
            "spec.max_query_bytes: "},
        Bad{LimitsWith("samples_per_second: -1"), "spec.samples_per_second: "},
        Bad{LimitsWith("samples_per_second: nan"), "spec.samples_per_second: "},
        Bad{LimitsWith("samples_per_second: inf"), "spec.samples_per_second: "},
        Bad{LimitsWith("samples_per_second: 1 samples_burst: -1"),
            "spec.samples_burst: "},
        Bad{LimitsWith("samples_burst: 1"),
            "spec.samples_burst: needs spec.samples_per_second"}));

TEST(CheckObjectTest, RefusesTextThatIsNotUtf8) {
  v1::Object object = Parse(TenantWith(""));
  (*object.mutable_tenant()->mutable_enforced_labels())["a"] = "\xff";
  EXPECT_THAT(CheckObject(object),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must have a value of valid UTF-8")));
}

TEST(CheckObjectTest, RefusesHeadersThatMeanSomethingInHttp) {
  for (const char* name :
       {"Host", "hOST", "Authorization", "Content-Type", "Content-Length",
        "CONTENT-ENCODING", "Connection", "Transfer-Encoding", "TE", "Cookie",
        "Proxy-Authorization", "X-Forwarded-For", "Accept-Encoding"}) {
    EXPECT_THAT(CheckObject(Parse(UpstreamWith(absl::StrCat(
                    "query_url: 'http://a' isolation: ISOLATION_HEADER "
                    "tenant_header: '",
                    name, "'")))),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("has a meaning of its own in HTTP")))
        << name;
  }
}

TEST(CheckObjectTest, BoundsTheValuesOfAClaimRule) {
  v1::Object object = Parse(RuleWith(""));
  for (const char* label : {"a", "b"}) {
    auto* const values = object.mutable_claim_rule()->add_values();
    values->set_label(label);
    for (int i = 0; i < 5'000; ++i) {
      (*values->mutable_tenant_ids())[absl::StrCat("v", i)] = "t";
    }
  }
  EXPECT_THAT(CheckObject(object), IsOk());
  (*object.mutable_claim_rule()->mutable_values(1)->mutable_tenant_ids())["x"] =
      "t";
  EXPECT_THAT(CheckObject(object),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.values[1].tenant_ids: all values "
                                 "together may be 10000")));
}

TEST(CheckObjectTest, BoundsWhatTheSelectionsOfAClaimRuleCost) {
  const auto with = [](int count, const auto& selector) {
    v1::Object object = Parse(RuleWith(""));
    for (int i = 0; i < count; ++i) {
      auto* const selection = object.mutable_claim_rule()->add_selections();
      selection->set_selector(selector(i));
      selection->add_tenant_ids("t");
    }
    return CheckObject(object);
  };
  const auto name = [](int i) { return absl::StrCat("m", i); };
  EXPECT_THAT(with(100, name), IsOk());
  EXPECT_THAT(with(101, name),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.selections: has 101 entries")));
  EXPECT_THAT(
      with(17, [](int i) { return absl::StrCat("{l", i, "=\"x\"}"); }),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("spec.selections[16].selector: all of them may name "
                         "at most 16 different labels")));
  EXPECT_THAT(
      with(100,
           [](int i) { return absl::StrCat("{l=~\"(a.*b){50}", i, "\"}"); }),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("].selector: ")));
}

TEST(CheckObjectTest, BoundsTheTenantsOfABinding) {
  v1::Object object =
      Parse(BindingWith("token_sha256: " + kToken + " roles: ROLE_READ"));
  for (int i = 0; i < 4097; ++i) {
    object.mutable_binding()->add_tenant_ids(absl::StrCat("t", i));
  }
  EXPECT_THAT(CheckObject(object),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.tenant_ids: has 4097 entries")));
}

TEST(CheckObjectTest, ShowsHostileIdsEscapedAndCut) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_LIMITS);
  object.mutable_meta()->set_id("a\n" + std::string(5000, 'x'));
  const absl::Status status = CheckObject(object);
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("Limits/a\\nxxx"), HasSubstr("..."),
                    testing::Not(HasSubstr("\n"))));
  EXPECT_LT(status.message().size(), 400U);
}

TEST(KindTest, HasANameBothWays) {
  for (const v1::Kind kind :
       {v1::KIND_TENANT, v1::KIND_BINDING, v1::KIND_ACCESS, v1::KIND_UPSTREAM,
        v1::KIND_CLAIM_RULE, v1::KIND_LIMITS}) {
    EXPECT_EQ(ParseKind(KindName(kind)), kind);
  }
  EXPECT_EQ(KindName(v1::KIND_CLAIM_RULE), "ClaimRule");
  EXPECT_EQ(KindName(v1::KIND_UNSPECIFIED), "");
  EXPECT_EQ(KindName(static_cast<v1::Kind>(1000)), "");
  EXPECT_EQ(ParseKind("tenant"), v1::KIND_UNSPECIFIED);
  EXPECT_EQ(ParseKind(""), v1::KIND_UNSPECIFIED);
}

TEST(CheckObjectTest, InstancesAreChecked) {
  const auto with = [](const std::string& spec) {
    return Parse(absl::StrCat(
        "meta { kind: KIND_INSTANCE id: 'ingest-gateway/a' } instance { ", spec,
        " }"));
  };
  const std::string started = " started_at { seconds: 1790000000 }";
  for (const std::string& spec : std::vector<std::string>{
           "service: 'ingest-gateway'" + started,
           "service: 'g' address: '10.0.0.1:9702' zone: 'rack 7'" + started,
           "service: 'g' address: '[::1]:9702'" + started}) {
    EXPECT_THAT(CheckObject(with(spec)), IsOk()) << spec;
  }
  for (const auto& [spec, what] :
       std::vector<std::pair<std::string, std::string>>{
           {started, "spec.service"},
           {"service: 'A'" + started, "spec.service"},
           {"service: '" + std::string(64, 'g') + "'" + started,
            "spec.service"},
           {"service: 'g' address: 'nowhere'" + started, "spec.address"},
           {"service: 'g' address: 'a\\nb:1'" + started, "spec.address"},
           {"service: 'g' zone: '" + std::string(257, 'z') + "'" + started,
            "spec.zone"},
           {"service: 'g'", "spec.started_at"},
           {"service: 'g' started_at { seconds: 1 nanos: -1 }",
            "spec.started_at"}}) {
    EXPECT_THAT(CheckObject(with(spec)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("Instance/ingest-gateway/a: " + what)))
        << spec;
  }
}

TEST(UrlCheckTest, AcceptsUrlsOfServers) {
  for (const char* url :
       {"http://a", "https://a/", "http://a.b:1/c", "http://127.0.0.1:65535",
        "http://[::1]:9090/x/y?z=1", "http://my_store:80/%2F", "http://a?x"}) {
    EXPECT_THAT(CheckUrl(url), IsOk()) << url;
  }
}

TEST(UrlCheckTest, RefusesOthers) {
  for (const std::string& url : {std::string(""),
                                 std::string("a"),
                                 std::string("//a"),
                                 std::string("HTTP://a"),
                                 std::string("http:/a"),
                                 std::string("http://"),
                                 std::string("http:///x"),
                                 std::string("http://:80"),
                                 std::string("http://u:p@a/"),
                                 std::string("http://a@b"),
                                 std::string("http://a:"),
                                 std::string("http://a:0"),
                                 std::string("http://a:65536"),
                                 std::string("http://a:+8"),
                                 std::string("http://a:8x"),
                                 std::string("http://[::1"),
                                 std::string("http://[]"),
                                 std::string("http://[x]"),
                                 std::string("http://[::1]x"),
                                 std::string("http://a b"),
                                 std::string("http://a\n"),
                                 std::string("http://a/\r\nX: y"),
                                 std::string("http://a/\0", 10),
                                 std::string("http://a/#f"),
                                 std::string("http://a/%"),
                                 std::string("http://a/%zz"),
                                 std::string("http://a/../b"),
                                 std::string("http://a/./b"),
                                 std::string("http://a/b/.."),
                                 std::string("http://\xc3\xa4/"),
                                 std::string("file:///etc/passwd"),
                                 std::string("http://a\\b"),
                                 "http://a/" + std::string(3000, 'x'),
                                 "http://" + std::string(300, 'x')}) {
    EXPECT_THAT(CheckUrl(url), StatusIs(absl::StatusCode::kInvalidArgument))
        << url;
  }
}

}  // namespace
}  // namespace insula::tenancy
