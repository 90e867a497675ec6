#include "libs/kube/credentials.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;

// A token that is refused again and again must not keep us reading.
constexpr absl::Duration kLeastInterval = absl::Seconds(1);

asio::awaitable<absl::Status> RunHere(std::function<absl::Status()> work) {
  co_return work();
}

absl::Status ReadInto(const std::string& file, std::string* text) {
  if (file.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(*text, ReadSmallFile(file));
  return absl::OkStatus();
}

}  // namespace

Credentials::Credentials(Cluster cluster, http::ClientOptions client_options,
                         absl::Duration reload_interval,
                         RunBlocking run_blocking,
                         asio::any_io_executor executor,
                         metrics::Registry* metrics)
    : cluster_(std::move(cluster)),
      client_options_(std::move(client_options)),
      reload_interval_(reload_interval),
      run_blocking_(run_blocking == nullptr ? RunHere
                                            : std::move(run_blocking)),
      executor_(std::move(executor)),
      metrics_(metrics),
      failures_(metrics->AddCounter(
          "insula_kube_credential_failures_total",
          "Readings of tokens and certificates for Kubernetes that failed.")) {}

absl::StatusOr<Credentials::Files> Credentials::Read() const {
  RETURN_IF_ERROR(CheckCluster(cluster_));
  Files files;
  files.token = cluster_.token;
  RETURN_IF_ERROR(ReadInto(cluster_.token_file, &files.token));
  absl::StripAsciiWhitespace(&files.token);
  // As text, so that what is compared is what is used.
  files.tls = cluster_.tls;
  RETURN_IF_ERROR(ReadInto(cluster_.tls.ca_file, &files.tls.ca_pem));
  RETURN_IF_ERROR(ReadInto(cluster_.tls.cert_file, &files.tls.cert_pem));
  RETURN_IF_ERROR(ReadInto(cluster_.tls.key_file, &files.tls.key_pem));
  files.tls.ca_file.clear();
  files.tls.cert_file.clear();
  files.tls.key_file.clear();
  return files;
}

void Credentials::Use(absl::StatusOr<Files> files) {
  sync::MutexLock lock(&mutex_);
  if (!files.ok()) {
    failures_.Increment();
    if (error_ != files.status()) {
      logging::Warn("credentials for Kubernetes can't be read",
                    {{"err", files.status()}});
    }
    error_ = files.status();
    return;
  }
  error_ = absl::OkStatus();
  current_.token = std::move(files->token);
  std::string certificates = absl::StrCat(
      files->tls.ca_pem, "|", files->tls.cert_pem, "|", files->tls.key_pem);
  if (current_.client != nullptr && certificates == certificates_) return;
  certificates_ = std::move(certificates);
  http::ClientOptions options = client_options_;
  options.tls = std::move(files->tls);
  current_.client =
      std::make_shared<http::Client>(std::move(options), executor_, metrics_);
}

asio::awaitable<absl::StatusOr<Credentials::Current>> Credentials::Get() {
  bool due;
  {
    sync::MutexLock lock(&mutex_);
    const absl::Time now = absl::Now();
    due = current_.client == nullptr || now - read_at_ >= reload_interval_ ||
          now < read_at_;
    if (due) read_at_ = now;
  }
  if (due) {
    absl::StatusOr<Files> files = absl::InternalError("not read");
    const std::function<absl::Status()> read = [this, &files] {
      files = Read();
      return absl::OkStatus();
    };
    const absl::Status ran = co_await run_blocking_(read);
    if (!ran.ok()) files = ran;
    Use(std::move(files));
  }
  sync::MutexLock lock(&mutex_);
  if (current_.client == nullptr) co_return error_;
  co_return current_;
}

bool Credentials::Doubt(const std::string& token) {
  if (cluster_.token_file.empty()) return false;
  sync::MutexLock lock(&mutex_);
  if (current_.token != token) return true;  // Replaced meanwhile.
  if (absl::Now() - read_at_ < kLeastInterval) return false;
  read_at_ = absl::InfinitePast();
  return true;
}

}  // namespace insula::kube
