#include "libs/http/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tls/chain.h"

namespace insula::http {
namespace {

namespace ssl = boost::asio::ssl;
using Context = std::shared_ptr<ssl::context>;

constexpr unsigned char kAlpn[] = "\x08http/1.1";
constexpr unsigned kAlpnLength = sizeof(kAlpn) - 1;
constexpr size_t kMaxFileBytes = 16 << 20;  // Of CRLs, which grow.

absl::Status FileError(absl::string_view what, absl::string_view file,
                       const boost::system::error_code& error) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat("can't use the ", what, " '",
                                                 file, "': ", error.message(),
                                                 "; give a readable PEM file"));
}

absl::StatusOr<Context> NewContext(ssl::context::method method) {
  Context context;
  try {
    context = std::make_shared<ssl::context>(method);
  } catch (const boost::system::system_error& error) {
    return absl::InternalError(absl::StrCat("OpenSSL: ", error.what()));
  }
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Some 30 KiB less for an idle connection.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

absl::Status LoadOwnCertificate(absl::string_view cert_file,
                                absl::string_view key_file,
                                ssl::context* context) {
  boost::system::error_code error;
  context->use_certificate_chain_file(std::string(cert_file), error);
  if (error) return FileError("certificate", cert_file, error);
  context->use_private_key_file(std::string(key_file), ssl::context::pem,
                                error);
  if (error) return FileError("private key", key_file, error);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("the private key '", key_file,
                     "' does not fit the certificate '", cert_file, "'"));
  }
  return absl::OkStatus();
}

absl::Status PemError(absl::string_view what,
                      const boost::system::error_code& error) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(
      "can't use the text of the ", what, ": ", error.message(), "; give PEM"));
}

absl::Status UseOwnCertificate(absl::string_view cert_pem,
                               absl::string_view key_pem,
                               ssl::context* context) {
  boost::system::error_code error;
  context->use_certificate_chain(
      boost::asio::buffer(cert_pem.data(), cert_pem.size()), error);
  if (error) return PemError("certificate", error);
  context->use_private_key(boost::asio::buffer(key_pem.data(), key_pem.size()),
                           ssl::context::pem, error);
  if (error) return PemError("private key", error);
  if (SSL_CTX_check_private_key(context->native_handle()) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return absl::InvalidArgumentError(
      "the private key does not fit the certificate");
}

absl::StatusOr<std::string> ReadText(absl::string_view what,
                                     const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (!text.empty() && text.size() <= kMaxFileBytes) return text;
  return absl::InvalidArgumentError(
      absl::StrCat("can't use the ", what, " '", file,
                   "'; give a readable PEM file of at most 16 MiB"));
}

absl::StatusOr<tls::Crls> ReadCrlFile(const std::string& file,
                                      const std::string& ca_file) {
  ASSIGN_OR_RETURN(const std::string text, ReadText("CRL", file));
  ASSIGN_OR_RETURN(const std::string ca_text, ReadText("client CA", ca_file));
  absl::StatusOr<tls::Crls> crls = tls::ReadCrls(text);
  ASSIGN_OR_RETURN(const tls::Chain authorities, tls::ReadChain(ca_text));
  const absl::Status status =
      crls.ok() ? tls::CheckSigned(*crls, authorities) : crls.status();
  if (!status.ok()) return Annotate(status, absl::StrCat("CRL '", file, "'"));
  return crls;
}

int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_length,
               const unsigned char* in, unsigned in_length, void*) {
  const int result =
      SSL_select_next_proto(const_cast<unsigned char**>(out), out_length, kAlpn,
                            kAlpnLength, in, in_length);
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                          : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

absl::StatusOr<Context> MakeServerContext(const ServerTls& tls,
                                          tls::Crls* crls) {
  ASSIGN_OR_RETURN(Context context, NewContext(ssl::context::tls_server));
  RETURN_IF_ERROR(
      LoadOwnCertificate(tls.cert_file, tls.key_file, context.get()));
  SSL_CTX_set_alpn_select_cb(context->native_handle(), SelectAlpn, nullptr);
  if (tls.client_ca_file.empty()) return context;

  boost::system::error_code error;
  context->load_verify_file(tls.client_ca_file, error);
  if (error) return FileError("client CA", tls.client_ca_file, error);
  if (!tls.client_crl_file.empty()) {
    ASSIGN_OR_RETURN(*crls,
                     ReadCrlFile(tls.client_crl_file, tls.client_ca_file));
    RETURN_IF_ERROR(tls::Use(*crls, context->native_handle()));
  }
  SSL_CTX_set_verify(context->native_handle(),
                     SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     nullptr);
  // Each connection shows the certificate anew. A resumed session stands for
  // the one of before, which may have expired since, and which another user of
  // the same proxy may have shown.
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context->native_handle(), 0);
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  return context;
}

absl::StatusOr<Context> MakeClientContext(const ClientTls& tls) {
  ASSIGN_OR_RETURN(Context context, NewContext(ssl::context::tls_client));
  boost::system::error_code error;
  if (!tls.ca_pem.empty()) {
    context->add_certificate_authority(boost::asio::buffer(tls.ca_pem), error);
    if (error) return PemError("CA", error);
  } else if (!tls.ca_file.empty()) {
    context->load_verify_file(tls.ca_file, error);
    if (error) return FileError("CA", tls.ca_file, error);
  } else {
    context->set_default_verify_paths(error);
    if (error) return FileError("CA directory", "of the system", error);
  }
  if (!tls.cert_pem.empty()) {
    RETURN_IF_ERROR(
        UseOwnCertificate(tls.cert_pem, tls.key_pem, context.get()));
  }
  if (!tls.cert_file.empty()) {
    RETURN_IF_ERROR(
        LoadOwnCertificate(tls.cert_file, tls.key_file, context.get()));
  }
  SSL_CTX_set_verify(context->native_handle(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(context->native_handle(), kAlpn, kAlpnLength);
  return context;
}

absl::Status ExpectServer(SSL* ssl, absl::string_view name) {
  const std::string copy(name);
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(copy, not_an_address);
  bool ok;
  if (!not_an_address) {
    ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), copy.c_str()) == 1;
  } else {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ok = SSL_set_tlsext_host_name(ssl, copy.c_str()) == 1 &&
         SSL_set1_host(ssl, copy.c_str()) == 1;
  }
  if (ok) return absl::OkStatus();
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' can't be a TLS server's name"));
}

}  // namespace insula::http
