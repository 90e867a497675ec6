#include "libs/runtime/health.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/runtime/ports_file.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::runtime {
namespace {

namespace asio = boost::asio;

// Of an answer; the pages that are asked for have a line for each dependency.
constexpr size_t kMaxAnswer = 64 << 10;

// Of an answer that is shown.
constexpr size_t kMaxShown = 1000;

// Where the admin server listens, with a port.
absl::StatusOr<std::string> BoundAddress(const ProcessConfig& config) {
  const std::string& address = config.admin_listen_address;
  const size_t colon = address.rfind(':');
  const absl::string_view port = absl::string_view(address).substr(colon + 1);
  if (port.find_first_not_of('0') != port.npos) return address;
  if (config.ports_file.empty()) {
    return absl::InvalidArgumentError(
        "admin.listen_address: has port 0 and there is no ports_file to find "
        "the service by; set either");
  }
  return ReadPortsFile(config.ports_file, "admin");
}

// Where to reach what listens on `address`, in the order to try.
std::vector<std::string> ReachableAddresses(const std::string& address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = absl::string_view(address).substr(0, colon);
  const absl::string_view port = absl::string_view(address).substr(colon);
  absl::ConsumePrefix(&host, "[");
  absl::ConsumeSuffix(&host, "]");
  boost::system::error_code not_numeric;
  const auto numeric = asio::ip::make_address(std::string(host), not_numeric);
  if (not_numeric || !numeric.is_unspecified()) return {address};
  if (numeric.is_v4()) return {absl::StrCat("127.0.0.1", port)};
  // A container may listen on [::] and yet have no ::1.
  return {absl::StrCat("[::1]", port), absl::StrCat("127.0.0.1", port)};
}

// The answer's text on one line of printable characters.
std::string OneLine(absl::string_view body) {
  body = absl::StripSuffix(body.substr(0, kMaxShown), "\n");
  return absl::Utf8SafeCEscape(absl::StrReplaceAll(body, {{"\n", "; "}}));
}

absl::StatusOr<http::Response> Get(const http::Url& url, absl::Time deadline) {
  http::ClientOptions options;
  options.name = "health";
  options.max_response_bytes = kMaxAnswer;
  metrics::Registry metrics;
  asio::io_context context;
  http::Client client(options, context.get_executor(), &metrics);
  http::ClientRequest request;
  request.url = url;
  absl::StatusOr<http::Response> response = absl::InternalError("not asked");
  asio::co_spawn(
      context, client.Send(std::move(request), deadline),
      [&](std::exception_ptr error, absl::StatusOr<http::Response> answer) {
        if (error == nullptr) response = std::move(answer);
        context.stop();
      });
  context.run();
  return response;
}

// OK, UNAVAILABLE if nothing answered, FAILED_PRECONDITION if the answer is not
// 200.
absl::Status Ask(const std::string& address, absl::string_view path,
                 absl::Time deadline) {
  ASSIGN_OR_RETURN(const http::Url url,
                   http::Url::Parse(absl::StrCat("http://", address, path)));
  const absl::StatusOr<http::Response> response = Get(url, deadline);
  if (!response.ok()) {
    // It names the address too.
    const std::string peer = absl::StrCat("http://", url.HostPort(), ": ");
    return absl::UnavailableError(
        absl::StrCat(url.ToString(), ": ",
                     absl::StripPrefix(response.status().message(), peer)));
  }
  if (response->status == 200) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      url.ToString(), ": ", response->status, " ", OneLine(response->body)));
}

}  // namespace

absl::Status AskHealth(const ProcessConfig& config, absl::string_view path,
                       absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  ASSIGN_OR_RETURN(const std::string address, BoundAddress(config));
  std::vector<std::string> failures;
  for (const std::string& each : ReachableAddresses(address)) {
    const absl::Status status = Ask(each, path, deadline);
    if (!absl::IsUnavailable(status)) return status;
    failures.emplace_back(status.message());
  }
  return absl::UnavailableError(absl::StrJoin(failures, "; "));
}

}  // namespace insula::runtime
