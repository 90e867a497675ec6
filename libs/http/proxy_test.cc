#include "libs/http/proxy.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"

namespace insula::http {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

ProxyRules Rules(std::string no_proxy) {
  ProxyRules::Settings settings;
  settings.http_proxy = "http://plain.example:3128";
  settings.https_proxy = "tunnel.example:3129";
  settings.no_proxy = std::move(no_proxy);
  return ProxyRules::Make(settings).value();
}

// "host:port" of the proxy for `url`, or nothing.
std::string For(const ProxyRules& rules, const std::string& url) {
  const Proxy* const proxy = rules.For(Url::Parse(url).value());
  return proxy == nullptr ? "" : absl::StrCat(proxy->host, ":", proxy->port);
}

TEST(ProxyTest, EachSchemeHasItsProxy) {
  const ProxyRules rules = Rules("");
  EXPECT_EQ(For(rules, "http://a.example/"), "plain.example:3128");
  EXPECT_EQ(For(rules, "https://a.example/"), "tunnel.example:3129");
}

TEST(ProxyTest, TheMachineItselfIsAskedStraight) {
  const ProxyRules rules = Rules("");
  for (const char* url :
       {"http://localhost:1/", "http://127.0.0.1/", "https://127.8.8.8/",
        "https://[::1]:9/", "http://a.localhost/"}) {
    EXPECT_EQ(For(rules, url), "") << url;
  }
}

TEST(ProxyTest, NoProxyNamesHostsDomainsAddressesAndPorts) {
  const ProxyRules rules = Rules(
      "A.example, .b.example,*.c.example,10.0.0.0/8,192.0.2.1,"
      "d.example:8080,[2001:db8::1]:99,2001:db8:1::/48,");
  for (const char* url :
       {"http://a.example/", "http://x.a.example/", "http://x.b.example/",
        "http://x.c.example/", "http://10.1.2.3/", "http://192.0.2.1:99/",
        "http://d.example:8080/", "http://[2001:db8::1]:99/",
        "http://[2001:db8:1::5]/"}) {
    EXPECT_EQ(For(rules, url), "") << url;
  }
  for (const char* url :
       {"http://b.example/", "http://c.example/", "http://aa.example/",
        "http://11.0.0.1/", "http://d.example/", "http://[2001:db8::1]/",
        "http://10.example/"}) {
    EXPECT_EQ(For(rules, url), "plain.example:3128") << url;
  }
}

TEST(ProxyTest, AStarIsAll) {
  EXPECT_EQ(For(Rules("x,*"), "http://a.example/"), "");
}

TEST(ProxyTest, NothingSetIsNoProxy) {
  const ProxyRules rules = ProxyRules::Make(ProxyRules::Settings()).value();
  EXPECT_EQ(For(rules, "http://a.example/"), "");
  EXPECT_EQ(For(ProxyRules(), "https://a.example/"), "");
}

TEST(ProxyTest, UserAndPasswordBecomeAHeader) {
  ProxyRules::Settings settings;
  settings.http_proxy = "http://us%40er:pa%3Ass@proxy.example:8080/";
  const ProxyRules rules = ProxyRules::Make(settings).value();
  const Proxy* const proxy = rules.For(Url::Parse("http://a.example/").value());
  ASSERT_NE(proxy, nullptr);
  EXPECT_EQ(proxy->host, "proxy.example");
  // us@er:pa:ss
  EXPECT_EQ(proxy->authorization.Reveal(), "Basic dXNAZXI6cGE6c3M=");
}

TEST(ProxyTest, AnErrorNamesTheVariableAndNotItsValue) {
  for (const char* text :
       {"https://u:canary@proxy.example", "socks5://u:canary@proxy.example",
        "http://u:canary@", "http://u:canary@host/path",
        "http://u:%zzcanary@host:1", "http://u:canary@host:99999"}) {
    ProxyRules::Settings settings;
    settings.https_proxy = text;
    EXPECT_THAT(
        ProxyRules::Make(settings),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("HTTPS_PROXY"), Not(HasSubstr("canary")))))
        << text;
  }
}

TEST(ProxyTest, ReadsTheEnvironment) {
  setenv("http_proxy", "http://lower.example:1", 1);
  setenv("NO_PROXY", "b.example", 1);
  const ProxyRules rules = ProxyRules::FromEnvironment().value();
  unsetenv("http_proxy");
  unsetenv("NO_PROXY");
  EXPECT_EQ(For(rules, "http://a.example/"), "lower.example:1");
  EXPECT_EQ(For(rules, "http://b.example/"), "");
}

}  // namespace
}  // namespace insula::http
