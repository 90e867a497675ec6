#include "services/ingest_gateway/request_head.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

namespace insula::ingest_gateway {
namespace {

using testing::HasSubstr;

http::Request Post(
    const std::vector<std::pair<std::string, std::string>>& headers) {
  http::Request request;
  request.method = "POST";
  request.target = "/api/v1/write";
  for (const auto& [name, value] : headers) request.headers.Add(name, value);
  return request;
}

// The status of the answer; 0: the request may go on.
int StatusFor(const http::Request& request) {
  const auto answer = AnswerByHead(request);
  return answer ? answer->status : 0;
}

TEST(RequestHeadTest, KnowsWhereWritesGo) {
  struct {
    const char* method;
    const char* target;
    int status;
  } cases[] = {
      {"POST", "/", 0},
      {"POST", "/api/v1/write", 0},
      {"POST", "/api/v1/push", 0},
      {"POST", "/api/prom/push", 0},
      {"POST", "/api/v1/receive", 0},
      {"POST", "/api/v1/write?x=1", 0},
      {"GET", "/", 200},
      {"GET", "/api/v1/write", 405},
      {"PUT", "/api/v1/write", 405},
      {"DELETE", "/", 405},
      {"HEAD", "/", 405},
      {"OPTIONS", "/api/v1/push", 405},
      {"post", "/api/v1/push", 405},
      {"POST", "/api/v1/write/", 404},
      {"POST", "//api/v1/write", 404},
      {"POST", "/api/v1/./write", 404},
      {"POST", "/api/v1/%77rite", 404},
      {"POST", "/api/v2/write", 404},
      {"GET", "/metrics", 404},
  };
  for (const auto& c : cases) {
    http::Request request;
    request.method = c.method;
    request.target = c.target;
    EXPECT_EQ(StatusFor(request), c.status) << c.method << " " << c.target;
  }
}

TEST(RequestHeadTest, SaysThatItIsUp) {
  http::Request request;
  request.method = "GET";
  request.target = "/";
  EXPECT_EQ(AnswerByHead(request)->body, "Up");
}

TEST(RequestHeadTest, SaysWhichMethodsThereAre) {
  http::Request request;
  request.method = "PUT";
  request.target = "/api/v1/write";
  EXPECT_EQ(AnswerByHead(request)->headers.Get("Allow"), "POST");
}

TEST(RequestHeadTest, TakesRemoteWriteInSnappyOnly) {
  struct {
    std::vector<std::pair<std::string, std::string>> headers;
    int status;
  } cases[] = {
      {{}, 0},
      {{{"Content-Type", "application/x-protobuf"}}, 0},
      {{{"Content-Type", "Application/X-Protobuf"}}, 0},
      {{{"Content-Type",
         "application/x-protobuf;proto=prometheus.WriteRequest"}},
       0},
      {{{"Content-Type",
         "application/x-protobuf ; proto=\"prometheus.WriteRequest\""}},
       0},
      {{{"Content-Type", "application/x-protobuf; charset=x"}}, 0},
      {{{"Content-Type",
         "application/x-protobuf;proto=io.prometheus.write.v2.Request"}},
       0},
      {{{"Content-Type", "application/x-protobuf;proto=other.Message"}}, 415},
      {{{"Content-Type", "application/json"}}, 415},
      {{{"Content-Type", ""}}, 415},
      {{{"Content-Encoding", "snappy"}}, 0},
      {{{"Content-Encoding", "SNAPPY"}}, 0},
      {{{"Content-Encoding", "gzip"}}, 415},
      {{{"Content-Encoding", "zstd"}}, 415},
      {{{"Content-Encoding", "snappy, gzip"}}, 415},
      {{{"Content-Encoding", "snappy"}, {"content-encoding", "gzip"}}, 400},
      {{{"Content-Type", "application/x-protobuf"},
        {"Content-Type", "application/x-protobuf"}},
       400},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(StatusFor(Post(c.headers)), c.status)
        << testing::PrintToString(c.headers);
  }
}

TEST(RequestHeadTest, OnlyTheContentTypeSaysWhichProtocolItIs) {
  struct {
    std::vector<std::pair<std::string, std::string>> headers;
    Protocol protocol;
  } cases[] = {
      {{}, Protocol::kWrite1},
      {{{"Content-Type", "application/x-protobuf"}}, Protocol::kWrite1},
      {{{"Content-Type",
         "application/x-protobuf;proto=prometheus.WriteRequest"}},
       Protocol::kWrite1},
      {{{"Content-Type",
         "application/x-protobuf;proto=io.prometheus.write.v2.Request"}},
       Protocol::kWrite2},
      {{{"Content-Type",
         "Application/X-Protobuf ; PROTO = "
         "\"io.prometheus.write.v2.Request\" ; charset=utf-8"}},
       Protocol::kWrite2},
      {{{"Content-Type", "application/x-protobuf"},
        {"X-Prometheus-Remote-Write-Version", "2.0.0"}},
       Protocol::kWrite1},
      {{{"Content-Type",
         "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
        {"X-Prometheus-Remote-Write-Version", "0.1.0"}},
       Protocol::kWrite2},
  };
  for (const auto& c : cases) {
    const http::Request request = Post(c.headers);
    EXPECT_EQ(StatusFor(request), 0) << testing::PrintToString(c.headers);
    EXPECT_EQ(ProtocolOf(request), c.protocol)
        << testing::PrintToString(c.headers);
  }
}

TEST(RequestHeadTest, NamesTheProtocolsThereAre) {
  const auto answer = AnswerByHead(
      Post({{"Content-Type", "application/x-protobuf;proto=other.Message"}}));
  EXPECT_EQ(answer->status, 415);
  EXPECT_THAT(answer->body, HasSubstr("io.prometheus.write.v2.Request"));
}

}  // namespace
}  // namespace insula::ingest_gateway
