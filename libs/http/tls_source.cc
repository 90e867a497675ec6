#include "libs/http/tls_source.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/http/tls_context.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::http {
namespace {

// Who writes several files needs a moment from the one to the other.
constexpr absl::Duration kRest = absl::Milliseconds(100);

std::vector<std::string> NotEmpty(std::vector<std::string> files) {
  files.erase(std::remove(files.begin(), files.end(), ""), files.end());
  return files;
}

absl::Status CheckDates(const X509* certificate) {
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return absl::FailedPreconditionError("a certificate is not valid yet");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return absl::FailedPreconditionError("a certificate has ended");
  }
  return absl::OkStatus();
}

// That the own certificate and those that are sent with it are what a peer can
// accept now.
absl::Status CheckChain(SSL_CTX* context) {
  X509* certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(CheckDates(certificate));
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* const next = sk_X509_value(chain, i);
    if (X509_check_issued(next, certificate) != X509_V_OK) {
      return absl::FailedPreconditionError(absl::StrCat(
          "certificate ", i + 1,
          " of the chain is not signed by the next: "
          "put them in order, without those that don't belong to it"));
    }
    RETURN_IF_ERROR(CheckDates(next));
    certificate = next;
  }
  return absl::OkStatus();
}

}  // namespace

TlsSource::TlsSource(const ServerTls& tls, metrics::Registry* metrics)
    : TlsSource([tls] { return MakeServerContext(tls); },
                NotEmpty({tls.cert_file, tls.key_file, tls.client_ca_file}),
                tls.cert_file, metrics) {}

TlsSource::TlsSource(const ClientTls& tls, metrics::Registry* metrics)
    : TlsSource([tls] { return MakeClientContext(tls); },
                NotEmpty({tls.cert_file, tls.key_file, tls.ca_file}),
                tls.cert_file, metrics) {}

TlsSource::TlsSource(std::function<absl::StatusOr<Context>()> make,
                     std::vector<std::string> files, std::string cert_file,
                     metrics::Registry* metrics)
    : make_(std::move(make)),
      files_(std::move(files)),
      cert_file_(std::move(cert_file)),
      registry_(*metrics) {
  if (files_.empty()) return;
  const std::string& file = files_[0];
  auto reloads = [metrics, &file](const char* result) {
    return &metrics->AddCounter(
        "insula_tls_reloads_total",
        "Times that changed certificate files were read.",
        {{"file", file}, {"result", result}});
  };
  metrics_.good_reloads = reloads("ok");
  metrics_.failed_reloads = reloads("failed");
  metrics_.failing = &metrics->AddGauge(
      "insula_tls_reload_failing",
      "1 while the files can't be used and those before serve on.",
      {{"file", file}});
  collect_ = metrics->OnCollect([this] {
    const sync::MutexLock lock(&mutex_);
    if (asked_for_) LookIfDue();
  });
}

std::vector<TlsSource::Stamp> TlsSource::StampsOfFiles() const {
  std::vector<Stamp> stamps;
  for (const std::string& file : files_) {
    struct stat info = {};
    Stamp& stamp = stamps.emplace_back();
    if (stat(file.c_str(), &info) != 0) continue;
    stamp.device = info.st_dev;
    stamp.inode = info.st_ino;
    stamp.size = info.st_size;
    stamp.modified = absl::TimeFromTimespec(info.st_mtim);
    stamp.changed = absl::TimeFromTimespec(info.st_ctim);
  }
  return stamps;
}

absl::StatusOr<TlsSource::Context> TlsSource::MakeChecked() const {
  ASSIGN_OR_RETURN(Context context, make_());
  RETURN_IF_ERROR(CheckChain(context->native_handle()));
  return context;
}

void TlsSource::Look() {
  const bool first = !context_.ok();
  std::vector<Stamp> stamps = StampsOfFiles();
  if (!first && stamps == stamps_) return;
  const absl::Time now = absl::Now();
  const bool at_rest =
      std::all_of(stamps.begin(), stamps.end(), [now](const Stamp& stamp) {
        return stamp.changed <= now - kRest || stamp.changed > now;
      });
  if (!first && !at_rest) return;

  // What a service is started with is the operator's: it may have ended, and
  // then peers say so.
  absl::StatusOr<Context> made = first ? make_() : MakeChecked();
  if (!first && StampsOfFiles() != stamps)
    return;  // Changed while it was read.
  stamps_ = std::move(stamps);
  if (made.ok()) {
    context_ = *std::move(made);
    if (!cert_file_.empty()) {
      ShowCertificateExpiry((*context_)->native_handle(), cert_file_,
                            &registry_);
    }
  } else if (first) {
    context_ = made.status();
    return;
  } else {
    logging::Warn("TLS files can't be used, those before serve on",
                  {{"file", files_[0]}, {"error", made.status().message()}});
  }
  if (first || files_.empty()) return;
  (made.ok() ? metrics_.good_reloads : metrics_.failed_reloads)->Increment();
  metrics_.failing->Set(made.ok() ? 0 : 1);
}

void TlsSource::LookIfDue() {
  const absl::Time now = absl::Now();
  // A clock that was set back does not stop the looks.
  if (now < next_look_ && next_look_ <= now + kLookInterval) return;
  next_look_ = now + kLookInterval;
  Look();
}

absl::StatusOr<TlsSource::Context> TlsSource::Get() {
  const sync::MutexLock lock(&mutex_);
  asked_for_ = true;
  LookIfDue();
  return context_;
}

}  // namespace insula::http
