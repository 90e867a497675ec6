#include "libs/http/router.h"

#include <gmock/gmock.h>

#include <boost/asio/thread_pool.hpp>
#include <string>

#include "libs/http/test_support.h"

namespace insula::http {
namespace {

using testing::Eq;
using testing::Optional;

class RouterTest : public testing::Test {
 protected:
  Response Ask(const std::string& method, const std::string& target) {
    Request request;
    request.method = method;
    request.target = target;
    return Await(pool_, router_(std::move(request)));
  }

  static Handler Say(std::string text) {
    return [text = std::move(text)](Request) { return Say2(text); };
  }
  static boost::asio::awaitable<Response> Say2(std::string text) {
    co_return TextResponse(200, text);
  }

  boost::asio::thread_pool pool_{1};
  Router router_;
};

TEST_F(RouterTest, FindsHandlersByPathAndMethod) {
  router_.Handle("GET", "/a", Say("get a"));
  router_.Handle("POST", "/a", Say("post a"));
  router_.Handle({"PUT", "DELETE"}, "/b", Say("change b"));
  EXPECT_EQ(Ask("GET", "/a?x=/b").body, "get a\n");
  EXPECT_EQ(Ask("POST", "/a").body, "post a\n");
  EXPECT_EQ(Ask("PUT", "/b").body, "change b\n");
  EXPECT_EQ(Ask("DELETE", "/b").body, "change b\n");
}

TEST_F(RouterTest, HeadIsServedByGet) {
  router_.Handle("GET", "/a", Say("get a"));
  EXPECT_EQ(Ask("HEAD", "/a").status, 200);
  router_.Handle("HEAD", "/a", Say("head a"));
  EXPECT_EQ(Ask("HEAD", "/a").body, "head a\n");
}

TEST_F(RouterTest, UnknownPathsAreNotFound) {
  router_.Handle("GET", "/a", Say("get a"));
  for (const char* target : {"/", "/a/", "/A", "/%61", "//a", "/a/../a"}) {
    EXPECT_EQ(Ask("GET", target).status, 404) << target;
  }
}

TEST_F(RouterTest, OtherMethodsLearnWhichAreAllowed) {
  router_.Handle({"POST", "GET"}, "/a", Say("a"));
  const Response response = Ask("DELETE", "/a");
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.headers.Get("Allow"), Optional(Eq("GET, HEAD, POST")));
}

}  // namespace
}  // namespace insula::http
