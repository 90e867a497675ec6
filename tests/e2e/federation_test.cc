// A slice of one Prometheus' metrics becomes a third tenant's, and nobody
// else's.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "insula/federation/v1/federation.grpc.pb.h"
#include "tests/e2e/harness/constellation.h"
#include "tests/e2e/harness/service.h"

namespace insula::e2e {
namespace {

namespace federation = ::insula::federation::v1;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kGreen[] = "green-token";
constexpr char kPusher[] = "pusher-token";

// One changes at every scrape, the other seldom.
constexpr const char* kMetrics[] = {"scrape_duration_seconds", "go_goroutines"};

// Samples of series: labels as JSON, then milliseconds to the value's text.
using Samples = std::map<std::string, std::map<int64_t, std::string>>;

// The answer to a query for a range of raw samples. `drop` are labels that do
// not count.
Samples ParseMatrix(const std::string& body,
                    const std::vector<std::string>& drop) {
  Samples all;
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_discarded() || !json.contains("data")) {
    ADD_FAILURE() << body;
    return all;
  }
  for (const auto& series : json["data"]["result"]) {
    nlohmann::json labels = series["metric"];
    for (const std::string& name : drop) labels.erase(name);
    for (const auto& sample : series["values"]) {
      all[labels.dump()][std::llround(sample[0].get<double>() * 1000)] =
          sample[1].get<std::string>();
    }
  }
  return all;
}

class FederationTest : public testing::Test {
 protected:
  void SetUp() override {
    constellation_.StartAll();
    StartSource();
    constellation_.Apply(
        {PutGreen(),
         PutBinding("green-reader", kGreen, {"green"}, v1::ROLE_READ),
         // Of several tenants: the pusher says for which it writes.
         PutBinding("pusher", kPusher, {"green", "red"}, v1::ROLE_WRITE)});
    StartPusher();
  }

  void TearDown() override {
    if (HasFailure() && pusher_) std::fputs(pusher_->LogTail().c_str(), stderr);
  }

  void StartSource() {
    source_port_ = ClaimPort();
    const std::string config = constellation_.dir().Write(
        "source.yml",
        absl::StrCat("global: {scrape_interval: 500ms, external_labels: "
                     "{cluster: east}}\n"
                     "scrape_configs:\n"
                     "  - job_name: itself\n"
                     "    static_configs: [{targets: ['127.0.0.1:",
                     source_port_, "']}]\n"));
    const std::string& dir = constellation_.dir().path();
    source_ = std::make_unique<Process>(
        "/usr/bin/prometheus",
        std::vector<std::string>{
            "--config.file=" + config,
            absl::StrCat("--storage.tsdb.path=", dir, "/source-tsdb"),
            absl::StrCat("--web.listen-address=127.0.0.1:", source_port_),
            "--log.level=warn"},
        dir + "/source.log");
    ASSERT_TRUE(WaitUntil([this] {
      return absl::StrContains(
          HttpSend(source_port_, "GET", FederateTarget()).body, kMetrics[0]);
    })) << source_->LogTail();
  }

  static std::string FederateTarget() {
    return absl::StrCat("/federate?", FormEncode({{"match[]", kMetrics[0]},
                                                  {"match[]", kMetrics[1]}}));
  }

