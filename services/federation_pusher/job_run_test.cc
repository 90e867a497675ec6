// A run over real sockets, with sources and gateways of all moods.
#include "services/federation_pusher/job_run.h"

#include <gmock/gmock.h>
#include <snappy.h>
#include <zlib.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/status/status_matchers.h"
#include "libs/time/clock.h"
#include "prometheus/remote.pb.h"
#include "services/federation_pusher/fake_peer.h"

namespace insula::federation_pusher {
namespace {

namespace v1 = registry::v1;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  EXPECT_EQ(
      deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY),
      Z_OK);
  std::string out(compressBound(text.size()) + 64, '\0');
  stream.next_in =
      reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string GzipAnswer(const std::string& text) {
  return Answer(200, Gzip(text),
                absl::StrCat(kTextType, "Content-Encoding: gzip\r\n"));
}

v1::Object TenantObject(const std::string& id, v1::Tenant::State state) {
  v1::Object object;
  object.mutable_meta()->set_kind(v1::KIND_TENANT);
  object.mutable_meta()->set_id(id);
  object.mutable_meta()->set_uid(std::string(16, 't'));
  object.mutable_tenant()->set_state(state);
  return object;
}

class JobRunTest : public testing::Test {
 protected:
  JobRunTest() {
    config_.scrape.max_body.value = 1 << 20;
    job_.set_tenant_id("green");
    job_.add_matches("up");
    job_.add_matches("{job=\"a b\"}");
    job_.mutable_interval()->set_seconds(20);
    SetSource([](const FakePeer::Request&) {
      return TextAnswer("up{instance=\"\"} 1 1000\nx 2\n");
    });
    SetGateway([](const FakePeer::Request&) { return Answer(204, ""); });
  }
  ~JobRunTest() override {
    // Requests that were left behind end before the metrics do.
    sources_.reset();
    gateways_.reset();
    source_.reset();
    gateway_.reset();
    pool_.join();
  }

  void SetSource(FakePeer::Script script) {
    source_ = std::make_unique<FakePeer>(std::move(script));
    job_.set_source_url(source_->url("/federate"));
  }
  void SetSource(const std::string& answer) {
    SetSource([answer](const FakePeer::Request&) { return answer; });
  }
  void SetGateway(FakePeer::Script script) {
    gateway_ = std::make_unique<FakePeer>(std::move(script));
  }
  // One answer after the other, the last one for ever.
  void SetGateway(std::vector<std::string> answers) {
    auto next = std::make_shared<std::atomic<size_t>>(0);
    SetGateway([answers, next](const FakePeer::Request&) {
      return answers[std::min(next->fetch_add(1), answers.size() - 1)];
    });
  }

  // Runs the job once.
  RunReport RunOnce() {
    sources_ = std::make_unique<http::Client>(
        SourceClientOptions(config_.scrape), pool_.get_executor(), &registry_);
    gateways_ = std::make_unique<http::Client>(
        GatewayClientOptions(config_), pool_.get_executor(), &registry_);
    Pusher::Options options;
    options.url = http::Url::Parse(gateway_->url("/api/v1/write")).value();
    options.user_agent = "insula/test";
    options.try_timeout = config_.push.timeout;
    options.backoff = {absl::Milliseconds(1), absl::Milliseconds(5)};
    scraper_.emplace("insula/test", sources_.get());
    pusher_.emplace(
        options, [this] { return Token(this); }, gateways_.get(), &clock_,
        &metrics_);
    const JobRun job_run(&config_, &*scraper_, &*pusher_, &metrics_);

    auto job = std::make_shared<tenancy::Job>();
    job->id = "slice";
    job->spec = job_;
    tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
    for (const v1::Object& object :
         {TenantObject("green", v1::Tenant::STATE_ACTIVE),
          TenantObject("grey", v1::Tenant::STATE_READ_ONLY)}) {
      EXPECT_THAT(builder.Put(object), IsOk());
    }
    RunReport run;
    run.started_at = clock_.Now();
    const absl::Status status =
        asio::co_spawn(
            asio::make_strand(pool_.get_executor()),
            job_run.Execute(std::move(builder).Build(1, "e"), job, &run),
            asio::use_future)
            .get();
    run.result = ResultOf(status);
    run.error = std::string(status.message());
    return run;
  }

