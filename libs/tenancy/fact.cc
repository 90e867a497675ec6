#include "libs/tenancy/fact.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace insula::tenancy {

namespace v1 = ::insula::registry::v1;

FactKey MakeFactKey(v1::Binding::FactCase fact_case, absl::string_view digest) {
  FactKey key;
  if (digest.size() != key.bytes_.size() - 1) return key;
  static_assert(v1::Binding::kHeader < 128, "a method has one byte");
  key.bytes_[0] = static_cast<char>(fact_case);
  std::copy(digest.begin(), digest.end(), key.bytes_.begin() + 1);
  return key;
}

namespace {

// Each part with its length before it, so that ("ab", "c") is not ("a", "bc").
FactKey Digested(v1::Binding::FactCase fact_case,
                 std::initializer_list<absl::string_view> parts) {
  std::string text;
  for (const absl::string_view part : parts) {
    absl::StrAppend(&text, part.size(), ":", part);
  }
  return MakeFactKey(fact_case, Sha256(text));
}

}  // namespace

std::string Sha256(absl::string_view text) {
  // To look the algorithm up and to make a context costs more than the digest
  // of a token does.
  static const EVP_MD* const algorithm =
      EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>
      context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  if (algorithm == nullptr || context == nullptr ||
      EVP_DigestInit_ex(context.get(), algorithm, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(),
                         reinterpret_cast<unsigned char*>(digest.data()),
                         nullptr) != 1) {
    // Without digests nobody could be told from anybody else.
    std::fputs("OpenSSL can't compute a digest\n", stderr);
    std::abort();
  }
  return digest;
}

FactKey TokenKey(absl::string_view token_sha256) {
  return MakeFactKey(v1::Binding::kTokenSha256, token_sha256);
}
FactKey ApiKeyKey(absl::string_view api_key_sha256) {
  return MakeFactKey(v1::Binding::kApiKeySha256, api_key_sha256);
}
FactKey JwtKey(absl::string_view issuer, absl::string_view claim,
               absl::string_view value) {
  return Digested(v1::Binding::kJwt, {issuer, claim, value});
}
FactKey KeystoneIdKey(absl::string_view auth_url, absl::string_view project_id,
                      absl::string_view role) {
  return Digested(v1::Binding::kKeystone, {"id", auth_url, project_id, role});
}
FactKey KeystoneNameKey(absl::string_view auth_url,
                        absl::string_view project_domain_id,
                        absl::string_view project_name,
                        absl::string_view role) {
  return Digested(v1::Binding::kKeystone,
                  {"name", auth_url, project_domain_id, project_name, role});
}
FactKey KubernetesUserKey(absl::string_view cluster, absl::string_view user) {
  return Digested(v1::Binding::kKubernetes, {"user", cluster, user});
}
FactKey KubernetesGroupKey(absl::string_view cluster, absl::string_view group) {
  return Digested(v1::Binding::kKubernetes, {"group", cluster, group});
}
FactKey CertificateUriKey(absl::string_view uri) {
  return Digested(v1::Binding::kCertificate, {"uri", uri});
}
FactKey CertificateDnsKey(absl::string_view dns) {
  // Names of hosts are the same in any case.
  return Digested(v1::Binding::kCertificate,
                  {"dns", absl::AsciiStrToLower(dns)});
}
FactKey BasicKey(absl::string_view user) {
  return Digested(v1::Binding::kBasic, {user});
}
FactKey HeaderKey(absl::string_view header, absl::string_view value) {
  return Digested(v1::Binding::kHeader, {absl::AsciiStrToLower(header), value});
}

FactKey FactKeyOf(const v1::Binding& binding) {
  switch (binding.fact_case()) {
    case v1::Binding::kTokenSha256:
      return TokenKey(binding.token_sha256());
    case v1::Binding::kApiKeySha256:
      return ApiKeyKey(binding.api_key_sha256());
    case v1::Binding::kJwt:
      return JwtKey(binding.jwt().issuer(), binding.jwt().claim(),
                    binding.jwt().value());
    case v1::Binding::kKeystone: {
      const v1::KeystoneFact& fact = binding.keystone();
      if (!fact.project_id().empty()) {
        return KeystoneIdKey(fact.auth_url(), fact.project_id(), fact.role());
      }
      return KeystoneNameKey(fact.auth_url(), fact.project_domain_id(),
                             fact.project_name(), fact.role());
    }
    case v1::Binding::kKubernetes: {
      const v1::KubernetesFact& fact = binding.kubernetes();
      return fact.group().empty()
                 ? KubernetesUserKey(fact.cluster(), fact.user())
                 : KubernetesGroupKey(fact.cluster(), fact.group());
    }
    case v1::Binding::kCertificate:
      return binding.certificate().dns().empty()
                 ? CertificateUriKey(binding.certificate().uri())
                 : CertificateDnsKey(binding.certificate().dns());
    case v1::Binding::kBasic:
      return BasicKey(binding.basic().user());
    case v1::Binding::kHeader:
      return HeaderKey(binding.header().header(), binding.header().value());
    case v1::Binding::FACT_NOT_SET:
      break;
  }
  return FactKey();
}

absl::string_view FactName(const v1::Binding& binding) {
  const google::protobuf::FieldDescriptor* const field =
      binding.GetReflection()->GetOneofFieldDescriptor(
          binding, v1::Binding::descriptor()->FindOneofByName("fact"));
  return field == nullptr ? absl::string_view() : field->name();
}

}  // namespace insula::tenancy
