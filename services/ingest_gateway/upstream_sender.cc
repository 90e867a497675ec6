#include "services/ingest_gateway/upstream_sender.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/http/retry_after.h"
#include "libs/http/status_code.h"
#include "libs/tenancy/endpoints.h"

namespace insula::ingest_gateway {
namespace {

namespace asio = boost::asio;
using Verdict = Receipt::Verdict;

absl::string_view CodeClass(int status) {
  if (status == 429) return "429";
  if (status < 300) return "2xx";
  if (status < 400) return "3xx";
  return status < 500 ? "4xx" : "5xx";
}

// How many places an upstream has, and each of them.
int UrlCount(const tenancy::Upstream& upstream) {
  return 1 + upstream.spec.more_write_urls_size();
}
const std::string& UrlAt(const tenancy::Upstream& upstream, int i) {
  return i == 0 ? upstream.spec.write_url()
                : upstream.spec.more_write_urls(i - 1);
}

}  // namespace

Receipt MakeReceipt(const absl::StatusOr<http::Response>& answer,
                    absl::Time now) {
  Receipt receipt;
  if (!answer.ok()) {
    receipt.detail = std::string(answer.status().message());
    return receipt;
  }
  const absl::StatusCode code = http::FromHttpStatus(answer->status);
  if (code == absl::StatusCode::kOk) {
    receipt.verdict = Verdict::kAccepted;
    return receipt;
  }
  receipt.detail = absl::StrCat(answer->status, " ",
                                absl::string_view(answer->body).substr(0, 80));
  receipt.retry_after = http::ParseRetryAfter(answer->headers, now);
  if (code == absl::StatusCode::kResourceExhausted) {
    receipt.verdict = Verdict::kSlowDown;
  } else if (!http::IsRetryable(code)) {
    receipt.verdict = Verdict::kRefused;
  }
  return receipt;
}

absl::Time UpstreamHealth::DownUntil(absl::string_view url) const {
  const auto it = troubles_.find(url);
  return it == troubles_.end() ? absl::InfinitePast() : it->second.down_until;
}

bool UpstreamHealth::IsWell(const tenancy::Upstream& upstream) {
  const absl::Time now = clock_->Now();
  sync::MutexLock lock(&mutex_);
  if (troubles_.empty()) return true;
  for (int i = 0; i < UrlCount(upstream); ++i) {
    if (DownUntil(UrlAt(upstream, i)) <= now) return true;
  }
  return false;
}

std::string UpstreamHealth::Pick(const tenancy::Upstream& upstream) {
  const int count = UrlCount(upstream);
  const absl::Time now = clock_->Now();
  sync::MutexLock lock(&mutex_);
  const uint64_t turn = count == 1 ? 0 : turn_++;
  int best = 0;
  absl::Time best_until = absl::InfiniteFuture();
  for (int i = 0; i < count; ++i) {
    const int index = static_cast<int>((turn + i) % count);
    const absl::Time until = DownUntil(UrlAt(upstream, index));
    if (until < best_until) {
      best = index;
      best_until = until;
    }
    if (until <= now) {
      best = index;
      break;
    }
  }
  const std::string& url = UrlAt(upstream, best);
  if (const auto it = troubles_.find(url);
      it != troubles_.end() && it->second.failures >= kMaxFailures) {
    // One write tries it; the others wait for what it learns.
    it->second.down_until = now + it->second.backoff.Next();
  }
  return url;
}

void UpstreamHealth::Note(absl::string_view url, bool answered) {
  sync::MutexLock lock(&mutex_);
  if (answered) {
    if (!troubles_.empty()) troubles_.erase(url);
    return;
  }
  Trouble& trouble = troubles_[url];
  if (++trouble.failures == kMaxFailures) {
    trouble.down_until = clock_->Now() + trouble.backoff.Next();
  }
}

UpstreamSender::UpstreamSender(std::string user_agent, http::Client* client,
                               const Clock* clock, metrics::Registry* registry,
                               DeadLetters* dead_letters)
    : clock_(clock),
      metrics_(registry),
      client_({.user_agent = std::move(user_agent)}, client, clock, &metrics_),
      health_(SteadyClock::Get()),
      dead_letters_(dead_letters) {}

asio::awaitable<Receipt> UpstreamSender::Send(const tenancy::Tenant* tenant,
                                              const tenancy::Upstream* upstream,
                                              const http::Url* write_url,
                                              absl::string_view body,
                                              remote_write::Counts counts,
                                              absl::Time deadline) {
  const std::string place = health_.Pick(*upstream);
  // Built from nothing: no header of the sender gets through.
  http::ClientRequest request;
  if (write_url != nullptr && place == upstream->spec.write_url()) {
    request.url = *write_url;
  } else {
    auto url = http::Url::Parse(place);
    if (!url.ok()) co_return MakeReceipt(url.status(), clock_->Now());
    request.url = *std::move(url);
  }
  if (upstream->spec.isolation() == tenancy::v1::Upstream::ISOLATION_HEADER) {
    request.headers.Set(tenancy::TenantHeaderOf(upstream->spec),
                        tenant->org_id());
  }
  request.lent_body = body;
  const absl::Time start = clock_->Now();
  const StoreClient::Answer taken = co_await client_.Send(
      std::move(request), upstream->spec.write_protocol(), counts,
      std::min(deadline, start + tenancy::WriteTimeoutOf(upstream->spec)));
  const absl::StatusOr<http::Response>& answer = taken.response;
  const absl::Time end = clock_->Now();
  metrics_.upstream_seconds.Observe(absl::ToDoubleSeconds(end - start));
  metrics_.UpstreamRequests(answer.ok() ? CodeClass(answer->status) : "error")
      .Increment();
  if (!absl::IsCancelled(answer.status())) health_.Note(place, answer.ok());
  Receipt receipt = MakeReceipt(answer, end);
  receipt.written = taken.written;
  if (receipt.verdict == Verdict::kRefused && dead_letters_ != nullptr) {
    DeadLetter letter;
    letter.tenant_id = tenant->id.value();
    letter.tenant_uid = tenant->uid;
    letter.upstream_id = upstream->id;
    letter.answer = receipt.detail;
    letter.counts = counts;
    letter.body = body;
    co_await dead_letters_->Keep(&letter);
  }
  co_return receipt;
}

}  // namespace insula::ingest_gateway
