#include "services/federation_pusher/jobs.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "libs/outbound/credentials.h"
#include "libs/runtime/version.h"
#include "libs/status/status_macros.h"
#include "services/federation_pusher/token_file.h"

namespace insula::federation_pusher {
namespace {

namespace asio = boost::asio;

std::string UserAgent() { return absl::StrCat("insula/", runtime::Version()); }

Pusher::Options PushOptions(const Config& config) {
  Pusher::Options options;
  // Config::Validate has parsed it.
  options.url = http::Url::Parse(config.gateway.write_url).value();
  options.user_agent = UserAgent();
  options.try_timeout = config.push.timeout;
  return options;
}

// Reads the file anew for each request, so that a new token counts at once.
asio::awaitable<absl::StatusOr<std::string>> ReadToken(
    const std::string* path, runtime::BlockingPool* blocking) {
  if (path->empty()) co_return std::string();
  absl::StatusOr<std::string> token;
  const std::function<absl::Status()> read = [path, &token] {
    token = ReadTokenFile(*path);
    return absl::OkStatus();
  };
  const absl::Status ran = co_await blocking->Run(read);
  if (!ran.ok()) {
    co_return Failure(
        Result::kGatewayToken,
        absl::StrCat("gateway.token_file could not be read: ", ran.message()));
  }
  co_return token;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Jobs>> Jobs::Create(const Config* config,
                                                   runtime::Process* process) {
  ASSIGN_OR_RETURN(
      http::ClientOptions sources,
      outbound::Outfit(SourceClientOptions(config->scrape), config->credentials,
                       outbound::ContextOf(process)));
  ASSIGN_OR_RETURN(
      http::ClientOptions gateway,
      outbound::Outfit(GatewayClientOptions(*config), config->credentials,
                       outbound::ContextOf(process)));
  return std::unique_ptr<Jobs>(
      new Jobs(config, std::move(sources), std::move(gateway), process));
}

Jobs::Jobs(const Config* config, http::ClientOptions sources,
           http::ClientOptions gateway, runtime::Process* process)
    : metrics_(&process->metrics()),
      sources_(std::move(sources), process->executor(), &process->metrics()),
      gateway_(std::move(gateway), process->executor(), &process->metrics()),
      scraper_(UserAgent(), &sources_),
      pusher_(
          PushOptions(*config),
          [path = &config->gateway.token_file,
           blocking = &process->blocking()] {
            return ReadToken(path, blocking);
          },
          &gateway_, &process->clock(), &metrics_),
      run_(config, &scraper_, &pusher_, &metrics_),
      runner_(
          config->max_parallel_jobs,
          [this](std::shared_ptr<const tenancy::Snapshot> snapshot,
                 std::shared_ptr<const tenancy::Job> job, RunReport* run) {
            return run_.Execute(std::move(snapshot), std::move(job), run);
          },
          process->executor(), &process->clock(), &metrics_,
          &process->metrics()) {}

}  // namespace insula::federation_pusher
