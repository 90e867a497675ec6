#include "libs/outbound/token_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "libs/auth/strict_json.h"
#include "libs/http/url.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::outbound {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxAnswer = 64 << 10;
constexpr size_t kMaxToken = 16 << 10;
constexpr absl::Duration kLongestLifetime = absl::Hours(24);

bool IsVisible(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isgraph);
}

// The error code of RFC 6749 in the body of a refusal, if there is one.
std::string CodeIn(absl::string_view body) {
  const auto json = auth::ParseStrictObject(body);
  if (!json.ok()) return "";
  const auto error = json->find("error");
  if (error == json->end() || !error->is_string()) return "";
  const auto& code = error->get_ref<const std::string&>();
  const bool plain =
      code.size() <= 64 && std::all_of(code.begin(), code.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
      });
  return plain ? absl::StrCat(" ", code) : "";
}

http::ClientOptions ClientOptionsOf(const OAuth2Config& config,
                                    http::ClientOptions options) {
  options.name = "oauth2";
  options.max_response_bytes = kMaxAnswer;
  options.max_connections_per_host = 1;
  options.host_tls.clear();
  options.authorizer = nullptr;
  options.tls = std::nullopt;
  if (!config.tls_ca_file.empty()) {
    options.tls.emplace().ca_file = config.tls_ca_file;
  }
  return options;
}

metrics::Counter& Requests(metrics::Registry* metrics, const char* result) {
  return metrics->AddCounter("insula_outbound_token_requests_total",
                             "Requests for access tokens of OAuth 2.0.",
                             {{"result", result}});
}

// How long before its end a token is asked for anew.
absl::Duration MarginOf(absl::Duration lifetime) {
  return std::min(absl::Seconds(30), lifetime / 5);
}

}  // namespace

absl::StatusOr<AccessToken> ReadTokenAnswer(const http::Response& answer) {
  if (answer.status != 200) {
    return absl::UnavailableError(
        absl::StrCat("it answered ", answer.status, CodeIn(answer.body)));
  }
  const auto json = auth::ParseStrictObject(answer.body);
  if (!json.ok()) {
    return absl::UnavailableError("its answer is no JSON object");
  }
  const auto token = json->find("access_token");
  if (token == json->end() || !token->is_string()) {
    return absl::UnavailableError("its answer has no access_token");
  }
  auto text = token->get<std::string>();
  if (!IsVisible(text) || text.size() > kMaxToken) {
    return absl::UnavailableError(
        "its access_token is none: visible ASCII, up to 16 KiB");
  }
  const auto type = json->find("token_type");
  if (type != json->end() &&
      (!type->is_string() ||
       !absl::EqualsIgnoreCase(type->get_ref<const std::string&>(),
                               "bearer"))) {
    return absl::UnavailableError("its token_type is not bearer");
  }
  AccessToken result{Secret(std::move(text)), TokenSource::kUsualLifetime};
  const auto lifetime = json->find("expires_in");
  if (lifetime == json->end()) return result;
  // Some write the number as text.
  double seconds = 0;
  if (lifetime->is_number()) {
    seconds = lifetime->get<double>();
  } else if (!lifetime->is_string() ||
             !absl::SimpleAtod(lifetime->get_ref<const std::string&>(),
                               &seconds)) {
    seconds = 0;
  }
  if (!(seconds > 0)) {
    return absl::UnavailableError("its expires_in is not a time to come");
  }
  result.lifetime = std::min(absl::Seconds(seconds), kLongestLifetime);
  return result;
}

TokenSource::TokenSource(const OAuth2Config& config, Context context)
    : config_(config),
      url_(http::Url::Parse(config.token_url).value()),
      params_(config.Params().value()),
      steady_(*context.steady),
      good_requests_(Requests(context.metrics, "ok")),
      failed_requests_(Requests(context.metrics, "failed")),
      client_secret_(config.client_secret_file, context.run_blocking,
                     context.clock),
      client_(ClientOptionsOf(config, std::move(context.client)),
              context.executor, context.metrics),
      flights_(std::make_shared<Flight>(context.executor, 1)),
      backoff_({absl::Seconds(2), absl::Seconds(30)}) {}

