#include "services/ingest_gateway/store_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/block.h"
#include "libs/remote_write/v2_encode.h"
#include "libs/status/status_macros.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using registry::v1::Upstream;

// Far above what a part can be.
constexpr size_t kMaxDecodedBytes = 1 << 30;

// Thanos compares these to the letter.
constexpr absl::string_view kContentType1 = "application/x-protobuf";
constexpr absl::string_view kContentType2 =
    "application/x-protobuf;proto=io.prometheus.write.v2.Request";

void SetProtocol(absl::string_view content_type, absl::string_view version,
                 http::ClientRequest* request) {
  request->headers.Set("Content-Type", content_type);
  request->headers.Set("X-Prometheus-Remote-Write-Version", version);
}

absl::StatusOr<std::string> ToV2(absl::string_view block) {
  remote_write::Arena decoded;
  remote_write::Arena scratch;
  ASSIGN_OR_RETURN(const absl::string_view body,
                   remote_write::Decompress(block, kMaxDecodedBytes, &decoded));
  ASSIGN_OR_RETURN(const std::string request, remote_write::EncodeV2(body));
  return remote_write::Compress(request, &scratch);
}

}  // namespace

std::optional<remote_write::Counts> ParseWritten(
    const http::Response& response, const remote_write::Counts& sent) {
  bool any = false;
  const auto read = [&](absl::string_view what, int64_t most) {
    const auto text = response.headers.Get(
        absl::StrCat("X-Prometheus-Remote-Write-", what, "-Written"));
    int64_t count = 0;
    if (!text || !absl::SimpleAtoi(*text, &count) || count < 0) {
      return int64_t{0};
    }
    any = true;
    return std::min(count, most);
  };
  const int64_t samples = read("Samples", sent.samples - sent.histograms);
  remote_write::Counts written;
  written.histograms = read("Histograms", sent.histograms);
  written.samples = samples + written.histograms;
  written.exemplars = read("Exemplars", sent.exemplars);
  if (!any) return std::nullopt;
  return written;
}

StoreClient::StoreClient(Options options, http::Client* client,
                         const Clock* clock, Metrics* metrics)
    : options_(std::move(options)),
      client_(client),
      clock_(clock),
      metrics_(metrics) {}

asio::awaitable<StoreClient::Answer> StoreClient::Send(
    http::ClientRequest request, Upstream::WriteProtocol protocol,
    remote_write::Counts sent, absl::Time deadline) {
  request.method = "POST";
  request.headers.Set("Content-Encoding", "snappy");
  request.headers.Set("User-Agent", options_.user_agent);
  if (protocol == Upstream::WRITE_PROTOCOL_2) {
    const std::string url = request.url.ToString();
    auto body = absl::StatusOr<std::string>(absl::UnavailableError(""));
    if (!TakesOnly1(url)) {
      body = ToV2(request.body_to_send());
      if (!body.ok()) metrics_->fallbacks_no_place.Increment();
    }
    if (body.ok()) {
      http::ClientRequest second = request;
      second.lent_body = {};
      second.body = *std::move(body);
      SetProtocol(kContentType2, "2.0.0", &second);
      Answer answer;
      answer.response = co_await client_->Send(std::move(second), deadline);
      if (!answer.response.ok()) co_return answer;
      const http::Response& response = *answer.response;
      answer.written = ParseWritten(response, sent);
      const bool is_success = response.status / 100 == 2;
      if (response.status != 415 && (!is_success || answer.written)) {
        if (!is_success && !answer.written) answer.written.emplace();
        co_return answer;
      }
      (is_success ? metrics_->fallbacks_unconfirmed
                  : metrics_->fallbacks_unsupported)
          .Increment();
      NoteTakesOnly1(url);
    }
  }
  SetProtocol(kContentType1, "0.1.0", &request);
  Answer answer;
  answer.response = co_await client_->Send(std::move(request), deadline);
  co_return answer;
}

bool StoreClient::TakesOnly1(const std::string& url) {
  sync::MutexLock lock(&mutex_);
  const auto it = only_1_until_.find(url);
  if (it == only_1_until_.end()) return false;
  if (clock_->Now() < it->second) return true;
  only_1_until_.erase(it);
  return false;
}

void StoreClient::NoteTakesOnly1(const std::string& url) {
  sync::MutexLock lock(&mutex_);
  if (only_1_until_.size() >= options_.max_remembered) only_1_until_.clear();
  only_1_until_[url] = clock_->Now() + options_.fallback;
}

}  // namespace insula::ingest_gateway