  void StartPusher() {
    const std::string& dir = constellation_.dir().path();
    constellation_.dir().Write("pusher.token", absl::StrCat(kPusher, "\n"));
    Service service = StartService(
        constellation_.dir(), BIN_DIR "/federation-pusher", "pusher",
        absl::StrCat("registry: {address: 127.0.0.1:",
                     constellation_.registry_port(), ", state_dir: ", dir,
                     "/pusher}\n"
                     "gateway: {write_url: 'http://127.0.0.1:",
                     constellation_.gateway_port(),
                     "/api/v1/write', token_file: ", dir, "/pusher.token}\n"));
    pusher_ = std::move(service.process);
    ASSERT_FALSE(service.ports.empty()) << pusher_->LogTail();
    admin_port_ = service.ports["admin"];
    stub_ = federation::FederationPusher::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", service.ports["grpc"]),
                            grpc::InsecureChannelCredentials()));
  }

  static v1::Operation PutGreen() {
    v1::Operation operation;
    v1::Object* const object = operation.mutable_put();
    object->mutable_meta()->set_kind(v1::KIND_TENANT);
    object->mutable_meta()->set_id("green");
    object->mutable_tenant()->set_upstream_id("store");
    (*object->mutable_tenant()->mutable_enforced_labels())["namespace"] =
        "green";
    return operation;
  }

  static v1::Operation PutBinding(const std::string& id,
                                  const std::string& token,
                                  const std::vector<std::string>& tenants,
                                  v1::Role role) {
    v1::Operation operation;
    v1::Object* const object = operation.mutable_put();
    object->mutable_meta()->set_kind(v1::KIND_BINDING);
    object->mutable_meta()->set_id(id);
    object->mutable_binding()->set_token_sha256(TokenHash(token));
    for (const std::string& tenant : tenants) {
      object->mutable_binding()->add_tenant_ids(tenant);
    }
    object->mutable_binding()->add_roles(role);
    return operation;
  }

  v1::Operation PutJob(const std::string& id, absl::Duration interval) {
    v1::Operation operation;
    v1::Object* const object = operation.mutable_put();
    object->mutable_meta()->set_kind(v1::KIND_JOB);
    object->mutable_meta()->set_id(id);
    v1::Job* const job = object->mutable_job();
    job->set_tenant_id("green");
    job->set_source_url(
        absl::StrCat("http://127.0.0.1:", source_port_, "/federate"));
    for (const char* metric : kMetrics) job->add_matches(metric);
    job->mutable_interval()->set_seconds(absl::ToInt64Seconds(interval));
    (*job->mutable_labels())["instance"] = "the-source";
    return operation;
  }

  static v1::Operation DeleteJob(const std::string& id) {
    v1::Operation operation;
    operation.mutable_delete_()->set_kind(v1::KIND_JOB);
    operation.mutable_delete_()->set_id(id);
    return operation;
  }

  std::vector<federation::JobStatus> Jobs() {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    federation::ListJobsResponse response;
    const grpc::Status status = stub_->ListJobs(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.jobs().begin(), response.jobs().end()};
  }

  // What the source says of the two metrics, as their new tenant should see it.
  Samples AskSource() {
    Samples all;
    for (const char* metric : kMetrics) {
      const std::string target =
          absl::StrCat("/api/v1/query?",
                       FormEncode({{"query", absl::StrCat(metric, "[5m]")}}));
      all.merge(ParseMatrix(HttpSend(source_port_, "GET", target).body,
                            {"instance"}));
    }
    return all;
  }

  // What a tenant reads of them. Of its labels those that the way puts on are
  // checked and taken off.
  Samples AskAs(const char* token) {
    Samples all;
    for (const char* metric : kMetrics) {
      const HttpAnswer answer = constellation_.Query(
          token, absl::StrCat(metric,
                              "{cluster=\"east\",instance=\"the-source\""
                              ",job=\"itself\",namespace=\"green\"}[5m]"));
      all.merge(ParseMatrix(answer.body, {"instance", "cluster", "namespace"}));
    }
    return all;
  }

  // The time of the latest sample that has arrived; 0: none has.
  int64_t Latest(const Samples& samples) {
    int64_t latest = 0;
    for (const auto& [labels, values] : samples) {
      latest = std::max(latest, values.rbegin()->first);
    }
    return latest;
  }

  bool WaitForNewer(int64_t than) {
    return WaitUntil([&] { return Latest(AskAs(kGreen)) > than; });
  }

  Constellation constellation_;
  std::unique_ptr<Process> source_;
  std::unique_ptr<Process> pusher_;
  int source_port_ = 0;
  int admin_port_ = 0;
  std::unique_ptr<federation::FederationPusher::Stub> stub_;
};

TEST_F(FederationTest, DeliversTwoMetricsValueByValueToTheThirdTenantAlone) {
  constellation_.Apply({PutJob("slice", absl::Seconds(1))});
  ASSERT_TRUE(WaitUntil([this] {
    const Samples arrived = AskAs(kGreen);
    return arrived.size() == 2 && arrived.begin()->second.size() >= 5;
  })) << AskAs(kGreen).size();

  const Samples arrived = AskAs(kGreen);
  const Samples said = AskSource();
  size_t compared = 0;
  for (const auto& [labels, values] : arrived) {
    ASSERT_TRUE(said.contains(labels)) << labels;
    for (const auto& [time, value] : values) {
      ASSERT_TRUE(said.at(labels).contains(time)) << labels << " at " << time;
      EXPECT_EQ(said.at(labels).at(time), value) << labels << " at " << time;
      ++compared;
    }
  }
  EXPECT_THAT(arrived, SizeIs(2));
  EXPECT_GE(compared, 10u);

  for (const char* metric : kMetrics) {
    for (const char* other : {Constellation::kRed, Constellation::kBlue}) {
      EXPECT_THAT(constellation_.Query(other, metric).body,
                  HasSubstr(R"("result":[])"));
    }
  }
  EXPECT_THAT(constellation_.AskStore("count by (namespace) (go_goroutines)"),
              AllOf(HasSubstr("green"),
                    Not(AnyOf(HasSubstr("red"), HasSubstr("blue")))));

  const std::vector<federation::JobStatus> jobs = Jobs();
  ASSERT_THAT(jobs, SizeIs(1));
  EXPECT_EQ(jobs[0].job_id(), "slice");
  EXPECT_EQ(jobs[0].tenant_id(), "green");
  EXPECT_EQ(jobs[0].last_run().error(), "");
  EXPECT_EQ(jobs[0].last_run().delivered_samples(), 2);
  EXPECT_EQ(jobs[0].failed_runs(), 0);
}

