#include "libs/rpc/internal_config.h"

#include <arpa/inet.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/rpc/identity.h"
#include "libs/rpc/refused_call.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::rpc {
namespace {

// Whether nobody outside of this host reaches `address`.
bool IsOfThisHost(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  absl::string_view host = address.substr(0, address.rfind(':'));
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  if (host == "localhost") return true;
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace

void InternalTls::Describe(config::Fields& fields) {
  fields.Add("cert_file", cert_file,
             "Certificate chain of this service, PEM, to show to other "
             "services and their clients. Read again when it changes.");
  fields.Add("key_file", key_file, "Its private key, PEM.");
  fields.Add("ca_file", ca_file,
             "CA of the services' and their clients' certificates, PEM.");
  fields.Add("crl_file", crl_file,
             "Certificates of services and their clients that are revoked: a "
             "CRL of each CA of their chains, PEM. Empty: none.");
  fields.Add("admins", admins,
             "SPIFFE ids (spiffe://example.org/admin/jo) of callers that may "
             "call every method. Others need a Binding of their certificate.");
}

void InternalConfig::Describe(config::Fields& fields) {
  fields.AddGroup("internal", tls);
  fields.Add("insecure_internal", insecure,
             "Without certificates: gRPC in plain text, on loopback addresses "
             "or Unix sockets. Whoever reaches it may do everything.");
}

absl::Status InternalConfig::Validate(
    const std::vector<std::pair<absl::string_view, std::string>>& addresses)
    const {
  const bool all =
      !tls.cert_file.empty() && !tls.key_file.empty() && !tls.ca_file.empty();
  const bool none =
      tls.cert_file.empty() && tls.key_file.empty() && tls.ca_file.empty();
  if (!all && !none) {
    return absl::InvalidArgumentError(
        "internal.cert_file: cert_file, key_file and ca_file belong together, "
        "give all three");
  }
  if (none && !tls.crl_file.empty()) {
    return absl::InvalidArgumentError(
        "internal.crl_file: there are no certificates to revoke, give "
        "internal.cert_file");
  }
  for (const std::string& admin : tls.admins) {
    RETURN_IF_ERROR(Annotate(ParseIdentity(admin).status(), "internal.admins"));
  }
  if (all && insecure) {
    return absl::InvalidArgumentError(
        "insecure_internal: there are certificates in internal.cert_file, "
        "leave out the one or the other");
  }
  if (all) return absl::OkStatus();
  if (!insecure) {
    return absl::InvalidArgumentError(
        "internal.cert_file: gRPC between services needs certificates: give "
        "internal.cert_file, internal.key_file and internal.ca_file "
        "(tools/dev-ca makes some to try with), or --insecure-internal on "
        "loopback addresses");
  }
  for (const auto& [key, address] : addresses) {
    if (IsOfThisHost(address)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        key, ": plain text is for loopback addresses and unix:/path, not for '",
        address, "': give certificates in internal.cert_file"));
  }
  return absl::OkStatus();
}

std::optional<Tls> InternalConfig::client() const {
  if (tls.cert_file.empty()) return std::nullopt;
  return tls;
}

ServerOptions InternalConfig::ServerAt(const std::string& listen_address,
                                       const CallerBindings* bindings,
                                       metrics::Registry* metrics,
                                       audit::AuditLog* audit) const {
  ServerOptions options;
  options.listen_address = listen_address;
  options.tls = client();
  options.admins = tls.admins;
  options.bindings = bindings;
  options.metrics = metrics;
  options.on_refused = AuditRefusals(audit);
  return options;
}

}  // namespace insula::rpc
