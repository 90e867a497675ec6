#include "services/ingest_gateway/operator_pages.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class OperatorPagesTest : public WriteFixture {
 protected:
  OperatorPages Pages(
      std::function<TenantState(absl::string_view)> state = {}) {
    return OperatorPages(config_,
                         {[this] { return Snapshot(); }, std::move(state)},
                         &clock_, &handler_->usage(), &handler_->refusals());
  }
  static json Parse(const absl::StatusOr<std::string>& page) {
    EXPECT_THAT(page, IsOk());
    return page.ok() ? json::parse(*page) : json();
  }
};

TEST_F(OperatorPagesTest, TellsTheLastRefusalsOfATenant) {
  AddTenant("short")->set_limits_id("short");
  Add(registry::v1::KIND_LIMITS, "short")
      ->mutable_limits()
      ->set_max_label_value_bytes(8);
  const std::string bad = Compressed(Message(
      {{{"__name__", "up"}, {"namespace", "short"}, {"z", "far too long"}}}));
  EXPECT_EQ(Write("every", bad).status, 400);
  EXPECT_EQ(Write("every", bad).status, 400);
  const json page = Parse(Pages().Rejected("tenant=short"));
  EXPECT_EQ(page["tenant"], "short");
  ASSERT_THAT(page["refusals"], SizeIs(2));
  EXPECT_EQ(page["refusals"][0]["reason"], "label_value_too_long");
  EXPECT_EQ(page["refusals"][0]["caller"], "binding/every");
  EXPECT_EQ(page["refusals"][0]["series"], 1);
  EXPECT_TRUE(page["refusals"][0].contains("example"));
  EXPECT_THAT(Parse(Pages().Rejected("tenant=red"))["refusals"], IsEmpty());
  const json all = Parse(Pages().Rejected(""));
  ASSERT_THAT(all["tenants"], SizeIs(1));
  EXPECT_EQ(all["tenants"][0]["tenant"], "short");
  EXPECT_EQ(all["tenants"][0]["refusals"], 2);
}

TEST_F(OperatorPagesTest, KeepsTheLastHundredOfATenant) {
  for (int i = 0; i < 120; ++i) {
    EXPECT_EQ(Write("sender", BodyOf({absl::StrCat("nobody-", i)})).status,
              403);
  }
  // Of what is no tenant of the registry, they are kept under none.
  const json page = Parse(Pages().Rejected("tenant="));
  ASSERT_THAT(page["refusals"], SizeIs(100));
  EXPECT_EQ(page["refusals"][0]["example"], "nobody-119");
  EXPECT_EQ(page["refusals"][0]["reason"], "tenant_not_allowed");
  EXPECT_THAT(Parse(Pages().Rejected(""))["tenants"], SizeIs(1));
}

TEST_F(OperatorPagesTest, EscapesWhatSendersWrite) {
  Write("every", BodyOf({"a\"}<script>\n\r\n"}));
  Write("only-red", Compressed(Message({{{"__name__", "up"}, {"\xff", "x"}}})));
  const auto none = Pages().Rejected("tenant=");
  ASSERT_THAT(none, IsOk());
  EXPECT_EQ(json::parse(*none)["refusals"][0]["example"], "a\"}<script>\n\r\n");
  const auto red = Pages().Rejected("tenant=red");
  ASSERT_THAT(red, IsOk());
  EXPECT_EQ(json::parse(*red)["refusals"][0]["reason"], "label_invalid");
  EXPECT_THAT(*red, Not(HasSubstr("\xff")));
}

TEST_F(OperatorPagesTest, TellsWhatTenantsSend) {
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(Write("sender", BodyOf({"red", "red", "blue"})).status, 204);
    clock_.Advance(absl::Seconds(1));
  }
  const std::string blue_uid = Snapshot()->FindTenant("blue")->uid;
  const auto pages = Pages([&](absl::string_view uid) {
    TenantState state;
    if (uid == blue_uid) {
      state.active_series = 17;
      state.queued_bytes = 5;
      state.queue_lag = absl::Seconds(3);
    }
    return state;
  });
  const json page = Parse(pages.Tenants(""));
  ASSERT_THAT(page["tenants"], SizeIs(2));
  const json& red = page["tenants"][0];
  EXPECT_EQ(red["tenant"], "red");
  EXPECT_EQ(red["samples"], 120);
  EXPECT_EQ(red["requests"], 60);
  EXPECT_NEAR(red["samples_per_second"].get<double>(), 2, 0.3);
  EXPECT_GT(red["bytes_per_second"].get<double>(), 20);
  EXPECT_EQ(red["top_metrics"][0]["name"], "up");
  EXPECT_EQ(red["top_metrics"][0]["share"], 1.0);
  EXPECT_FALSE(red.contains("active_series"));
  const json& blue = page["tenants"][1];
  EXPECT_EQ(blue["active_series"], 17);
  EXPECT_EQ(blue["queued_bytes"], 5);
  EXPECT_EQ(blue["queue_lag_seconds"], 3.0);
  EXPECT_THAT(Parse(pages.Tenants("tenant=blue"))["tenants"], SizeIs(1));
  EXPECT_THAT(Parse(pages.Tenants("tenant=nobody"))["tenants"], IsEmpty());
}

