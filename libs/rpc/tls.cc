#include "libs/rpc/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;

struct Pem {
  std::string cert;
  std::string key;
  std::string ca;
};

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
        absl::StrCat(what, " '", path, "' is empty or larger than 1 MiB"));
  }
  return text;
}

std::unique_ptr<BIO, decltype(&BIO_free)> Bio(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
          &BIO_free};
}

// gRPC takes anything and then fails each handshake, so the files are looked at
// here.
absl::Status Check(const Pem& pem, const Tls& tls) {
  // No password can be asked for.
  auto no_password = [](char*, int, int, void*) { return 0; };
  const std::unique_ptr<X509, decltype(&X509_free)> cert(
      PEM_read_bio_X509(Bio(pem.cert).get(), nullptr, nullptr, nullptr),
      &X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(Bio(pem.key).get(), nullptr, no_password,
                              nullptr),
      &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> ca(
      PEM_read_bio_X509(Bio(pem.ca).get(), nullptr, nullptr, nullptr),
      &X509_free);
  const bool fits = cert != nullptr && key != nullptr &&
                    X509_check_private_key(cert.get(), key.get()) == 1;
  ERR_clear_error();
  if (cert == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "certificate file '", tls.cert_file, "' holds no PEM certificate"));
  }
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("key file '", tls.key_file,
                     "' holds no PEM private key without a password"));
  }
  if (ca == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("CA file '", tls.ca_file, "' holds no PEM certificate"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the key of '", tls.key_file,
        "' does not belong to the certificate of '", tls.cert_file, "'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Pem> Load(const Tls& tls) {
  Pem pem;
  ASSIGN_OR_RETURN(pem.cert, ReadFile("certificate file", tls.cert_file));
  ASSIGN_OR_RETURN(pem.key, ReadFile("key file", tls.key_file));
  ASSIGN_OR_RETURN(pem.ca, ReadFile("CA file", tls.ca_file));
  RETURN_IF_ERROR(Check(pem, tls));
  return pem;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(
    const std::optional<Tls>& tls) {
  if (!tls.has_value()) return grpc::InsecureServerCredentials();
  ASSIGN_OR_RETURN(Pem pem, Load(*tls));
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = std::move(pem.ca);
  options.pem_key_cert_pairs.push_back(
      {std::move(pem.key), std::move(pem.cert)});
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(
    const std::optional<Tls>& tls) {
  if (!tls.has_value()) return grpc::InsecureChannelCredentials();
  ASSIGN_OR_RETURN(Pem pem, Load(*tls));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = std::move(pem.ca);
  options.pem_private_key = std::move(pem.key);
  options.pem_cert_chain = std::move(pem.cert);
  return grpc::SslCredentials(options);
}

}  // namespace insula::rpc
