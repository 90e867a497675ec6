// The facts by which bindings recognize callers, as keys to find them by.
#pragma once

#include <array>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"

namespace insula::tenancy {

// Stands for a fact: equal for two bindings exactly if they name the same one.
// 33 bytes, the method and a SHA-256: a token can't be chosen so that it looks
// like another method's fact.
class FactKey {
 public:
  // Of no fact.
  FactKey() = default;

  bool empty() const { return bytes_[0] == 0; }
  // The method.
  registry::v1::Binding::FactCase fact_case() const {
    return static_cast<registry::v1::Binding::FactCase>(bytes_[0]);
  }
  // All bytes. Points into this.
  absl::string_view view() const {
    return absl::string_view(bytes_.data(), bytes_.size());
  }
  // The SHA-256 alone.
  absl::string_view digest() const { return view().substr(1); }

  friend bool operator==(const FactKey&, const FactKey&) = default;
  template <typename H>
  friend H AbslHashValue(H hash, const FactKey& key) {
    return H::combine(std::move(hash), key.view());
  }

 private:
  friend FactKey MakeFactKey(registry::v1::Binding::FactCase fact_case,
                             absl::string_view digest);
  std::array<char, 33> bytes_ = {};
};

// Of a binding; empty if it has no fact.
FactKey FactKeyOf(const registry::v1::Binding& binding);

// Of 32 bytes; empty for any other number of them.
FactKey TokenKey(absl::string_view token_sha256);
FactKey ApiKeyKey(absl::string_view api_key_sha256);

FactKey JwtKey(absl::string_view issuer, absl::string_view claim,
               absl::string_view value);
// Of a project by its id, and by its name. `role` may be empty: any.
FactKey KeystoneIdKey(absl::string_view auth_url, absl::string_view project_id,
                      absl::string_view role);
FactKey KeystoneNameKey(absl::string_view auth_url,
                        absl::string_view project_domain_id,
                        absl::string_view project_name, absl::string_view role);
FactKey KubernetesUserKey(absl::string_view cluster, absl::string_view user);
FactKey KubernetesGroupKey(absl::string_view cluster, absl::string_view group);
FactKey CertificateUriKey(absl::string_view uri);
FactKey CertificateDnsKey(absl::string_view dns);
FactKey BasicKey(absl::string_view user);
FactKey HeaderKey(absl::string_view header, absl::string_view value);

// The name of the fact's field: "token_sha256", "jwt". Empty if it has none.
absl::string_view FactName(const registry::v1::Binding& binding);

// SHA-256, 32 bytes.
std::string Sha256(absl::string_view text);

}  // namespace insula::tenancy
