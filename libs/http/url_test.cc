#include "libs/http/url.h"

#include <gmock/gmock.h>

#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

TEST(UrlTest, SplitsAUrlAndFillsInThePort) {
  const absl::StatusOr<Url> url = Url::Parse("HTTPS://Prom.Example/a%20b?x=1");
  ASSERT_THAT(url, IsOk());
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "prom.example");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/a%20b?x=1");
  EXPECT_EQ(url->HostPort(), "prom.example");
  EXPECT_EQ(url->ToString(), "https://prom.example/a%20b?x=1");
}

TEST(UrlTest, PutsIpv6IntoBrackets) {
  const absl::StatusOr<Url> url = Url::Parse("http://[::1]:9090");
  ASSERT_THAT(url, IsOk());
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 9090);
  EXPECT_EQ(url->target, "/");
  EXPECT_EQ(url->HostPort(), "[::1]:9090");
}

TEST(UrlTest, AQueryMayFollowTheHost) {
  const absl::StatusOr<Url> url = Url::Parse("http://h:81?a=b");
  ASSERT_THAT(url, IsOk());
  EXPECT_EQ(url->target, "/?a=b");
}

class BadUrlTest : public testing::TestWithParam<const char*> {};

TEST_P(BadUrlTest, IsRefused) {
  EXPECT_THAT(Url::Parse(GetParam()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadUrlTest,
    testing::Values(
        "", "/path", "host:80", "ftp://host/", "http://", "http:///x",
        "http://host:/", "http://host:0/", "http://host:65536/",
        "http://host:+80/", "http://host:8 0/", "http://ho st/", "http://h/a b",
        "http://h/a\r\nb", "http://h/#f", "http://h#f", "http://h/%",
        "http://h/%4", "http://h/%zz", "http://h/\xff", "http://h/a\"b",
        "http://[::1/", "http://[::g]/", "http://[::1]x/", "http://::1/",
        "http://a..b/", "http://.a/", " http://a/", "http://h/{a}"));

TEST(UrlTest, DoesNotRepeatAPassword) {
  EXPECT_THAT(
      Url::Parse("http://me:hunter2@host/"),
      StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("hunter2"))));
}

TEST(UrlTest, JoinsPathsWithOneSlash) {
  const Url base = Url::Parse("http://h/prom/").value();
  EXPECT_EQ(base.Join("/api").ToString(), "http://h/prom/api");
  EXPECT_EQ(base.Join("api", "a=b").ToString(), "http://h/prom/api?a=b");
  EXPECT_EQ(Url::Parse("http://h").value().Join("/api").target, "/api");
  EXPECT_EQ(base.Join("").target, "/prom/");
}

TEST(UrlTest, JoinKeepsItsOwnQuery) {
  const Url base = Url::Parse("http://h/p?tenant=a").value();
  EXPECT_EQ(base.Join("q").target, "/p/q?tenant=a");
  EXPECT_EQ(base.Join("q", "x=1").target, "/p/q?tenant=a&x=1");
}

TEST(PercentTest, EncodesAllButUnreservedCharacters) {
  EXPECT_EQ(PercentEncode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(PercentEncode("a b/\xff+"), "a%20b%2F%FF%2B");
}

TEST(PercentTest, DecodesWhatItEncoded) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(PercentDecode(PercentEncode(all)).value(), all);
  EXPECT_EQ(PercentDecode("a+b%2b").value(), "a+b+");
}

TEST(PercentTest, RefusesMalformedEscapes) {
  for (const char* text : {"%", "%4", "%4g", "a%", "%%41"}) {
    EXPECT_THAT(PercentDecode(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(FormTest, ParsesParametersInOrder) {
  EXPECT_THAT(ParseForm("a=1&match%5B%5D=x+y&a=2%26&b&c="),
              testing::Property(
                  &absl::StatusOr<Params>::value,
                  ElementsAre(Pair("a", "1"), Pair("match[]", "x y"),
                              Pair("a", "2&"), Pair("b", ""), Pair("c", ""))));
  EXPECT_THAT(ParseForm("").value(), IsEmpty());
  EXPECT_THAT(ParseForm("&&a=b&").value(), ElementsAre(Pair("a", "b")));
  EXPECT_THAT(ParseForm("a=b=c").value(), ElementsAre(Pair("a", "b=c")));
}

TEST(FormTest, RefusesSemicolonsEscapesAndTooMany) {
  EXPECT_THAT(ParseForm("a=1;b=2"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseForm("a=%4"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseForm("%=1"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseForm("a&b&c", 3), IsOk());
  EXPECT_THAT(ParseForm("a&b&c", 2),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(FormTest, EncodesWhatItParses) {
  const Params params = {{"match[]", "{a=\"b c\"}"}, {"x", "+&=%;"}};
  EXPECT_EQ(ParseForm(EncodeForm(params)).value(), params);
}

}  // namespace
}  // namespace insula::http
