#include "libs/auth/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "libs/auth/base64url.h"
#include "libs/auth/jwk.h"
#include "libs/auth/jwt_signer.h"
#include "libs/status/status_macros.h"
#include "libs/status/status_matchers.h"

namespace insula::auth {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::NotNull;
using enum JwtAlgorithm;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr char kClaims[] =
    R"({"iss":"https://id.example","aud":"insula","sub":"ann",)"
    R"("iat":1799999990,"exp":1800000300})";

const SigningKey& RsaKey() {
  static const SigningKey& key = *new SigningKey(SigningKey::Rsa());
  return key;
}
const SigningKey& OtherRsaKey() {
  static const SigningKey& key = *new SigningKey(SigningKey::Rsa());
  return key;
}
const SigningKey& EcKey() {
  static const SigningKey& key = *new SigningKey(SigningKey::Ec());
  return key;
}

std::string SetOf(const std::vector<std::string>& keys) {
  std::string text = R"({"keys":[)";
  for (const std::string& key : keys) {
    absl::StrAppend(&text, text.back() == '[' ? "" : ",", key);
  }
  return absl::StrCat(text, "]}");
}

JwkSet Keys() {
  auto set = JwkSet::Parse(
      SetOf({RsaKey().PublicJwk("rsa"), EcKey().PublicJwk("ec"),
             OtherRsaKey().PublicJwk("only-ps", R"(,"alg":"PS256")")}));
  EXPECT_THAT(set, IsOk());
  return *std::move(set);
}

JwtRules Rules() {
  JwtRules rules;
  rules.issuer = "https://id.example";
  rules.audiences = {"insula"};
  return rules;
}

absl::Status Check(absl::string_view token, const JwtRules& rules = Rules()) {
  static const JwkSet& keys = *new JwkSet(Keys());
  ASSIGN_OR_RETURN(const Jwt jwt, Jwt::Parse(token));
  RETURN_IF_ERROR(CheckHeader(jwt, rules));
  const Jwk* key = keys.Find(jwt.kid(), jwt.algorithm());
  if (key == nullptr) return absl::UnauthenticatedError("no such key");
  RETURN_IF_ERROR(CheckSignature(jwt, *key));
  return CheckClaims(jwt, rules, kNow);
}

std::string Header(absl::string_view alg, absl::string_view kid,
                   absl::string_view more = "") {
  return absl::StrCat(R"({"alg":")", alg, R"(","kid":")", kid, "\"", more, "}");
}

std::string Good(absl::string_view claims = kClaims) {
  return RsaKey().Token(kRs256, Header("RS256", "rsa"), claims);
}

TEST(JwtTest, TakesEachAlgorithm) {
  EXPECT_THAT(Check(Good()), IsOk());
  EXPECT_THAT(Check(RsaKey().Token(kPs256, Header("PS256", "rsa"), kClaims)),
              IsOk());
  EXPECT_THAT(Check(EcKey().Token(kEs256, Header("ES256", "ec"), kClaims)),
              IsOk());
  EXPECT_THAT(
      Check(OtherRsaKey().Token(kPs256, Header("PS256", "only-ps"), kClaims)),
      IsOk());
}

TEST(JwtTest, TakesAKeyWithoutKidIfOnlyOneFits) {
  EXPECT_THAT(Check(EcKey().Token(kEs256, R"({"alg":"ES256"})", kClaims)),
              IsOk());
  // Two RSA keys could have made this one.
  EXPECT_THAT(Check(RsaKey().Token(kPs256, R"({"alg":"PS256"})", kClaims)),
              Not(IsOk()));
}

TEST(JwtTest, TakesHeaderFieldsThatMeanNothing) {
  EXPECT_THAT(
      Check(RsaKey().Token(
          kRs256, Header("RS256", "rsa", R"(,"typ":"at+jwt","x":1)"), kClaims)),
      IsOk());
}