  static asio::awaitable<absl::StatusOr<std::string>> Token(JobRunTest* self) {
    co_return self->token_;
  }

  // A source that answers so sends nothing, and the error says why.
  void ExpectNothingSent(const std::string& answer, Result result,
                         const std::string& what) {
    SetSource(answer);
    const RunReport run = RunOnce();
    EXPECT_EQ(ResultName(run.result), ResultName(result)) << run.error;
    EXPECT_THAT(run.error, HasSubstr(what));
    EXPECT_EQ(run.delivered_samples, 0);
    EXPECT_EQ(run.scraped_samples, 0);
    EXPECT_THAT(gateway_->requests(), IsEmpty());
  }

  prometheus::WriteRequest Decode(const FakePeer::Request& request) {
    std::string message;
    EXPECT_TRUE(
        snappy::Uncompress(request.body.data(), request.body.size(), &message));
    prometheus::WriteRequest write;
    EXPECT_TRUE(write.ParseFromString(message));
    return write;
  }

  Config config_;
  v1::Job job_;
  absl::StatusOr<std::string> token_ = std::string("secret");
  const RealClock clock_;
  metrics::Registry registry_;
  Metrics metrics_{&registry_};
  asio::thread_pool pool_{2};
  std::unique_ptr<FakePeer> source_;
  std::unique_ptr<FakePeer> gateway_;
  std::unique_ptr<http::Client> sources_;
  std::unique_ptr<http::Client> gateways_;
  std::optional<Scraper> scraper_;
  std::optional<Pusher> pusher_;
};

TEST_F(JobRunTest, AsksForTheSelectorsInTextAndGzip) {
  EXPECT_EQ(RunOnce().error, "");
  const auto requests = source_->requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(requests[0].head,
              AllOf(HasSubstr("GET /federate?match%5B%5D=up&"
                              "match%5B%5D=%7Bjob%3D%22a"),
                    HasSubstr("Accept: text/plain;version=0.0.4\r\n"),
                    HasSubstr("Accept-Encoding: gzip\r\n"),
                    HasSubstr("User-Agent: insula/test\r\n")));
}

TEST_F(JobRunTest, WritesForTheTenantWithTheToken) {
  const RunReport run = RunOnce();
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.scraped_samples, 2);
  EXPECT_EQ(run.delivered_samples, 2);
  const auto requests = gateway_->requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].target(), "/api/v1/write");
  EXPECT_EQ(requests[0].header("X-Scope-OrgID"), "green");
  EXPECT_EQ(requests[0].header("Authorization"), "Bearer secret");
  EXPECT_EQ(requests[0].header("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(requests[0].header("Content-Encoding"), "snappy");
  EXPECT_EQ(requests[0].header("X-Prometheus-Remote-Write-Version"), "0.1.0");
  EXPECT_EQ(requests[0].header("Retry-Attempt"), "");
  const prometheus::WriteRequest write = Decode(requests[0]);
  ASSERT_EQ(write.timeseries_size(), 2);
  EXPECT_EQ(write.timeseries(0).labels_size(), 1);
  EXPECT_EQ(write.timeseries(0).samples(0).timestamp(), 1000);
  EXPECT_EQ(write.timeseries(1).samples(0).timestamp(),
            absl::ToUnixMillis(run.started_at));
  EXPECT_EQ(metrics_.delivered_samples.Value(), 2);
}

TEST_F(JobRunTest, TakesGzip) {
  SetSource(GzipAnswer("up 1\nx 2\n"));
  const RunReport run = RunOnce();
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.scraped_bytes, 9);
  EXPECT_EQ(run.delivered_samples, 2);
}

TEST_F(JobRunTest, AnEmptyScrapeIsASuccessAndNotSent) {
  SetSource(TextAnswer(""));
  const RunReport run = RunOnce();
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(gateway_->requests(), IsEmpty());
}