asio::awaitable<absl::StatusOr<Secret>> TokenSource::Get(absl::Time deadline) {
  {
    const sync::MutexLock lock(&mutex_);
    const absl::Time now = steady_.Now();
    if (now < refresh_at_) co_return token_;
    if (now < quiet_until_) {
      if (now < ends_at_) co_return token_;
      co_return failure_;
    }
  }
  const std::function<asio::awaitable<absl::StatusOr<Secret>>()> fetch =
      [self = shared_from_this()] { return Fetch(self); };
  const auth::Digest only = {};
  absl::StatusOr<Secret> token =
      co_await Flight::Run(flights_, only, fetch, deadline);
  if (!token.ok()) {
    co_return Annotate(token.status(),
                       absl::StrCat("OAuth 2.0 token of ", config_.token_url));
  }
  co_return token;
}

asio::awaitable<absl::StatusOr<Secret>> TokenSource::Fetch(
    std::shared_ptr<TokenSource> self) {
  {
    // Somebody may have fetched one since the caller looked.
    const sync::MutexLock lock(&self->mutex_);
    if (self->steady_.Now() < self->refresh_at_) co_return self->token_;
  }
  absl::StatusOr<AccessToken> token = co_await self->Ask();
  co_return self->Note(std::move(token));
}

asio::awaitable<absl::StatusOr<AccessToken>> TokenSource::Ask() {
  CO_ASSIGN_OR_RETURN(const Secret secret, co_await client_secret_.Get());
  http::ClientRequest request;
  request.method = "POST";
  request.url = url_;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                     {"Accept", "application/json"}};
  http::Params params = {{"grant_type", "client_credentials"}};
  if (!config_.scopes.empty()) {
    params.emplace_back("scope", absl::StrJoin(config_.scopes, " "));
  }
  params.insert(params.end(), params_.begin(), params_.end());
  if (config_.secret_in_body) {
    params.emplace_back("client_id", config_.client_id);
    params.emplace_back("client_secret", secret.Reveal());
  } else {
    std::string pair = absl::StrCat(http::PercentEncode(config_.client_id), ":",
                                    http::PercentEncode(secret.Reveal()));
    request.headers.Set("Authorization",
                        absl::StrCat("Basic ", absl::Base64Escape(pair)));
    WipeString(&pair);
  }
  request.body = http::EncodeForm(params);
  const absl::StatusOr<http::Response> answer =
      co_await client_.Send(std::move(request), absl::Now() + kTimeout);
  if (!answer.ok()) co_return answer.status();
  co_return ReadTokenAnswer(*answer);
}

absl::StatusOr<Secret> TokenSource::Note(absl::StatusOr<AccessToken> token) {
  const sync::MutexLock lock(&mutex_);
  const absl::Time now = steady_.Now();
  if (token.ok()) {
    good_requests_.Increment();
    token_ = token->token;
    ends_at_ = now + token->lifetime;
    refresh_at_ = ends_at_ - MarginOf(token->lifetime);
    quiet_until_ = absl::InfinitePast();
    backoff_.Reset();
    return token_;
  }
  failed_requests_.Increment();
  // Whatever its code is, it says nothing of the request that wants a token.
  failure_ = absl::UnavailableError(token.status().message());
  quiet_until_ = now + backoff_.Next();
  logging::Warn("no OAuth 2.0 token is given out",
                {{"url", config_.token_url}, {"err", failure_}});
  failure_ = Annotate(failure_, "not asked again for a moment");
  if (now < ends_at_) return token_;
  return absl::UnavailableError(token.status().message());
}

bool TokenSource::Renew(const Secret& token) {
  const sync::MutexLock lock(&mutex_);
  if (token != token_) return true;  // Replaced meanwhile.
  const absl::Time now = steady_.Now();
  if (now - renewed_at_ < kRenewInterval) return false;
  renewed_at_ = now;
  refresh_at_ = ends_at_ = absl::InfinitePast();
  return true;
}

}  // namespace insula::outbound