TEST_F(OperatorPagesTest, TenantsOfSendersAloneAreNotCounted) {
  Write("every", BodyOf({"made-up"}));
  EXPECT_THAT(Parse(Pages().Tenants(""))["tenants"], IsEmpty());
  EXPECT_THAT(handler_metrics_->Expose(), Not(HasSubstr("made-up")));
}

TEST_F(OperatorPagesTest, RefusedSamplesAreToldByTenant) {
  auto& limits = *Add(registry::v1::KIND_LIMITS, "small")->mutable_limits();
  limits.set_max_series_per_write(1);
  TenantNamed("blue")->set_limits_id("small");
  Write("sender", BodyOf({"blue", "blue", "blue"}));
  Write("sender", BodyOf({"blue"}));
  const json page = Parse(Pages().Tenants("tenant=blue"));
  EXPECT_EQ(page["tenants"][0]["refused_samples"], 3);
  EXPECT_EQ(page["tenants"][0]["samples"], 1);
}

TEST_F(OperatorPagesTest, ExplainsASeriesAsPromqlWritesIt) {
  const json why =
      Parse(Pages().Why("binding=sender&series=up%7Bnamespace%3D%22red%22%7D"));
  EXPECT_EQ(why["tenant_id"], "red");
  EXPECT_EQ(why["rule"], "claim rule by-namespace: label namespace");
  EXPECT_EQ(why["destinations"][0]["write_url"], store_.url());
  const json header = Parse(Pages().Why("tenant=blue&series=up"));
  EXPECT_EQ(header["rule"], "header");
}

TEST_F(OperatorPagesTest, RefusesQuestionsWithoutSense) {
  const auto pages = Pages();
  const std::pair<const char*, const char*> cases[] = {
      {"binding=sender&series=up%7Ba%3D~%22b%22%7D", "series: is no series"},
      {"binding=sender&series=up%7B", "series: "},
      {"binding=sender&series=%ff", "series: must be"},
      {"binding=sender", "series: "},
      {"series=up", "binding_id: name the sender"},
      {"binding=a&binding=b&series=up", "binding: may be given once"},
      {"who=me", "not known; there are: binding, tenant, series"},
      {"binding=%zz", ""},
  };
  for (const auto& [query, message] : cases) {
    EXPECT_THAT(pages.Why(query), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(message)))
        << query;
  }
  EXPECT_THAT(pages.Why("binding=nobody&series=up"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(pages.Rejected("tenants=a"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ingest::v1::UsageRequest request;
  request.set_max_tenants(-1);
  EXPECT_THAT(pages.TellUsage(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("max_tenants: must be 1 to 1000")));
}

TEST_F(OperatorPagesTest, CountsAsOpenMetricsProxyDid) {
  EXPECT_EQ(Write("sender", BodyOf({"red", "red", "blue"})).status, 204);
  store_.SetMood("red", {.status = 503});
  EXPECT_EQ(Write("sender", BodyOf({"red"})).status, 503);
  const std::string text = handler_metrics_->Expose();
  for (const char* line : {
           "# TYPE open_metrics_proxy_requests counter\n",
           "open_metrics_proxy_requests{tenant_id=\"red\"} 2\n",
           "open_metrics_proxy_requests{tenant_id=\"blue\"} 1\n",
           "# TYPE open_metrics_proxy_series counter\n",
           "open_metrics_proxy_series{tenant_id=\"red\"} 2\n",
           "# TYPE open_metrics_proxy_failures counter\n",
           "open_metrics_proxy_failures 1\n",
           "# TYPE open_metrics_proxy_labels counter\n",
           "open_metrics_proxy_labels 4\n",
           "# TYPE open_metrics_proxy_tenants counter\n",
           "open_metrics_proxy_tenants 4\n",
           "# TYPE open_metrics_proxy_metadata counter\n",
           "open_metrics_proxy_metadata 0\n",
           "# TYPE open_metrics_proxy_processing_ms histogram\n",
           "open_metrics_proxy_processing_ms_bucket{le=\"10\"} 2\n",
           "open_metrics_proxy_processing_ms_bucket{le=\"2000\"} 2\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace insula::ingest_gateway
