#include "tests/ingest_faults/gateway_under_test.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "libs/metrics/exposed_value.h"
#include "tests/e2e/harness/http.h"

namespace insula::ingest_faults {
namespace {

constexpr absl::string_view kResources = R"(
kind: Upstream
id: store
spec: {write_url: "$0", isolation: ISOLATION_HEADER}
---
kind: Tenant
id: red
spec: {upstream_id: store}
---
kind: Tenant
id: blue
spec: {upstream_id: store}
---
kind: ClaimRule
id: by-namespace
spec: {label: namespace}
---
kind: Binding
id: sender
spec:
  token_sha256: $1
  tenant_ids: [red, blue]
  roles: [ROLE_WRITE]
  claim_rule_id: by-namespace
)";

}  // namespace

GatewayUnderTest::GatewayUnderTest() {
  constellation.dir().Write(
      "tenants.yaml",
      absl::Substitute(
          kResources, store.url(),
          absl::BytesToHexString(e2e::TokenHash(e2e::Constellation::kSender))));
  SetQueue("spill");
  constellation.StartRegistry();
}

void GatewayUnderTest::SetQueue(absl::string_view mode,
                                absl::string_view more) {
  constellation.gateway_config = absl::StrCat(
      "queue: {dir: ", constellation.dir().path(), "/queue, mode: ", mode,
      ", direct_timeout: 300ms, min_free: 1MiB", more, "}");
}

double GatewayUnderTest::Metric(absl::string_view name) const {
  const e2e::HttpAnswer answer =
      e2e::HttpSend(constellation.gateway_admin_port(), "GET", "/metrics");
  return metrics::ExposedValue(answer.body, name).value_or(-1);
}

}  // namespace insula::ingest_faults
