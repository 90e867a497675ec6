#include "libs/tls/test_authority.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace insula::tls {
namespace {

// What fails here is the machine, or a test that asks for nonsense.
template <typename T>
T Must(T result) {
  if (!result) abort();
  return result;
}

void AddExtension(X509* certificate, X509* issuer, int id,
                  const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension =
      Must(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestIdentity::~TestIdentity() {
  X509_free(certificate);
  EVP_PKEY_free(key);
}

TestAuthority::TestAuthority() {
  std::string pattern =
      std::filesystem::temp_directory_path() / "insula-tls-XXXXXX";
  directory_ = Must(mkdtemp(pattern.data()));
  Issue("ca", "", nullptr, &ca_);
}

TestAuthority::~TestAuthority() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TestAuthority::Replace(const TestIdentity& old,
                            const TestIdentity& identity) {
  const auto overwrite = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy_file(identity.key_file, old.key_file, overwrite);
  std::filesystem::copy_file(identity.cert_file, old.cert_file, overwrite);
}

std::unique_ptr<TestIdentity> TestAuthority::Issue(const std::string& name,
                                                   const std::string& names) {
  auto identity = std::make_unique<TestIdentity>();
  Issue(name, names, &ca_, identity.get());
  return identity;
}

std::string TestAuthority::Revoke(
    const std::vector<const TestIdentity*>& revoked, absl::Duration lifetime) {
  X509_CRL* const crl = Must(X509_CRL_new());
  X509_CRL_set_version(crl, X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca_.certificate));
  ASN1_TIME* const time = Must(ASN1_TIME_new());
  X509_gmtime_adj(time, -3600);
  X509_CRL_set1_lastUpdate(crl, time);
  for (const TestIdentity* identity : revoked) {
    X509_REVOKED* const entry = Must(X509_REVOKED_new());
    X509_REVOKED_set_serialNumber(entry,
                                  X509_get_serialNumber(identity->certificate));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(crl, entry);
  }
  X509_gmtime_adj(time, absl::ToInt64Seconds(lifetime));
  X509_CRL_set1_nextUpdate(crl, time);
  ASN1_TIME_free(time);
  X509_CRL_sort(crl);
  Must(X509_CRL_sign(crl, ca_.key, EVP_sha256()));
  const std::string path = directory_ + "/crl.pem";
  std::FILE* const file = Must(std::fopen(path.c_str(), "w"));
  PEM_write_X509_CRL(file, crl);
  std::fclose(file);
  X509_CRL_free(crl);
  return path;
}

void TestAuthority::Issue(const std::string& name, const std::string& names,
                          const TestIdentity* issuer, TestIdentity* out) {
  out->key = Must(EVP_EC_gen("P-256"));
  out->certificate = Must(X509_new());
  X509* const certificate = out->certificate;
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate),
                  absl::ToInt64Seconds(lifetime_) - 3600);
  X509_set_pubkey(certificate, out->key);
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* const parent = issuer == nullptr ? certificate : issuer->certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(parent));
  if (issuer == nullptr) {
    AddExtension(certificate, parent, NID_basic_constraints,
                 "critical,CA:TRUE");
  }
  if (!names.empty()) {
    AddExtension(certificate, parent, NID_subject_alt_name, names);
  }
  Must(X509_sign(certificate, issuer == nullptr ? out->key : issuer->key,
                 EVP_sha256()));
  out->cert_file = directory_ + "/" + name + ".pem";
  out->key_file = directory_ + "/" + name + ".key";
  std::FILE* file = Must(std::fopen(out->cert_file.c_str(), "w"));
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = Must(std::fopen(out->key_file.c_str(), "w"));
  PEM_write_PrivateKey(file, out->key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
}

}  // namespace insula::tls