TEST_F(FederationTest, RunNowAnswersWithWhatWasDelivered) {
  constellation_.Apply({PutJob("seldom", absl::Minutes(50))});
  grpc::Status status;
  federation::RunNowResponse response;
  // The job may not have arrived yet.
  ASSERT_TRUE(WaitUntil([&] {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(1)));
    federation::RunNowRequest request;
    request.set_job_id("seldom");
    status = stub_->RunNow(&context, request, &response);
    return status.error_code() != grpc::StatusCode::NOT_FOUND;
  }));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.run().error(), "");
  EXPECT_EQ(response.run().scraped_samples(), 2);
  EXPECT_EQ(response.run().delivered_samples(), 2);
  EXPECT_GT(response.run().scraped_bytes(), 100);
  EXPECT_THAT(AskAs(kGreen), SizeIs(2));
}

TEST_F(FederationTest, ADeletedJobStopsWithinASecond) {
  constellation_.Apply({PutJob("slice", absl::Seconds(1))});
  ASSERT_TRUE(WaitForNewer(0));
  constellation_.Apply({DeleteJob("slice")});
  const Waited waited = TimeUntil([this] { return Jobs().empty(); });
  EXPECT_LT(waited.OnIdleMachine(), absl::Seconds(1));

  // A run that was cut short is not in the store any later.
  const int64_t latest = Latest(AskAs(kGreen));
  ASSERT_TRUE(WaitUntil([&] { return Latest(AskSource()) > latest + 3000; }));
  EXPECT_LE(Latest(AskAs(kGreen)), latest + 500);
}

TEST_F(FederationTest, GoesOnWithoutTheRegistryAndAfterItsOwnRestart) {
  constellation_.Apply({PutJob("slice", absl::Seconds(1))});
  ASSERT_TRUE(WaitForNewer(0));
  constellation_.registry->Kill();
  EXPECT_TRUE(WaitForNewer(Latest(AskAs(kGreen)) + 3000));

  pusher_->Signal(SIGTERM);
  EXPECT_EQ(pusher_->Wait(absl::Minutes(1)), 0);
  StartPusher();
  EXPECT_TRUE(WaitForNewer(Latest(AskAs(kGreen)) + 3000));

  // The registry is found again, and its changes arrive.
  constellation_.StartRegistry();
  constellation_.Apply({DeleteJob("slice")});
  EXPECT_TRUE(WaitUntil([this] { return Jobs().empty(); }));
}

TEST_F(FederationTest, AnOutageOfTheStoreShorterThanTheTimeoutLosesNothing) {
  v1::Operation put = PutJob("slice", absl::Minutes(50));
  put.mutable_put()->mutable_job()->mutable_timeout()->set_seconds(60);
  constellation_.Apply({put});
  ASSERT_TRUE(WaitUntil([this] { return Jobs().size() == 1; }));
  constellation_.store->Kill();

  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(90)));
  federation::RunNowRequest request;
  request.set_job_id("slice");
  federation::RunNowResponse response;
  grpc::Status status;
  std::thread caller(
      [&] { status = stub_->RunNow(&context, request, &response); });
  EXPECT_TRUE(WaitUntil([this] {
    return !absl::StrContains(HttpSend(admin_port_, "GET", "/metrics").body,
                              "federation_pusher_push_retries_total 0");
  }));
  constellation_.StartStore();
  caller.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.run().error(), "");
  EXPECT_EQ(response.run().delivered_samples(), 2);
  EXPECT_THAT(AskAs(kGreen), SizeIs(2));
}

}  // namespace
}  // namespace insula::e2e