TEST(JwtTest, LooksAtTheClockWithLeeway) {
  const auto with = [](absl::string_view times) {
    return Check(Good(absl::StrCat(
        R"({"iss":"https://id.example","aud":["x","insula"],)", times, "}")));
  };
  EXPECT_THAT(with(R"("exp":1799999941)"), IsOk());
  EXPECT_THAT(
      with(R"("exp":1799999940)"),
      StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("has expired")));
  EXPECT_THAT(with(R"("exp":1800000001.5,"nbf":1800000060)"), IsOk());
  EXPECT_THAT(with(R"("exp":1800000100,"nbf":1800000061)"), Not(IsOk()));
  EXPECT_THAT(with(R"("exp":1800000100,"iat":1800000061)"), Not(IsOk()));
  EXPECT_THAT(with(R"("exp":1800086400,"iat":1800000000)"), IsOk());
  EXPECT_THAT(with(R"("exp":1800086461,"iat":1800000000)"),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("is valid for longer")));
  EXPECT_THAT(with(R"("exp":1800086461)"), Not(IsOk()));
}

struct Forged {
  std::string name;
  std::string token;
  friend void PrintTo(const Forged& forged, std::ostream* out) {
    *out << forged.name;
  }
};

class ForgedJwtTest : public testing::TestWithParam<Forged> {};

TEST_P(ForgedJwtTest, IsRefused) {
  const absl::Status verdict = Check(GetParam().token);
  EXPECT_THAT(verdict.code(), Eq(absl::StatusCode::kUnauthenticated))
      << verdict;
  // Neither the token nor a part of it is in the message.
  if (GetParam().token.size() > 16) {
    EXPECT_THAT(std::string(verdict.message()),
                Not(HasSubstr(GetParam().token.substr(0, 16))));
  }
}

std::string With(absl::string_view header, absl::string_view claims,
                 absl::string_view signature) {
  return absl::StrCat(SignedText(header, claims), ".",
                      EncodeBase64Url(signature));
}

std::string Signed(absl::string_view header) {
  return RsaKey().Token(kRs256, header, kClaims);
}

std::string Claiming(absl::string_view from, absl::string_view to) {
  return Good(absl::StrReplaceAll(kClaims, {{from, to}}));
}

std::string FlipLast(std::string token) {
  // A bit that means something, of the last byte but some.
  char& c = token[token.size() - 8];
  c = c == 'A' ? 'B' : 'A';
  return token;
}

std::vector<Forged> ForgedTokens() {
  const std::string hs = SignedText(Header("HS256", "rsa"), kClaims);
  const std::string rs = SignedText(Header("RS256", "rsa"), kClaims);
  const std::string ps = SignedText(Header("PS256", "rsa"), kClaims);
  const std::string es = SignedText(Header("ES256", "ec"), kClaims);
  const std::string good = Good();
  const auto dot = [](absl::string_view text, absl::string_view signature) {
    return absl::StrCat(text, ".", EncodeBase64Url(signature));
  };
  std::string zeros(64, '\0');
  const std::string deep =
      absl::StrCat(std::string(17, '['), std::string(17, ']'));
  return {
      {"Empty", ""},
      {"NoneWithoutSignature",
       absl::StrCat(SignedText(R"({"alg":"none"})", kClaims), ".")},
      {"NoneWithSignature", With(R"({"alg":"none"})", kClaims, "x")},
      {"NoneInOtherCase", With(R"({"alg":"nOnE"})", kClaims, "x")},
      {"HmacWithThePublicKeyInPem", dot(hs, Hmac(RsaKey().PublicPem(), hs))},
      {"HmacWithTheJwk", dot(hs, Hmac(RsaKey().PublicJwk("rsa"), hs))},
      {"HmacWithAnEmptyKey", dot(hs, Hmac("", hs))},
      {"AlgInLowerCase", Signed(Header("rs256", "rsa"))},
      {"AlgOfAnotherKind", Signed(R"({"alg":["RS256"],"kid":"rsa"})")},
      {"NoAlg", Signed(R"({"kid":"rsa"})")},
      {"AlgRs512", Signed(Header("RS512", "rsa"))},
      {"RsaSaysEs", dot(SignedText(Header("ES256", "rsa"), kClaims),
                        RsaKey().Sign(kRs256, rs))},
      {"EcKeyForRs", dot(SignedText(Header("RS256", "ec"), kClaims),
                         EcKey().Sign(kEs256, es))},
      {"PssSignatureSaysRs", dot(rs, RsaKey().SignPss(32, rs))},
      {"PssWithoutSalt", dot(ps, RsaKey().SignPss(0, ps))},
      {"PssWithALongSalt", dot(ps, RsaKey().SignPss(64, ps))},
      {"KeyForAnotherAlgorithm",
       OtherRsaKey().Token(kRs256, Header("RS256", "only-ps"), kClaims)},
      {"AnotherKey",
       OtherRsaKey().Token(kRs256, Header("RS256", "rsa"), kClaims)},
      {"UnknownKid", Signed(Header("RS256", "nobody"))},
      {"KidIsAPath", Signed(Header("RS256", "../../../dev/null"))},
      {"KidIsSql", Signed(Header("RS256", "x' UNION SELECT 'k"))},
      {"KidIsEmpty", Signed(Header("RS256", ""))},
      {"KidIsANumber", Signed(R"({"alg":"RS256","kid":1})")},
      {"KidIsLong", Signed(Header("RS256", std::string(257, 'k')))},
      {"OwnKeyInTheHeader",
       OtherRsaKey().Token(kRs256,
                           absl::StrCat(R"({"alg":"RS256","jwk":)",
                                        OtherRsaKey().PublicJwk("mine"), "}"),
                           kClaims)},
      {"KeysElsewhere",
       OtherRsaKey().Token(
           kRs256,
           Header("RS256", "rsa", R"(,"jku":"https://evil.example/keys")"),
           kClaims)},
      {"CertificateElsewhere",
       OtherRsaKey().Token(
           kRs256,
           Header("RS256", "rsa", R"(,"x5u":"https://evil.example/c.pem")"),
           kClaims)},
      {"Critical", Signed(Header("RS256", "rsa", R"(,"crit":["exp"])"))},
      {"CriticalAndEmpty", Signed(Header("RS256", "rsa", R"(,"crit":[])"))},
      {"PayloadNotEncoded", Signed(Header("RS256", "rsa", R"(,"b64":false)"))},
      {"Compressed", Signed(Header("RS256", "rsa", R"(,"zip":"DEF")"))},
      {"Encrypted", Signed(Header("RS256", "rsa", R"(,"enc":"A128GCM")"))},
      {"OfAnotherType", Signed(Header("RS256", "rsa", R"(,"typ":"dpop+jwt")"))},
      {"TwoAlgs", Signed(R"({"alg":"none","alg":"RS256","kid":"rsa"})")},
      {"TwoIssuers",
       Claiming(R"("sub")", R"("iss":"https://id.example","sub")")},
      {"HeaderIsAnArray", Signed(R"(["RS256"])")},
      {"HeaderIsNoJson", Signed("RS256")},
      {"HeaderIsDeep",
       Signed(Header("RS256", "rsa", absl::StrCat(R"(,"x":)", deep)))},
      {"ClaimsAreNoObject", Good("[]")},
      {"ClaimsAreDeep",
       Claiming(R"("sub":"ann")", absl::StrCat(R"("sub":)", deep))},
      {"ClaimsAreNotUtf8", Claiming("ann", "\xff\xfe")},
      {"SignatureOfOtherClaims",
       dot(SignedText(Header("RS256", "rsa"),
                      absl::StrReplaceAll(kClaims, {{"ann", "bob"}})),
           RsaKey().Sign(kRs256, rs))},
      {"SignatureWithABitFlipped", FlipLast(good)},
      {"SignatureMissing", rs},
      {"SignatureEmpty", absl::StrCat(rs, ".")},
      {"SignatureCutShort", good.substr(0, good.size() - 4)},
      {"SignatureWithPadding", absl::StrCat(good, "==")},
      {"SignatureInPlainBase64", absl::StrCat(rs, ".+/+/")},
      {"FourParts", absl::StrCat(good, ".x")},
      {"FiveParts", absl::StrCat(good, ".x.y")},
      {"SpaceBefore", absl::StrCat(" ", good)},
      {"LineFeedInside", absl::StrCat(rs.substr(0, 8), "\n", rs.substr(8),
                                      good.substr(rs.size()))},
      {"EsInDer", dot(es, EcKey().SignDer(es))},
      {"EsOfZeros", dot(es, zeros)},
      {"EsWithAByteMore", dot(es, EcKey().Sign(kEs256, es) + "x")},
      {"AnotherIssuer", Claiming("id.example", "evil.example")},
      {"IssuerWithASlash", Claiming("id.example", "id.example/")},
      {"IssuerInUpperCase", Claiming("id.example", "ID.example")},
      {"NoIssuer", Claiming(R"("iss":"https://id.example",)", "")},
      {"IssuerIsAList",
       Claiming(R"("https://id.example")", R"(["https://id.example"])")},
      {"AnotherAudience", Claiming("insula", "grafana")},
      {"AudienceIsAPart", Claiming(R"("insula")", R"("insula2")")},
      {"NoAudience", Claiming(R"("aud":"insula",)", "")},
      {"AudienceIsAnObject", Claiming(R"("insula")", R"({"insula":1})")},
      {"AudienceIsEmpty", Claiming(R"("insula")", "[]")},
      {"NoExpiry", Claiming(R"(,"exp":1800000300)", "")},
      {"ExpiryIsText", Claiming("1800000300", R"("1800000300")")},
      {"ExpiryIsNull", Claiming("1800000300", "null")},
      {"ExpiryIsHuge", Claiming("1800000300", "1e300")},
      {"ExpiryIsNegative", Claiming("1800000300", "-1")},
      {"Expired", Claiming("1800000300", "1799999900")},
      {"ValidForever", Claiming("1800000300", "4102444800")},
      {"NotYetValid", Claiming(R"("sub")", R"("nbf":1800001000,"sub")")},
      {"NotBeforeIsText", Claiming(R"("sub")", R"("nbf":"0","sub")")},
      {"IssuedInTheFuture", Claiming("1799999990", "1800000200")},
      {"TooLong",
       Good(absl::StrReplaceAll(kClaims, {{"ann", std::string(8200, 'a')}}))},
  };
}

INSTANTIATE_TEST_SUITE_P(All, ForgedJwtTest, testing::ValuesIn(ForgedTokens()),
                         [](const testing::TestParamInfo<Forged>& forged) {
                           return forged.param.name;
                         });

TEST(JwtTest, AnAlgorithmThatTheIssuerMayNotUseIsRefused) {
  JwtRules rules = Rules();
  rules.algorithms = {kEs256};
  EXPECT_THAT(Check(Good(), rules),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("RS256, which is not allowed")));
}

TEST(JwtTest, ReadsClaims) {
  const auto claims = nlohmann::json::parse(
      R"({"sub":"a","groups":["x","y",{"z":1}],"realm":{"roles":["r"]},)"
      R"("a.b":"dotted","n":5,"t":true,"o":{}})");
  EXPECT_THAT(ClaimValues(claims, "sub"), ElementsAre("a"));
  EXPECT_THAT(ClaimValues(claims, "groups"), ElementsAre("x", "y"));
  EXPECT_THAT(ClaimValues(claims, "realm.roles"), ElementsAre("r"));
  EXPECT_THAT(ClaimValues(claims, "a.b"), ElementsAre("dotted"));
  EXPECT_THAT(ClaimValues(claims, "n"), ElementsAre("5"));
  EXPECT_THAT(ClaimValues(claims, "t"), ElementsAre("true"));
  EXPECT_THAT(ClaimValues(claims, "o"), IsEmpty());
  EXPECT_THAT(ClaimValues(claims, "sub.x"), IsEmpty());
  EXPECT_THAT(ClaimValues(claims, "none"), IsEmpty());
}

TEST(JwkSetTest, PassesOverWhatItCannotUse) {
  const std::string rsa = RsaKey().PublicJwk("a");
  const std::string ec = EcKey().PublicJwk("b");
  const auto set = JwkSet::Parse(SetOf({
      rsa,
      R"({"kty":"oct","k":"c2VjcmV0","kid":"shared"})",
      R"({"kty":"OKP","crv":"Ed25519","x":"AA","kid":"ed"})",
      SigningKey::Rsa(1024).PublicJwk("weak"),
      RsaKey().PublicJwk("enc", R"(,"use":"enc")"),
      RsaKey().PublicJwk("ops", R"(,"key_ops":["encrypt"])"),
      RsaKey().PublicJwk("alg", R"(,"alg":"RSA-OAEP")"),
      absl::StrReplaceAll(ec, {{"P-256", "P-384"}}),
      R"({"kty":"EC","crv":"P-256","kid":"off","x":")" +
          EncodeBase64Url(std::string(32, '\1')) + R"(","y":")" +
          EncodeBase64Url(std::string(32, '\1')) + "\"}",
      R"({"kty":"RSA","kid":"even","n":")" +
          EncodeBase64Url(std::string(256, '\xf0')) + R"(","e":"AQAB"})",
      R"({"kty":"RSA","kid":"huge","n":")" +
          EncodeBase64Url(std::string(2000, '\xff')) + R"(","e":"AQAB"})",
      "17",
  }));
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->size(), Eq(1U));
  EXPECT_THAT(set->skipped(), Eq(11U));
  EXPECT_THAT(set->Find("a", kRs256), NotNull());
  EXPECT_THAT(set->Find("a", kEs256), IsNull());
  EXPECT_THAT(set->Find("weak", kRs256), IsNull());
}

TEST(JwkSetTest, RefusesWhatIsNoKeySet) {
  EXPECT_THAT(JwkSet::Parse("[]"), Not(IsOk()));
  EXPECT_THAT(JwkSet::Parse("{}"), Not(IsOk()));
  EXPECT_THAT(JwkSet::Parse(R"({"keys":{}})"), Not(IsOk()));
  EXPECT_THAT(JwkSet::Parse(std::string((1 << 20) + 1, ' ')), Not(IsOk()));
  EXPECT_THAT(JwkSet::Parse(SetOf(std::vector<std::string>(101, "{}"))),
              Not(IsOk()));
  EXPECT_THAT(JwkSet::Parse(SetOf(
                  {RsaKey().PublicJwk("a"), OtherRsaKey().PublicJwk("a")})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("two different keys")));
}

TEST(JwkSetTest, TakesAnEmptySet) {
  const auto set = JwkSet::Parse(R"({"keys":[]})");
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->Find(std::nullopt, kRs256), IsNull());
}

}  // namespace
}  // namespace insula::auth
