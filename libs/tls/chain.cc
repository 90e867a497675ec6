#include "libs/tls/chain.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <limits>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::tls {
namespace {

absl::Status CheckDates(const X509* certificate) {
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return absl::FailedPreconditionError("a certificate is not valid yet");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return absl::FailedPreconditionError("a certificate has ended");
  }
  return absl::OkStatus();
}

std::shared_ptr<X509> Share(X509* certificate) {
  X509_up_ref(certificate);
  return std::shared_ptr<X509>(certificate, &X509_free);
}

}  // namespace

Chain ChainOf(SSL_CTX* context) {
  Chain chain;
  X509* const certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr) return chain;
  chain.push_back(Share(certificate));
  STACK_OF(X509)* others = nullptr;
  SSL_CTX_get0_chain_certs(context, &others);
  for (int i = 0; i < sk_X509_num(others); ++i) {
    chain.push_back(Share(sk_X509_value(others, i)));
  }
  return chain;
}

absl::StatusOr<Chain> ReadChain(absl::string_view pem) {
  if (pem.size() > std::numeric_limits<int>::max()) {
    return absl::InvalidArgumentError("more than 2 GiB of certificates");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  Chain chain;
  while (X509* const certificate =
             PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.emplace_back(certificate, &X509_free);
  }
  // That is how it says that there are no more.
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_LIB(error) == ERR_LIB_PEM &&
      ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
    return chain;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("certificate ", chain.size() + 1, " is damaged"));
}

absl::Status CheckChain(const Chain& chain) {
  for (size_t i = 0; i < chain.size(); ++i) {
    RETURN_IF_ERROR(CheckDates(chain[i].get()));
    if (i == 0) continue;
    if (X509_check_issued(chain[i].get(), chain[i - 1].get()) != X509_V_OK) {
      return absl::FailedPreconditionError(absl::StrCat(
          "certificate ", i,
          " of the chain is not signed by the next: "
          "put them in order, without those that don't belong to it"));
    }
  }
  return absl::OkStatus();
}

absl::Time EndOf(const Chain& chain) {
  std::tm end{};
  if (chain.empty() ||
      ASN1_TIME_to_tm(X509_get0_notAfter(chain[0].get()), &end) != 1) {
    return absl::InfiniteFuture();
  }
  return absl::FromUnixSeconds(timegm(&end));
}

}  // namespace insula::tls
