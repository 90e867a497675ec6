#include "libs/tls/crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::tls {
namespace {

bool HasEnded(const X509_CRL* crl) {
  const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(crl);
  return next != nullptr && X509_cmp_current_time(next) < 0;
}

bool HasBegun(const X509_CRL* crl) {
  return X509_cmp_current_time(X509_CRL_get0_lastUpdate(crl)) <= 0;
}

bool IsSelfSigned(X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate),
                       X509_get_issuer_name(certificate)) == 0;
}

absl::Status CheckOne(const Crls& crls, X509* certificate) {
  const X509_NAME* const issuer = X509_get_issuer_name(certificate);
  bool listed = false;
  for (const std::shared_ptr<X509_CRL>& crl : crls) {
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl.get()), issuer) != 0) continue;
    if (HasEnded(crl.get()) || !HasBegun(crl.get())) continue;
    listed = true;
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(crl.get(), &entry, certificate) == 1) {
      return absl::PermissionDeniedError(
          "the certificate is revoked: get a new one");
    }
  }
  if (listed) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "there is no list of revoked certificates that is valid now of the CA of "
      "the certificate: renew the CRL");
}

}  // namespace

absl::StatusOr<Crls> ReadCrls(absl::string_view pem) {
  if (pem.size() > std::numeric_limits<int>::max()) {
    return absl::InvalidArgumentError("more than 2 GiB of CRLs");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  Crls crls;
  while (X509_CRL* const crl =
             PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) {
    crls.emplace_back(crl, &X509_CRL_free);
  }
  // That is how it says that there are no more.
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM ||
      ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return absl::InvalidArgumentError(
        absl::StrCat("CRL ", crls.size() + 1, " is damaged"));
  }
  if (crls.empty()) return absl::InvalidArgumentError("holds no PEM CRL");
  return crls;
}

absl::Status CheckSigned(const Crls& crls, const Chain& authorities) {
  for (size_t i = 0; i < crls.size(); ++i) {
    X509_CRL* const crl = crls[i].get();
    bool of_one = false;
    bool is_signed = false;
    for (const std::shared_ptr<X509>& authority : authorities) {
      if (X509_NAME_cmp(X509_get_subject_name(authority.get()),
                        X509_CRL_get_issuer(crl)) != 0) {
        continue;
      }
      of_one = true;
      is_signed = is_signed ||
                  X509_CRL_verify(crl, X509_get0_pubkey(authority.get())) == 1;
      ERR_clear_error();
    }
    if (of_one && !is_signed) {
      return absl::InvalidArgumentError(absl::StrCat(
          "CRL ", i + 1, " is not signed by the CA that it names"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDates(const Crls& crls) {
  for (const std::shared_ptr<X509_CRL>& crl : crls) {
    if (HasEnded(crl.get())) {
      return absl::FailedPreconditionError("a CRL has ended");
    }
    if (!HasBegun(crl.get())) {
      return absl::FailedPreconditionError("a CRL is not valid yet");
    }
  }
  return absl::OkStatus();
}

absl::Time EndOf(const Crls& crls) {
  absl::Time first = absl::InfiniteFuture();
  for (const std::shared_ptr<X509_CRL>& crl : crls) {
    const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(crl.get());
    std::tm end{};
    if (next == nullptr || ASN1_TIME_to_tm(next, &end) != 1) continue;
    first = std::min(first, absl::FromUnixSeconds(timegm(&end)));
  }
  return first;
}

absl::Status Use(const Crls& crls, SSL_CTX* context) {
  if (crls.empty()) return absl::OkStatus();
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const std::shared_ptr<X509_CRL>& crl : crls) {
    if (X509_STORE_add_crl(store, crl.get()) == 1) continue;
    ERR_clear_error();
    return absl::InternalError("OpenSSL does not take a CRL");
  }
  X509_STORE_set_flags(store,
                       X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return absl::OkStatus();
}

absl::Status CheckRevoked(const Crls& crls, const Chain& peer) {
  if (crls.empty()) return absl::OkStatus();
  if (peer.empty()) {
    return absl::PermissionDeniedError(
        "the certificate can't be looked for in the CRL");
  }
  for (size_t i = 0; i < peer.size(); ++i) {
    // A CA that is trusted is not revoked by itself.
    if (i > 0 && IsSelfSigned(peer[i].get())) continue;
    RETURN_IF_ERROR(CheckOne(crls, peer[i].get()));
  }
  return absl::OkStatus();
}

}  // namespace insula::tls
