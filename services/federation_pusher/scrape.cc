#include "services/federation_pusher/scrape.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;

// Whether `content_type` is that of the text format, version 0.0.4. Parameters
// that say nothing about the syntax are ignored.
bool IsText004(absl::string_view content_type) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(content_type, ';');
  if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]),
                              "text/plain")) {
    return false;
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parameter =
        absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parameter.first);
    absl::string_view value = absl::StripAsciiWhitespace(parameter.second);
    if (absl::ConsumePrefix(&value, "\"")) absl::ConsumeSuffix(&value, "\"");
    if (absl::EqualsIgnoreCase(name, "version") && value != "0.0.4") {
      return false;
    }
    if (absl::EqualsIgnoreCase(name, "charset") &&
        !absl::EqualsIgnoreCase(value, "utf-8")) {
      return false;
    }
  }
  return true;
}

// What it means that no answer came.
absl::Status NoAnswer(const absl::Status& status) {
  if (absl::IsDeadlineExceeded(status)) {
    return Failure(Result::kSourceTimeout,
                   absl::StrCat("the source gave ", status.message(),
                                ": give the job more time (spec.timeout), or "
                                "ask for less (spec.matches)"));
  }
  if (absl::IsResourceExhausted(status)) {
    return Failure(Result::kSourceTooLarge,
                   absl::StrCat("the source's ", status.message(),
                                ": ask for less (spec.matches), or raise "
                                "scrape.max_body"));
  }
  if (absl::IsCancelled(status)) {
    return Failure(Result::kInterrupted, status.message());
  }
  if (absl::IsPermissionDenied(status)) {
    return Failure(Result::kSourceAddress,
                   absl::StrCat("the source was not asked: ", status.message(),
                                ", scrape.refused_networks"));
  }
  if (absl::StrContains(status.message(), "incomplete answer")) {
    return Failure(
        Result::kSourceTruncated,
        absl::StrCat("the source's answer was cut off: ", status.message(),
                     "; look at the source and what is before it"));
  }
  return Failure(Result::kSourceUnreachable,
                 absl::StrCat("the source did not answer: ", status.message(),
                              "; is spec.source_url right, and does it run?"));
}

}  // namespace

http::ClientOptions SourceClientOptions(const ScrapeConfig& config) {
  http::ClientOptions options;
  options.name = "source";
  options.max_response_bytes = config.max_body.value;
  // Validate() has parsed them.
  options.refused_networks =
      http::Networks::Parse(config.refused_networks).value();
  if (!config.ca_file.empty()) {
    options.tls.emplace().ca_file = config.ca_file;
  }
  return options;
}

absl::StatusOr<http::Url> ScrapeUrl(const registry::v1::Job& job) {
  ASSIGN_OR_RETURN(const http::Url url, http::Url::Parse(job.source_url()));
  http::Params params;
  for (const std::string& match : job.matches()) {
    params.emplace_back("match[]", match);
  }
  return url.Join("", http::EncodeForm(params));
}

absl::Status CheckScrapeAnswer(const http::Response& answer) {
  if (answer.status >= 300 && answer.status < 400) {
    return Failure(
        Result::kSourceStatus,
        absl::StrCat("the source answered ", answer.status,
                     ", and redirects are not followed: set spec.source_url to "
                     "where it leads, ",
                     Shown(answer.headers.Get("Location").value_or(""))));
  }
  if (answer.status != 200) {
    return Failure(
        Result::kSourceStatus,
        absl::StrCat("the source answered ", answer.status, " ",
                     Shown(answer.body),
                     "; are spec.source_url and spec.matches right?"));
  }
  if (const auto coding = answer.headers.Get("Content-Encoding")) {
    return Failure(Result::kSourceContentType,
                   absl::StrCat("the source answered in Content-Encoding ",
                                Shown(*coding), ", let it use gzip or none"));
  }
  const auto type = answer.headers.Get("Content-Type");
  if (!type || answer.headers.Count("Content-Type") != 1 || !IsText004(*type)) {
    return Failure(
        Result::kSourceContentType,
        absl::StrCat("the source answered with Content-Type ",
                     Shown(type.value_or("")),
                     " instead of text/plain; version=0.0.4: does "
                     "spec.source_url end in the path of the metrics, such as "
                     "/federate?"));
  }
  return absl::OkStatus();
}

Scraper::Scraper(std::string user_agent, http::Client* client)
    : user_agent_(std::move(user_agent)), client_(client) {}

asio::awaitable<absl::StatusOr<std::string>> Scraper::Scrape(
    const registry::v1::Job* job, absl::Time deadline) const {
  absl::StatusOr<http::Url> url = ScrapeUrl(*job);
  if (!url.ok()) {
    co_return Failure(
        Result::kSourceUnreachable,
        absl::StrCat("spec.source_url: ", url.status().message()));
  }
  http::ClientRequest request;
  request.url = *std::move(url);
  request.headers = {
      {"Accept", "text/plain;version=0.0.4"},
      {"User-Agent", user_agent_},
      {"X-Prometheus-Scrape-Timeout-Seconds",
       absl::StrCat(absl::ToDoubleSeconds(deadline - absl::Now()))}};
  absl::StatusOr<http::Response> answer =
      co_await client_->Send(std::move(request), deadline);
  if (!answer.ok()) co_return NoAnswer(answer.status());
  CO_RETURN_IF_ERROR(CheckScrapeAnswer(*answer));
  co_return std::move(answer->body);
}

}  // namespace insula::federation_pusher