TEST_F(JobRunTest, ACutAnswerSendsNothing) {
  const std::string good = TextAnswer("up 1\nx 2\n");
  // The connection ends within the announced length.
  ExpectNothingSent(good.substr(0, good.size() - 4), Result::kSourceTruncated,
                    "cut off");
  // Within a chunk, and before the last one.
  const std::string chunked = absl::StrCat(
      "HTTP/1.1 200 OK\r\n", kTextType, "Transfer-Encoding: chunked\r\n\r\n");
  ExpectNothingSent(absl::StrCat(chunked, "9\r\nup 1\n"),
                    Result::kSourceTruncated, "cut off");
  ExpectNothingSent(absl::StrCat(chunked, "9\r\nup 1\nx 2\n\r\n"),
                    Result::kSourceTruncated, "cut off");
  // Complete by HTTP, but in the middle of a line.
  ExpectNothingSent(TextAnswer("up 1\nx 2"), Result::kSourceTruncated,
                    "line 2");
  // The end of the connection is the end of the answer, in the middle of a
  // line.
  ExpectNothingSent(
      absl::StrCat("HTTP/1.0 200 OK\r\n", kTextType, "\r\nup 1\nx"),
      Result::kSourceTruncated, "line 2");
  // Gzip without its end.
  const std::string packed = Gzip("up 1\nx 2\n");
  ExpectNothingSent(
      Answer(200, packed.substr(0, packed.size() - 5),
             absl::StrCat(kTextType, "Content-Encoding: gzip\r\n")),
      Result::kSourceTruncated, "cut off");
}

TEST_F(JobRunTest, AnAnswerThatIsTooLargeSendsNothing) {
  const std::string large(2 << 20, '\n');
  ExpectNothingSent(TextAnswer(large), Result::kSourceTooLarge,
                    "scrape.max_body");
  ExpectNothingSent(GzipAnswer(std::string(64 << 20, '\n')),
                    Result::kSourceTooLarge, "scrape.max_body");
  ExpectNothingSent(absl::StrCat("HTTP/1.1 200 OK\r\n", kTextType,
                                 "Transfer-Encoding: chunked\r\n\r\n200000\r\n",
                                 large, "\r\n0\r\n\r\n"),
                    Result::kSourceTooLarge, "scrape.max_body");
  config_.scrape.max_samples = 2;
  ExpectNothingSent(TextAnswer("a 1\nb 2\nc 3\n"), Result::kSourceTooLarge,
                    "scrape.max_samples");
  config_.scrape.max_line.value = 10;
  ExpectNothingSent(TextAnswer("a 1\naaaaaaaaaaaa 2\n"),
                    Result::kSourceTooLarge, "line 2");
}

TEST_F(JobRunTest, AnAnswerThatIsNoPrometheusTextSendsNothing) {
  ExpectNothingSent(TextAnswer("up 1\nup{ 1\n"), Result::kSourceMalformed,
                    "line 2");
  ExpectNothingSent(TextAnswer("up 1\nup 2\n"), Result::kSourceDuplicate,
                    "comes twice");
  for (const char* type :
       {"text/html", "application/openmetrics-text; version=1.0.0",
        "text/plain; version=1.0.0", "text/plain; charset=utf-16", "text",
        "application/vnd.google.protobuf"}) {
    ExpectNothingSent(
        Answer(200, "up 1\n", absl::StrCat("Content-Type: ", type, "\r\n")),
        Result::kSourceContentType, type);
  }
  ExpectNothingSent(Answer(200, "up 1\n"), Result::kSourceContentType,
                    "Content-Type");
  ExpectNothingSent(Answer(200, "up 1\n",
                           absl::StrCat(kTextType, "Content-Encoding: br\r\n")),
                    Result::kSourceContentType, "'br'");
}

TEST_F(JobRunTest, TakesTheContentTypesThatPrometheusHasHad) {
  for (const char* type :
       {"text/plain", "text/plain; version=0.0.4",
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        "TEXT/plain;charset=\"UTF-8\";version=\"0.0.4\""}) {
    SetSource(
        Answer(200, "up 1\n", absl::StrCat("Content-Type: ", type, "\r\n")));
    EXPECT_EQ(RunOnce().error, "") << type;
  }
}

