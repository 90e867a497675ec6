#include "libs/outbound/credentials.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/proxy.h"
#include "libs/http/url.h"
#include "libs/logging/logging.h"
#include "libs/outbound/token_source.h"
#include "libs/secret/secret.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::outbound {
namespace {

namespace asio = boost::asio;
using HeadersOr = absl::StatusOr<http::Headers>;

absl::StatusOr<std::string> BearerOf(const Secret& token,
                                     absl::string_view file) {
  const std::string& text = token.Reveal();
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isgraph)) {
    return absl::UnavailableError(
        absl::StrCat(file, ": must hold a token of visible ASCII characters"));
  }
  return absl::StrCat("Bearer ", text);
}

// One of the configured credentials, and where its parts come from.
class Credential {
 public:
  Credential(const CredentialConfig& config, const http::ClientOptions& options,
             const Context& context)
      : url_(http::Url::Parse(config.url).value()),
        basic_user_(config.basic_user) {
    const auto watch = [&context](const std::string& file) {
      return std::make_unique<WatchedSecret>(file, context.run_blocking,
                                             context.clock);
    };
    if (!config.bearer_file.empty()) bearer_ = watch(config.bearer_file);
    if (!config.basic_password_file.empty()) {
      password_ = watch(config.basic_password_file);
    }
    for (const HeaderConfig& header : config.headers) {
      headers_.emplace_back(header.name, watch(header.file));
    }
    if (config.oauth2.enabled()) {
      TokenSource::Context tokens = {context.executor, context.run_blocking,
                                     context.clock,    context.steady,
                                     context.metrics,  options};
      tokens_ = std::make_shared<TokenSource>(config.oauth2, std::move(tokens));
    }
  }

  const http::Url& url() const { return url_; }

  // The headers to put on a request; with `doubted`, none that are older than
  // the refusal of a moment ago.
  asio::awaitable<HeadersOr> Headers(bool doubted, absl::Time deadline) {
    http::Headers headers;
    for (const auto& [name, file] : headers_) {
      CO_ASSIGN_OR_RETURN(const Secret value,
                          co_await Read(file.get(), doubted));
      headers.Add(name, value.Reveal());
    }
    if (bearer_ != nullptr) {
      CO_ASSIGN_OR_RETURN(const Secret token,
                          co_await Read(bearer_.get(), doubted));
      CO_ASSIGN_OR_RETURN(const std::string value,
                          BearerOf(token, bearer_->path()));
      headers.Add("Authorization", value);
    }
    if (password_ != nullptr) {
      CO_ASSIGN_OR_RETURN(const Secret password,
                          co_await Read(password_.get(), doubted));
      std::string pair = absl::StrCat(basic_user_, ":", password.Reveal());
      headers.Add("Authorization",
                  absl::StrCat("Basic ", absl::Base64Escape(pair)));
      WipeString(&pair);
    }
    if (tokens_ != nullptr) {
      CO_ASSIGN_OR_RETURN(const Secret token, co_await tokens_->Get(deadline));
      headers.Add("Authorization", absl::StrCat("Bearer ", token.Reveal()));
    }
    co_return headers;
  }

  // Whether another token may be had than that of `request`.
  bool RenewToken(const http::ClientRequest& request) {
    if (tokens_ == nullptr) return false;
    absl::string_view value = request.headers.Get("Authorization").value_or("");
    value.remove_prefix(std::min(value.size(), sizeof("Bearer ") - 1));
    return tokens_->Renew(Secret(std::string(value)));
  }

 private:
  static asio::awaitable<absl::StatusOr<Secret>> Read(WatchedSecret* file,
                                                      bool doubted) {
    return doubted ? file->GetNow() : file->Get();
  }

  const http::Url url_;
  const std::string basic_user_;
  std::unique_ptr<WatchedSecret> bearer_;
  std::unique_ptr<WatchedSecret> password_;
  std::vector<std::pair<std::string, std::unique_ptr<WatchedSecret>>> headers_;
  std::shared_ptr<TokenSource> tokens_;
};

