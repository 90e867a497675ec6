// A CA for tests, with what it signs as files.
#pragma once

#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace insula::tls {

// A certificate and its key.
struct TestIdentity {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
  std::string cert_file;
  std::string key_file;

  TestIdentity() = default;
  ~TestIdentity();
  TestIdentity(const TestIdentity&) = delete;
  TestIdentity& operator=(const TestIdentity&) = delete;
};

// Signs certificates in a directory of its own, which ends with it. Not
// thread-safe. What OpenSSL can't do aborts.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  const std::string& ca_file() const { return ca_.cert_file; }

  // How long the certificates to come are valid, from one hour ago on.
  void set_lifetime(absl::Duration lifetime) { lifetime_ = lifetime; }

  // Files NAME.pem and NAME.key. `names` as in "DNS:localhost,IP:127.0.0.1".
  std::unique_ptr<TestIdentity> Issue(const std::string& name,
                                      const std::string& names);

  // Writes a CRL to crl.pem, over the one before, that ends after `lifetime`,
  // and returns its path.
  std::string Revoke(const std::vector<const TestIdentity*>& revoked,
                     absl::Duration lifetime = absl::Hours(2));

  // Writes `identity` over the files of another one, of the same directory.
  static void Replace(const TestIdentity& old, const TestIdentity& identity);

 private:
  void Issue(const std::string& name, const std::string& names,
             const TestIdentity* issuer, TestIdentity* out);

  std::string directory_;
  TestIdentity ca_;
  int serial_ = 0;
  absl::Duration lifetime_ = absl::Hours(2);
};

}  // namespace insula::tls