TEST_F(JobRunTest, ASourceThatDoesNotAnswer200SendsNothing) {
  ExpectNothingSent(Answer(500, "up 1\n", kTextType), Result::kSourceStatus,
                    "500");
  ExpectNothingSent(Answer(404, "not here"), Result::kSourceStatus,
                    "'not here'");
  ExpectNothingSent(
      Answer(302, "", "Location: http://169.254.169.254/latest\r\n"),
      Result::kSourceStatus, "not followed");
  ExpectNothingSent("garbage\r\n\r\n", Result::kSourceUnreachable, "malformed");
}

TEST_F(JobRunTest, ASourceThatIsNotThereSendsNothing) {
  job_.set_source_url("http://127.0.0.1:1/federate");
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "source_unreachable") << run.error;
  EXPECT_THAT(run.error, HasSubstr("spec.source_url"));
}

TEST_F(JobRunTest, ASourceThatHangsIsGivenUpAtTheTimeout) {
  job_.mutable_timeout()->set_nanos(100'000'000);
  ExpectNothingSent(FakePeer::kHang, Result::kSourceTimeout, "spec.timeout");
}

TEST_F(JobRunTest, ASourceAtARefusedAddressIsNotAsked) {
  for (const char* url :
       {"http://169.254.169.254/latest/meta-data", "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/",
        // 169.254.169.254, as old resolvers read numbers.
        "http://2852039166/", "http://0xa9fea9fe/"}) {
    job_.set_source_url(url);
    const RunReport run = RunOnce();
    EXPECT_EQ(ResultName(run.result), "source_address") << url << run.error;
    EXPECT_THAT(run.error, HasSubstr("scrape.refused_networks"));
  }
}

TEST_F(JobRunTest, WhichAddressesAreRefusedIsConfigured) {
  config_.scrape.refused_networks = {"127.0.0.0/8"};
  RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "source_address");
  EXPECT_THAT(source_->requests(), IsEmpty());
  // Also by name.
  job_.set_source_url(
      absl::StrCat("http://localhost:", source_->port(), "/federate"));
  config_.scrape.refused_networks = {"127.0.0.0/8", "::1"};
  run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "source_address");
  EXPECT_THAT(source_->requests(), IsEmpty());

  config_.scrape.refused_networks = {};
  EXPECT_EQ(RunOnce().error, "");
}

TEST_F(JobRunTest, AHostThatCanNotBeLookedUpSaysSo) {
  job_.set_source_url("http://no-such-host.invalid/federate");
  const RunReport run = RunOnce();
  EXPECT_THAT(ResultName(run.result),
              AnyOf("source_unreachable", "source_timeout"));
  EXPECT_THAT(run.error, HasSubstr("look"));
}

TEST_F(JobRunTest, ATenantThatMayNotBeWrittenToIsNotAskedFor) {
  for (const char* tenant : {"grey", "nobody"}) {
    job_.set_tenant_id(tenant);
    const RunReport run = RunOnce();
    EXPECT_EQ(ResultName(run.result), "tenant");
    EXPECT_THAT(run.error, HasSubstr(absl::StrCat("'", tenant, "'")));
  }
  EXPECT_THAT(source_->requests(), IsEmpty());
}

TEST_F(JobRunTest, SendsTheSameBytesAgainUntilTheyAreTaken) {
  SetGateway({Answer(503, "insula: later"),
              Answer(429, "insula: slowly", "Retry-After: 0\r\n"), "",
              Answer(204, "")});
  const RunReport run = RunOnce();
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.delivered_samples, 2);
  const auto requests = gateway_->requests();
  ASSERT_THAT(requests, SizeIs(4));
  for (size_t i = 1; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].body, requests[0].body);
    EXPECT_EQ(requests[i].header("Retry-Attempt"), absl::StrCat(i));
  }
  EXPECT_EQ(metrics_.push_retries.Value(), 3);
}

