// A gateway of two tenants whose store can be made to fail.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/ingest_faults/moody_store.h"

namespace insula::ingest_faults {

// The registry runs; StartGateway() of the constellation comes next. Tenants
// `red` and `blue` are told apart by their label `namespace`, and in the store
// by X-Scope-OrgID; Constellation::kSender may write for both.
struct GatewayUnderTest {
  GatewayUnderTest();

  // Of the queue, as the gateway's configuration. `more`: ", key: value".
  void SetQueue(absl::string_view mode, absl::string_view more = "");

  // A sample of its /metrics, by its name with labels. -1: it is not there.
  double Metric(absl::string_view name) const;

  MoodyStore store;
  e2e::Constellation constellation;
};

}  // namespace insula::ingest_faults
