// The verifiers that the settings of a listener ask for.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/auth/listener_auth.h"
#include "libs/auth/verifier.h"
#include "libs/http/proxy.h"
#include "libs/metrics/metrics.h"
#include "libs/time/clock.h"

namespace insula::auth {

// By the credentials that they take. Null: such a credential is refused.
struct Methods {
  std::shared_ptr<Verifier> bearer;
  std::shared_ptr<Verifier> basic;
  std::shared_ptr<Verifier> token;  // X-Auth-Token.
  // For bindings that need a SubjectAccessReview.
  std::shared_ptr<AccessReviewer> reviewer;
};

// What verifiers are made of. All outlive them, and what they have under way.
struct MethodContext {
  boost::asio::any_io_executor executor;
  // Runs work that may block, on a thread that may wait:
  // runtime::BlockingPool::Run.
  std::function<boost::asio::awaitable<absl::Status>(
      std::function<absl::Status()>)>
      run_blocking;
  const Clock* clock = nullptr;
  const Clock* steady = nullptr;  // Never jumps.
  metrics::Registry* metrics = nullptr;
  // Of what verifiers ask.
  http::ProxyRules proxy;
};

// The verifiers of `config`, which is valid. Blocks: reads files. Errors name
// the key of `config`. Verifiers of the same method count together.
absl::StatusOr<Methods> MakeMethods(const ListenerAuth& config,
                                    const MethodContext& context);

}  // namespace insula::auth