TEST_F(JobRunTest, WaitsAsLongAsRetryAfterSays) {
  SetGateway({Answer(429, "", "Retry-After: 1\r\n"), Answer(204, "")});
  const absl::Time start = absl::Now();
  EXPECT_EQ(RunOnce().error, "");
  EXPECT_GE(absl::Now() - start, absl::Seconds(1));
}

TEST_F(JobRunTest, ARetryAfterBeyondTheTimeoutEndsTheRunAtOnce) {
  SetGateway({Answer(503, "insula: later", "Retry-After: 3600\r\n")});
  const absl::Time start = absl::Now();
  const RunReport run = RunOnce();
  EXPECT_LT(absl::Now() - start, absl::Minutes(1));
  EXPECT_EQ(ResultName(run.result), "gateway_unavailable");
  EXPECT_THAT(run.error, AllOf(HasSubstr("0 of 2"), HasSubstr("later")));
  EXPECT_THAT(gateway_->requests(), SizeIs(1));
}

TEST_F(JobRunTest, AGatewayThatStaysAwayIsGivenUpAtTheTimeout) {
  job_.mutable_timeout()->set_seconds(2);
  SetGateway({Answer(503, "insula: later")});
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "gateway_unavailable");
  EXPECT_GT(gateway_->requests().size(), 2u);
}

TEST_F(JobRunTest, AGatewayThatHangsIsTriedAgain) {
  config_.push.timeout = absl::Seconds(1);
  SetGateway({FakePeer::kHang, Answer(204, "")});
  const RunReport run = RunOnce();
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.delivered_samples, 2);
}

TEST_F(JobRunTest, CountsWhatAGatewayRefusedOfARequest) {
  SetGateway(
      {Answer(400,
              "insula: some of it was refused, the rest is kept (1 of 2 series "
              "not taken)\n- tenant 'green': label_name_invalid: 1 series\n")});
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "partly_refused");
  EXPECT_EQ(run.delivered_samples, 1);
  EXPECT_THAT(run.error,
              AllOf(HasSubstr("1 of 2"), HasSubstr("label_name_invalid")));
  EXPECT_EQ(metrics_.refused_samples.Value(), 1);
  EXPECT_EQ(metrics_.delivered_samples.Value(), 1);
  EXPECT_THAT(gateway_->requests(), SizeIs(1));
}

TEST_F(JobRunTest, ARefusedBatchDoesNotKeepTheOthers) {
  config_.push.max_series = 1;
  SetGateway({Answer(400, "out of order"), Answer(204, "")});
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "partly_refused");
  EXPECT_EQ(run.delivered_samples, 1);
  EXPECT_THAT(gateway_->requests(), SizeIs(2));
}

TEST_F(JobRunTest, ARefusalOfTheCallerEndsTheRun) {
  config_.push.max_series = 1;
  SetGateway({Answer(401, "insula: the bearer token is not known")});
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "gateway_refused");
  EXPECT_THAT(run.error,
              AllOf(HasSubstr("gateway.token_file"), Not(HasSubstr("secret"))));
  EXPECT_THAT(gateway_->requests(), SizeIs(1));
}

TEST_F(JobRunTest, WhatWasDeliveredBeforeAFailureCounts) {
  config_.push.max_series = 1;
  job_.mutable_timeout()->set_nanos(300'000'000);
  SetGateway({Answer(204, ""), Answer(503, "")});
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "gateway_unavailable");
  EXPECT_EQ(run.delivered_samples, 1);
  EXPECT_THAT(run.error, HasSubstr("1 of 2"));
}

TEST_F(JobRunTest, WithoutATokenNothingIsSent) {
  token_ = Failure(Result::kGatewayToken, "gateway.token_file '/t': gone");
  const RunReport run = RunOnce();
  EXPECT_EQ(ResultName(run.result), "gateway_token");
  EXPECT_THAT(gateway_->requests(), IsEmpty());
}

TEST_F(JobRunTest, ShowsNoTokenWhereNoneIsConfigured) {
  token_ = std::string();
  EXPECT_EQ(RunOnce().error, "");
  EXPECT_EQ(gateway_->requests()[0].header("Authorization"), "");
}

}  // namespace
}  // namespace insula::federation_pusher
