#include "libs/rpc/pem_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

constexpr size_t kMaxFileBytes = 16 << 20;  // CRLs grow.

absl::StatusOr<std::string> ReadFile(absl::string_view what,
                                     const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (path.empty() || !file) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " '", path, "' can't be read"));
  }
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() || text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " '", path, "' is empty or larger than 16 MiB"));
  }
  return text;
}

std::unique_ptr<BIO, decltype(&BIO_free)> Bio(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
          &BIO_free};
}

// The URIs among the alternative names.
std::vector<std::string> UrisOf(const X509* certificate) {
  std::vector<std::string> uris;
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  GENERAL_NAMES_free(names);
  return uris;
}

bool KeyFits(const X509* certificate, EVP_PKEY* key) {
  const bool fits = X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  return fits;
}

absl::StatusOr<tls::Chain> ReadCertificates(absl::string_view what,
                                            const std::string& file,
                                            const std::string& text) {
  absl::StatusOr<tls::Chain> chain = tls::ReadChain(text);
  if (!chain.ok()) {
    return Annotate(chain.status(), absl::StrCat(what, " '", file, "'"));
  }
  if (!chain->empty()) return chain;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " '", file, "' holds no PEM certificate"));
}

absl::StatusOr<tls::Crls> ReadCrlFile(const std::string& file,
                                      const std::string& ca) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile("CRL file", file));
  ASSIGN_OR_RETURN(const tls::Chain authorities, tls::ReadChain(ca));
  absl::StatusOr<tls::Crls> crls = tls::ReadCrls(text);
  const absl::Status status =
      crls.ok() ? tls::CheckSigned(*crls, authorities) : crls.status();
  if (!status.ok()) {
    return Annotate(status, absl::StrCat("CRL file '", file, "'"));
  }
  return crls;
}

std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> ReadKey(
    const std::string& text) {
  // No password can be asked for.
  auto no_password = [](char*, int, int, void*) { return 0; };
  EVP_PKEY* const key =
      PEM_read_bio_PrivateKey(Bio(text).get(), nullptr, no_password, nullptr);
  ERR_clear_error();
  return {key, &EVP_PKEY_free};
}

// gRPC takes anything and then fails each handshake, so the files are looked at
// here.
absl::StatusOr<PemFiles::Made> Load(const Tls& tls) {
  auto pem = std::make_shared<Pem>();
  ASSIGN_OR_RETURN(pem->cert, ReadFile("certificate file", tls.cert_file));
  ASSIGN_OR_RETURN(pem->key, ReadFile("key file", tls.key_file));
  ASSIGN_OR_RETURN(pem->ca, ReadFile("CA file", tls.ca_file));
  PemFiles::Made made;
  ASSIGN_OR_RETURN(made.chain, ReadCertificates("certificate file",
                                                tls.cert_file, pem->cert));
  RETURN_IF_ERROR(ReadCertificates("CA file", tls.ca_file, pem->ca).status());
  if (!tls.crl_file.empty()) {
    ASSIGN_OR_RETURN(pem->crls, ReadCrlFile(tls.crl_file, pem->ca));
    made.crls = pem->crls;
  }
  const auto key = ReadKey(pem->key);
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("key file '", tls.key_file,
                     "' holds no PEM private key without a password"));
  }
  if (!KeyFits(made.chain[0].get(), key.get())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key of '", tls.key_file,
        "' does not belong to the certificate of '", tls.cert_file, "'"));
  }
  absl::StatusOr<Identity> own = IdentityOf(UrisOf(made.chain[0].get()));
  if (!own.ok()) {
    return Annotate(own.status(),
                    absl::StrCat("certificate file '", tls.cert_file, "'"));
  }
  pem->own = *std::move(own);
  made.value = std::move(pem);
  return made;
}

}  // namespace

PemFiles FollowPem(const Tls& tls, metrics::Registry* metrics) {
  return PemFiles(
      {{tls.cert_file, tls.key_file, tls.ca_file, tls.crl_file},
       tls.cert_file,
       tls.crl_file},
      [tls] { return Load(tls); }, metrics);
}

}  // namespace insula::rpc
