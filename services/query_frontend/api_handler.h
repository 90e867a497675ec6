// Prometheus' HTTP API for tenants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/auth/authenticator.h"
#include "libs/edge/handler.h"
#include "libs/http/message.h"
#include "libs/tenancy/snapshot.h"
#include "libs/time/clock.h"
#include "services/query_frontend/admission.h"
#include "services/query_frontend/answering.h"
#include "services/query_frontend/inquiry.h"
#include "services/query_frontend/metrics.h"
#include "services/query_frontend/operator_pages.h"
#include "services/query_frontend/pools.h"
#include "services/query_frontend/request_book.h"
#include "services/query_frontend/route.h"

namespace insula::query_frontend {

// Answers requests: finds route, caller and tenant, reads the parameters,
// confines them by the tenant's policy and asks the tenant's store. Every
// answer is JSON in Prometheus' envelope; refusals in our own words begin with
// "insula:". Thread-safe.
class ApiHandler : public edge::Handler {
 public:
  using SnapshotSource =
      std::function<std::shared_ptr<const tenancy::Snapshot>()>;

  // All but `snapshots` outlive the handler.
  ApiHandler(SnapshotSource snapshots, const Clock* clock, Pools* pools,
             Admission* admission, Answering* answering, RequestBook* book,
             const OperatorPages* pages, Metrics* metrics);

  // The refusal, if any, of a request whose body has not been read yet: its
  // path, its method or its credential is no good. A GET is left to Handle, and
  // so is a credential that a verifier must be asked about.
  std::optional<http::Response> Admit(const http::Request& request,
                                      const auth::Authenticator* auth) override;

  boost::asio::awaitable<http::Response> Handle(
      http::Request request, const auth::Authenticator* auth) override;

  // The answer to a request of `tenant_id` whose caller was proven elsewhere to
  // act for it: what Handle() makes of it once it knows the tenant.
  boost::asio::awaitable<http::Response> HandleFor(std::string tenant_id,
                                                   http::Request request);

 private:
  // An answer to be, with the counter of its reason if it is a refusal.
  struct Refusal {
    int http_status;
    std::string error;
    metrics::Counter* reason;
  };

  std::optional<Refusal> CheckRoute(const Route& route,
                                    absl::string_view method);
  // What can be said of the callers without waiting; nothing if a third party
  // must be asked about one of them.
  std::optional<absl::StatusOr<std::vector<auth::Caller>>> TryCallers(
      const std::vector<Inquiry>& inquiries, const auth::Authenticator& auth);
  // What has to wait for that.
  boost::asio::awaitable<http::Response> AnswerUnknown(
      const Route* route, const http::Request* request,
      std::vector<Inquiry> inquiries, const auth::Authenticator* auth,
      RequestFacts* facts);
  // One for each inquiry.
  boost::asio::awaitable<absl::StatusOr<std::vector<auth::Caller>>> FindCallers(
      const std::vector<Inquiry>* inquiries, const auth::Authenticator* auth);
  // Refuses callers of no one tenant, and says whose words these are.
  static absl::StatusOr<auth::Caller> CheckCaller(
      absl::StatusOr<auth::Caller> caller, const Inquiry& inquiry,
      const auth::Authenticator& auth);
  http::Response RefuseCaller(const absl::Status& why);
  http::Response OwnAnswer(Endpoint endpoint);
  // What these point to outlives the call.
  boost::asio::awaitable<http::Response> AnswerCallers(
      const Route* route, const http::Request* request,
      std::vector<auth::Caller> callers, RequestFacts* facts);
  boost::asio::awaitable<http::Response> AnswerOperator(
      Endpoint endpoint, const http::Request* request,
      const auth::Authenticator* auth, RequestFacts* facts);
  boost::asio::awaitable<http::Response> Dispatch(
      const Route* route, const http::Request* request,
      const auth::Authenticator* auth, RequestFacts* facts);
  http::Response Refuse(const Refusal& refusal);
  http::Response Refuse(const absl::Status& why, metrics::Counter* reason);

  const SnapshotSource snapshots_;
  const Clock& clock_;
  Pools& pools_;
  Admission& admission_;
  Answering& answering_;
  RequestBook& book_;
  const OperatorPages& pages_;
  Metrics& metrics_;
};

}  // namespace insula::query_frontend
