// Only tokens that were signed pass for signed, whatever is around them.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "libs/auth/base64url.h"
#include "libs/auth/jwk.h"
#include "libs/auth/jwt.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

// The private halves are gone: these two texts are all that they ever signed.
constexpr char kKeys[] =
    R"({"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"oZzRENA81Z0-zx2)"
    R"(mesTmgYcJDz5ExAtHEON669QGVv0","y":"a5q4ls3laW6wmwzTiXPVUeMcXZJrxvg)"
    R"(TaklcNDw_MhU"},{"kty":"RSA","kid":"rsa","n":"1h2ZJAugs5eVPf3AVFnaw)"
    R"(N310nh00LKsBQxDXfz-IU_RqwCDza_hspCeP2DW7JmH2P4XkIyBEDKANn_rTVEA5ly)"
    R"(gMpRaA7myjjVIx65wHmhqJffwAfOkHBHbg07x_X2A9F68AW-rJ8Pzr7yWo-82K5hii)"
    R"(uzmYplr96zMnOV7BCwKi7t7EVuNL0njmTjtpHhoMCN6oWlLqSmQUwMi1S2LjaXg_aG)"
    R"(3Ysrnw7i5E5MZ93cIdfySFIP2xo9VzFlROlg2djuSlkaT1zquFtkcVNmxuMc6XOcwv)"
    R"(8eSJbdRvKbh5mrLybcs6b3DOVsVdupyoidkIhsX6vYppjphKdw4t4SIQw","e":"AQ)"
    R"(AB"}]})";
constexpr char kSignedByEc[] =
    R"(eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW)"
    R"(1wbGUiLCJhdWQiOiJpbnN1bGEiLCJzdWIiOiJhbm4iLCJpYXQiOjE3OTk5OTk5OTAs)"
    R"(ImV4cCI6MTgwMDAwMDMwMH0)";
constexpr char kSignedByRsa[] =
    R"(eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4Y)"
    R"(W1wbGUiLCJhdWQiOiJpbnN1bGEiLCJzdWIiOiJhbm4iLCJpYXQiOjE3OTk5OTk5OTA)"
    R"(sImV4cCI6MTgwMDAwMDMwMH0)";

void CheckToken(absl::string_view token) {
  static const auth::JwkSet& keys =
      *new auth::JwkSet(auth::JwkSet::Parse(kKeys).value());
  const absl::StatusOr<auth::Jwt> jwt = auth::Jwt::Parse(token);
  if (!jwt.ok()) {
    FUZZ_CHECK(jwt.status().code() == absl::StatusCode::kUnauthenticated,
               jwt.status().ToString());
    return;
  }
  const std::string again = absl::StrCat(
      jwt->signed_text(), ".", auth::EncodeBase64Url(jwt->signature()));
  FUZZ_CHECK(again == token, again);

  auth::JwtRules rules;
  rules.issuer = jwt->issuer();
  rules.audiences = auth::ClaimValues(jwt->claims(), "aud");
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  if (auth::CheckClaims(*jwt, rules, now).ok()) {
    FUZZ_CHECK(auth::ExpiryOf(*jwt) + rules.leeway > now, token);
    FUZZ_CHECK(auth::ExpiryOf(*jwt) < now + absl::Hours(25), token);
  }
  const auth::Jwk* key = keys.Find(jwt->kid(), jwt->algorithm());
  if (key == nullptr || !auth::CheckSignature(*jwt, *key).ok()) return;
  FUZZ_CHECK(jwt->signed_text() == (key->is_rsa ? kSignedByRsa : kSignedByEc),
             token);
}

FUZZ_TARGET(jwt) {
  CheckToken(input);
  // JSON in place of the base64url that hides it from mutation.
  const size_t end = input.find('\n');
  if (end != absl::string_view::npos) {
    const absl::string_view rest = input.substr(end + 1);
    CheckToken(absl::StrCat(auth::EncodeBase64Url(input.substr(0, end)), ".",
                            auth::EncodeBase64Url(rest), ".AAAA"));
  }
  const absl::StatusOr<auth::JwkSet> set = auth::JwkSet::Parse(input);
  if (set.ok()) {
    FUZZ_CHECK(set->size() + set->skipped() <= auth::JwkSet::kMaxKeys, input);
  }
}

}  // namespace
}  // namespace insula
