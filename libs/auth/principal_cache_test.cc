#include "libs/auth/principal_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace insula::auth {
namespace {

const absl::Time kSteady = absl::UnixEpoch() + absl::Hours(1);
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

Credential Token(const std::string& text,
                 const std::string& scheme = "bearer") {
  Credential credential;
  credential.scheme = scheme;
  credential.text = text;
  return credential;
}

Principal Named(const std::string& name) {
  Principal principal;
  principal.name = name;
  return principal;
}

TEST(PrincipalCacheTest, KnowsTheWholeCredentialAndItsScheme) {
  PrincipalCache cache({});
  cache.Put(Token("one"), Named("ann"), kSteady);
  const auto found = cache.Find(Token("one"), kSteady, kNow);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->name, "ann");
  EXPECT_FALSE(cache.Find(Token("on"), kSteady, kNow).has_value());
  EXPECT_FALSE(cache.Find(Token("one "), kSteady, kNow).has_value());
  EXPECT_FALSE(cache.Find(Token("one", "token"), kSteady, kNow).has_value());
}

TEST(PrincipalCacheTest, ForgetsAfterAWhile) {
  PrincipalCache cache({.max_entries = 10, .ttl = absl::Seconds(60)});
  cache.Put(Token("one"), Named("ann"), kSteady);
  const absl::Time last = kSteady + absl::Seconds(60) - absl::Nanoseconds(1);
  EXPECT_TRUE(cache.Find(Token("one"), last, kNow).has_value());
  // Use does not make it last longer.
  EXPECT_FALSE(
      cache.Find(Token("one"), kSteady + absl::Seconds(60), kNow).has_value());
  EXPECT_EQ(cache.size(), 0u);
}

TEST(PrincipalCacheTest, ForgetsWhatHasExpired) {
  PrincipalCache cache({});
  Principal principal = Named("ann");
  principal.expires = kNow + absl::Seconds(5);
  cache.Put(Token("one"), principal, kSteady);
  EXPECT_TRUE(
      cache.Find(Token("one"), kSteady, kNow + absl::Seconds(4)).has_value());
  EXPECT_FALSE(
      cache.Find(Token("one"), kSteady, kNow + absl::Seconds(5)).has_value());
}

TEST(PrincipalCacheTest, ForgetsWhatItIsToldTo) {
  PrincipalCache cache({});
  cache.Put(Token("one"), Named("ann"), kSteady);
  cache.Forget(Token("two"));
  EXPECT_TRUE(cache.Find(Token("one"), kSteady, kNow).has_value());
  cache.Forget(Token("one"));
  EXPECT_FALSE(cache.Find(Token("one"), kSteady, kNow).has_value());
}

TEST(PrincipalCacheTest, KeepsTheMostRecentlyUsed) {
  PrincipalCache cache({.max_entries = 3});
  for (const char* text : {"a", "b", "c"}) {
    cache.Put(Token(text), Named(text), kSteady);
  }
  EXPECT_TRUE(cache.Find(Token("a"), kSteady, kNow).has_value());
  cache.Put(Token("d"), Named("d"), kSteady);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_TRUE(cache.Find(Token("a"), kSteady, kNow).has_value());
  EXPECT_FALSE(cache.Find(Token("b"), kSteady, kNow).has_value());
  EXPECT_TRUE(cache.Find(Token("c"), kSteady, kNow).has_value());
  EXPECT_TRUE(cache.Find(Token("d"), kSteady, kNow).has_value());
}

TEST(PrincipalCacheTest, ReplacesWhatIsThere) {
  PrincipalCache cache({.max_entries = 2});
  cache.Put(Token("a"), Named("ann"), kSteady);
  cache.Put(Token("a"), Named("bob"), kSteady);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(cache.Find(Token("a"), kSteady, kNow)->name, "bob");
}

TEST(PrincipalCacheTest, MayBeOfNoSize) {
  PrincipalCache cache({.max_entries = 0});
  cache.Put(Token("a"), Named("ann"), kSteady);
  EXPECT_FALSE(cache.Find(Token("a"), kSteady, kNow).has_value());
}

}  // namespace
}  // namespace insula::auth