class CredentialAuthorizer final : public http::Authorizer {
 public:
  CredentialAuthorizer(const std::vector<CredentialConfig>& configs,
                       const http::ClientOptions& options,
                       const Context& context)
      : failures_(context.metrics->AddCounter(
            "insula_outbound_credential_failures_total",
            "Requests that were not sent because their credential could not "
            "be had.",
            {{"client", options.name}})) {
    for (const CredentialConfig& config : configs) {
      if (!config.has_secret()) continue;
      credentials_.push_back(
          std::make_unique<Credential>(config, options, context));
    }
    // The first that covers a URL is the one with the longest path.
    std::sort(credentials_.begin(), credentials_.end(),
              [](const auto& a, const auto& b) {
                return a->url().target.size() > b->url().target.size();
              });
  }

  bool Covers(const http::ClientRequest& request) const override {
    return Find(request.url) != nullptr;
  }

  asio::awaitable<absl::Status> Authorize(http::ClientRequest* request,
                                          absl::Time deadline) override {
    Credential* const credential = Find(request->url);
    if (credential == nullptr) co_return absl::OkStatus();
    const HeadersOr headers =
        co_await credential->Headers(/*doubted=*/false, deadline);
    absl::Status status = headers.status();
    if (status.ok()) status = PutOn(*headers, request);
    if (status.ok()) co_return status;
    failures_.Increment();
    // Whatever its code is, it says nothing of the request.
    co_return absl::UnavailableError(absl::StrCat(
        "not sent, its credential is missing: ", status.message()));
  }

  asio::awaitable<bool> Renew(const http::ClientRequest* request,
                              absl::Time deadline) override {
    Credential* const credential = Find(request->url);
    if (credential == nullptr) co_return false;
    if (credential->RenewToken(*request)) co_return true;
    const HeadersOr headers =
        co_await credential->Headers(/*doubted=*/true, deadline);
    if (!headers.ok()) co_return false;
    co_return std::any_of(headers->begin(), headers->end(),
                          [request](const auto& header) {
                            return request->headers.Get(header.first) !=
                                   absl::string_view(header.second);
                          });
  }

 private:
  Credential* Find(const http::Url& url) const {
    for (const auto& credential : credentials_) {
      if (outbound::Covers(credential->url(), url)) return credential.get();
    }
    return nullptr;
  }

  static absl::Status PutOn(const http::Headers& headers,
                            http::ClientRequest* request) {
    for (const auto& [name, value] : headers) {
      // It may be the one that keeps tenants apart.
      if (request->headers.Count(name) != 0) {
        return absl::FailedPreconditionError(absl::StrCat(
            "header ", name, " of the credential is in the request already"));
      }
    }
    for (const auto& [name, value] : headers) request->headers.Add(name, value);
    return absl::OkStatus();
  }

  metrics::Counter& failures_;
  std::vector<std::unique_ptr<Credential>> credentials_;
};

// Whoever listens on the way has what is sent without TLS.
void WarnAboutPlaintext(const std::vector<CredentialConfig>& credentials) {
  for (const CredentialConfig& credential : credentials) {
    const auto url = http::Url::Parse(credential.url);
    if (!url.ok() || url->scheme == "https" || !credential.has_secret()) {
      continue;
    }
    logging::Warn("a credential is sent without TLS",
                  {{"url", credential.url}, {"cure", "use https"}});
  }
}

}  // namespace

Context ContextOf(runtime::Process* process) {
  const RunBlocking run_blocking =
      [process](std::function<absl::Status()> work) {
        return process->blocking().Run(std::move(work));
      };
  return {process->executor(), run_blocking, &process->clock(),
          SteadyClock::Get(), &process->metrics()};
}

std::shared_ptr<http::Authorizer> MakeAuthorizer(
    const std::vector<CredentialConfig>& credentials,
    const http::ClientOptions& options, Context context) {
  return std::make_shared<CredentialAuthorizer>(credentials, options, context);
}

absl::StatusOr<http::ClientOptions> Outfit(
    http::ClientOptions options,
    const std::vector<CredentialConfig>& credentials, Context context) {
  ASSIGN_OR_RETURN(options.proxy, http::ProxyRules::FromEnvironment());
  for (const CredentialConfig& credential : credentials) {
    if (!credential.has_tls()) continue;
    ASSIGN_OR_RETURN(const http::Url url, http::Url::Parse(credential.url));
    options.host_tls[url.HostPort()] = credential.Tls();
  }
  WarnAboutPlaintext(credentials);
  options.authorizer = MakeAuthorizer(credentials, options, std::move(context));
  return options;
}

}  // namespace insula::outbound
