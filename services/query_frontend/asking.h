// Asks stores when it is a tenant's turn.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/query_frontend/admission.h"
#include "services/query_frontend/backend.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/policy.h"
#include "services/query_frontend/upstream_query.h"

namespace insula::query_frontend {

// Thread-safe.
class Asking {
 public:
  // Both outlive it.
  Asking(Admission* admission, Backend* backend)
      : admission_(*admission), backend_(*backend) {}

  // Errors are those of Admission::Enter() and Backend::Ask(). The rest of an
  // answer, if it has one, keeps the place till it is destroyed. The caller
  // runs on a strand.
  boost::asio::awaitable<absl::StatusOr<Answer>> Ask(UpstreamQuery query,
                                                     SharedPolicy policy,
                                                     absl::Time deadline);

 private:
  Admission& admission_;
  Backend& backend_;
};

}  // namespace insula::query_frontend
