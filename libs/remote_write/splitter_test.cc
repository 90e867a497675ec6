#include "libs/remote_write/splitter.h"

#include <gmock/gmock.h>

#include <bit>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/encode.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

using Labels = std::vector<std::pair<std::string, std::string>>;
using Values = absl::Span<const absl::string_view>;

constexpr absl::StatusCode kMalformed = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kTooLarge = absl::StatusCode::kResourceExhausted;

std::string Series(const Labels& labels, double value = 1,
                   int64_t timestamp = 1000) {
  std::string series;
  for (const auto& [name, label] : labels) AppendLabel(name, label, &series);
  AppendSample(value, timestamp, &series);
  return series;
}

std::string Request(const std::vector<std::string>& all) {
  std::string request;
  for (const std::string& series : all) AppendSeries(series, &request);
  return request;
}

prometheus::WriteRequest Parse(absl::string_view body) {
  prometheus::WriteRequest request;
  EXPECT_TRUE(
      request.ParseFromArray(body.data(), static_cast<int>(body.size())));
  return request;
}

// The series of a part, as "a=1,b=2".
std::vector<std::string> Texts(absl::string_view body) {
  std::vector<std::string> texts;
  const prometheus::WriteRequest request = Parse(body);
  for (const auto& series : request.timeseries()) {
    std::string text;
    for (const auto& label : series.labels()) {
      absl::StrAppend(&text, text.empty() ? "" : ",", label.name(), "=",
                      label.value());
    }
    texts.push_back(text);
  }
  return texts;
}

class SplitterTest : public testing::Test {
 protected:
  SplitterTest() {
    red_.name = "red";
    blue_.name = "blue";
    by_namespace_.deciding_labels = {"namespace"};
    by_namespace_.find = [this](const Values& values) -> const Routes& {
      if (values[0].empty()) return otherwise_;
      ++finds_;
      if (values[0] == "red") return to_red_;
      if (values[0] == "blue") return to_blue_;
      return not_allowed_;
    };
    as_red_.find = [this](const Values&) -> const Routes& { return to_red_; };
  }

  SplitResult Split(const std::string& request, const Plan& plan) {
    auto result = splitter_.Split(request, plan);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : SplitResult();
  }

  // The series of each tenant.
  std::map<std::string, std::vector<std::string>> Kept(
      const SplitResult& result) {
    std::map<std::string, std::vector<std::string>> kept;
    for (const Part& part : result.parts) {
      kept[part.destination->name] = Texts(part.body);
    }
    return kept;
  }

  // How many series were refused, by reason.
  std::map<std::string, int64_t> Refusals(const SplitResult& result) {
    std::map<std::string, int64_t> refusals;
    for (const Refused& refused : result.refused) {
      refusals[std::string(ReasonName(refused.reason))] +=
          refused.counts.series;
    }
    return refusals;
  }

  Destination red_;
  Destination blue_;
  const Routes to_red_{.destinations = {&red_}};
  const Routes to_blue_{.destinations = {&blue_}};
  const Routes not_allowed_{.refused = {Reason::kTenantNotAllowed}};
  Routes otherwise_;  // Of series without a namespace.
  Plan by_namespace_;
  Plan as_red_;
  int finds_ = 0;
  Splitter splitter_{Bounds()};
};

TEST_F(SplitterTest, GivesEachSeriesToTheTenantOfItsDecidingLabel) {
  const auto result =
      Split(Request({
                Series({{"__name__", "a"}, {"namespace", "red"}}),
                Series({{"__name__", "b"}, {"namespace", "blue"}}),
                Series({{"__name__", "c"}, {"namespace", "red"}}),
            }),
            by_namespace_);

  EXPECT_THAT(Kept(result),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a,namespace=red",
                                          "__name__=c,namespace=red")),
                  Pair("blue", ElementsAre("__name__=b,namespace=blue"))));
  EXPECT_FALSE(result.unchanged);
  EXPECT_EQ(result.routed_series, 3);
  EXPECT_EQ(finds_, 2);  // Once for each value.
}

TEST_F(SplitterTest, PassesARequestOfOneTenantThroughUntouched) {
  const std::string request =
      Request({Series({{"__name__", "a"}, {"namespace", "red"}}),
               Series({{"__name__", "b"}, {"namespace", "red"}})});
  for (const Plan* plan : {&by_namespace_, &as_red_}) {
    const auto result = Split(request, *plan);
    ASSERT_EQ(result.parts.size(), 1u);
    EXPECT_TRUE(result.unchanged);
    EXPECT_EQ(result.parts[0].body.data(), request.data());
    EXPECT_EQ(result.parts[0].counts, (Counts{.series = 2, .samples = 2}));
  }
}

TEST_F(SplitterTest, DoesNotCallARequestUntouchedOfWhichSomethingWasRefused) {
  const std::string good = Series({{"__name__", "a"}});
  const std::string bad = Series({{"no_name", "a"}});
  for (const auto& request : {Request({good, bad}), Request({bad, good}),
                              Request({good, bad, good})}) {
    const auto result = Split(request, as_red_);
    EXPECT_FALSE(result.unchanged);
    EXPECT_THAT(Refusals(result), ElementsAre(Pair("missing_metric_name", 1)));
    ASSERT_EQ(result.parts.size(), 1u);
    for (const std::string& text : Texts(result.parts[0].body)) {
      EXPECT_EQ(text, "__name__=a");
    }
  }
}

TEST_F(SplitterTest, AnEmptyRequestHasNoParts) {
  const auto result = Split("", as_red_);
  EXPECT_THAT(result.parts, IsEmpty());
  EXPECT_THAT(result.refused, IsEmpty());
}

TEST_F(SplitterTest, AddsEnforcedLabelsAtTheirSortedPlace) {
  red_.enforced_labels = {{"a", "1"}, {"m", "2"}, {"z", "3"}};
  const auto result =
      Split(Request({
                Series({{"__name__", "x"}}),
                Series({{"__name__", "x"}, {"b", "b"}, {"y", "y"}}),
                Series({{"__name__", "x"}, {"b", "b"}, {"y", "z"}}),
                Series({{"__name__", "x"}, {"a", "1"}, {"b", "b"}, {"z", "3"}}),
                Series({{"A", "0"}, {"__name__", "x"}, {"zz", "y"}}),
            }),
            as_red_);

  EXPECT_THAT(
      Kept(result)["red"],
      ElementsAre("__name__=x,a=1,m=2,z=3", "__name__=x,a=1,b=b,m=2,y=y,z=3",
                  "__name__=x,a=1,b=b,m=2,y=z,z=3",
                  "__name__=x,a=1,b=b,m=2,z=3",
                  "A=0,__name__=x,a=1,m=2,z=3,zz=y"));
  EXPECT_THAT(result.refused, IsEmpty());
}

TEST_F(SplitterTest, RefusesAnEnforcedLabelWithAnotherValue) {
  red_.enforced_labels = {{"namespace", "red"}};
  const auto result =
      Split(Request({Series({{"__name__", "a"}, {"namespace", "red"}}),
                     Series({{"__name__", "a"}, {"namespace", "blue"}}),
                     Series({{"__name__", "a"}, {"namespace", "red"}}),
                     Series({{"__name__", "a"}, {"namespace", "redd"}})}),
            as_red_);

  EXPECT_THAT(Kept(result)["red"], ElementsAre("__name__=a,namespace=red",
                                               "__name__=a,namespace=red"));
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_EQ(result.refused[0].reason, Reason::kForeignLabel);
  EXPECT_EQ(result.refused[0].destination, &red_);
  EXPECT_EQ(result.refused[0].counts, (Counts{.series = 2, .samples = 2}));
  EXPECT_THAT(result.refused[0].examples, ElementsAre("namespace"));
}

TEST_F(SplitterTest, ARequestThatHasItsEnforcedLabelsPassesThrough) {
  red_.enforced_labels = {{"namespace", "red"}};
  const auto result = Split(
      Request({Series({{"__name__", "a"}, {"namespace", "red"}})}), as_red_);
  EXPECT_TRUE(result.unchanged);
}

TEST_F(SplitterTest, DropsTheRemovedLabels) {
  by_namespace_.removed_labels = {"namespace"};
  blue_.enforced_labels = {{"namespace", "blue"}};
  const auto result = Split(
      Request({Series({{"__name__", "a"}, {"namespace", "red"}, {"z", "1"}}),
               Series({{"__name__", "a"}, {"namespace", "blue"}, {"z", "1"}})}),
      by_namespace_);

  // blue's own label stays.
  EXPECT_THAT(Kept(result),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a,z=1")),
                  Pair("blue", ElementsAre("__name__=a,namespace=blue,z=1"))));
}

TEST_F(SplitterTest, ADecidingLabelThatATenantsOwnContradictsIsForeign) {
  blue_.enforced_labels = {{"namespace", "azure"}};
  const auto result =
      Split(Request({Series({{"__name__", "a"}, {"namespace", "blue"}})}),
            by_namespace_);
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("foreign_label", 1)));
}

TEST_F(SplitterTest, AnEmptyDecidingLabelCountsAsAbsent) {
  const std::string request =
      Request({Series({{"__name__", "a"}, {"namespace", ""}}),
               Series({{"__name__", "b"}}),
               Series({{"__name__", "c"}, {"namespace", ""}, {"z", "1"}})});
  EXPECT_THAT(Refusals(Split(request, by_namespace_)),
              ElementsAre(Pair("tenant_missing", 3)));

  otherwise_.destinations = {&red_};
  EXPECT_THAT(Kept(Split(request, by_namespace_))["red"],
              ElementsAre("__name__=a", "__name__=b", "__name__=c,z=1"));

  red_.enforced_labels = {{"namespace", "red"}};
  EXPECT_THAT(
      Kept(Split(request, by_namespace_))["red"],
      ElementsAre("__name__=a,namespace=red", "__name__=b,namespace=red",
                  "__name__=c,namespace=red,z=1"));
  EXPECT_EQ(finds_, 0);
}

TEST_F(SplitterTest, RefusesSeriesOfTenantsThatTheCallerMayNotWrite) {
  const auto result =
      Split(Request({Series({{"__name__", "a"}, {"namespace", "green"}}),
                     Series({{"__name__", "b"}, {"namespace", "red"}})}),
            by_namespace_);

  EXPECT_THAT(Kept(result)["red"], ElementsAre("__name__=b,namespace=red"));
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_EQ(result.refused[0].reason, Reason::kTenantNotAllowed);
  EXPECT_EQ(result.refused[0].destination, nullptr);
  EXPECT_THAT(result.refused[0].examples, ElementsAre("green"));
  EXPECT_EQ(result.routed_series, 1);
}

TEST_F(SplitterTest, ADecidingLabelThatIsThereTwiceIsNobodys) {
  const auto result = Split(
      Request({Series(
          {{"__name__", "a"}, {"namespace", "red"}, {"namespace", "blue"}})}),
      by_namespace_);
  EXPECT_THAT(result.parts, IsEmpty());
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("duplicate_label_names", 1)));
  EXPECT_EQ(result.routed_series, 0);
}

TEST_F(SplitterTest, SeveralLabelsDecideTogether) {
  std::vector<std::vector<std::string>> asked;
  Plan plan;
  plan.deciding_labels = {"team", "__name__", "namespace"};
  plan.removed_labels = {"team", "__name__", "region"};
  plan.find = [&](const Values& values) -> const Routes& {
    asked.emplace_back(values.begin(), values.end());
    if (values[0] == "r" || values[1] == "of_red") return to_red_;
    return values[2] == "blue" ? to_blue_ : not_allowed_;
  };
  const auto result = Split(
      Request({Series({{"__name__", "a"}, {"team", "r"}, {"z", "1"}}),
               Series({{"__name__", "a"}, {"team", "r"}, {"z", "2"}}),
               Series({{"__name__", "of_red"}, {"region", "eu"}, {"z", "1"}}),
               Series({{"__name__", "a"}, {"namespace", "blue"}}),
               Series({{"__name__", "a"}, {"namespace", "x"}, {"team", "y"}}),
               Series({{"__name__", "a"}, {"namespace", "x"}, {"team", ""}}),
               Series({{"__name__", "a"}, {"team", "r"}, {"z", "3"}})}),
      plan);

  EXPECT_THAT(
      Kept(result),
      UnorderedElementsAre(
          Pair("red", ElementsAre("__name__=a,z=1", "__name__=a,z=2",
                                  "__name__=of_red,z=1", "__name__=a,z=3")),
          Pair("blue", ElementsAre("__name__=a,namespace=blue"))));
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_THAT(result.refused[0].examples, ElementsAre("y, a, x", "a, x"));
  EXPECT_THAT(
      asked,
      ElementsAre(ElementsAre("r", "a", ""), ElementsAre("", "of_red", ""),
                  ElementsAre("", "a", "blue"), ElementsAre("y", "a", "x"),
                  ElementsAre("", "a", "x")));
}

TEST_F(SplitterTest, EveryDecidingLabelMayBeThereOnce) {
  Plan plan;
  plan.deciding_labels = {"a", "b"};
  plan.find = [this](const Values&) -> const Routes& { return to_red_; };
  const auto result = Split(
      Request({Series({{"__name__", "x"}, {"a", "1"}, {"b", "1"}, {"b", "2"}}),
               Series({{"__name__", "x"}, {"a", ""}, {"b", "1"}, {"c", "2"}}),
               Series({{"__name__", "x"}, {"a", ""}, {"b", ""}})}),
      plan);
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("duplicate_label_names", 1)));
  EXPECT_THAT(result.refused[0].examples, ElementsAre("b"));
  EXPECT_THAT(Kept(result)["red"],
              ElementsAre("__name__=x,b=1,c=2", "__name__=x"));
}

TEST_F(SplitterTest, GivesASeriesToSeveralTenants) {
  otherwise_.destinations = {&red_, &blue_};
  blue_.enforced_labels = {{"tenant", "blue"}};
  const std::string request =
      Request({Series({{"__name__", "a"}}), Series({{"__name__", "b"}})});
  const auto result = Split(request, by_namespace_);

  EXPECT_THAT(Kept(result),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a", "__name__=b")),
                  Pair("blue", ElementsAre("__name__=a,tenant=blue",
                                           "__name__=b,tenant=blue"))));
  EXPECT_EQ(result.received, (Counts{.series = 2, .samples = 2}));
  EXPECT_EQ(result.routed_series, 2);
  EXPECT_FALSE(result.unchanged);
  EXPECT_TRUE(result.parts[0].unchanged);
  EXPECT_EQ(result.parts[0].body.data(), request.data());
  EXPECT_FALSE(result.parts[1].unchanged);
}

TEST_F(SplitterTest, OneTenantsRefusalIsNotTheOthers) {
  otherwise_ = {.destinations = {&red_, &blue_},
                .refused = {Reason::kTenantUnknown, Reason::kTenantReadOnly}};
  red_.limits.max_label_names = 1;
  const std::string request = Request(
      {Series({{"__name__", "a"}}), Series({{"__name__", "b"}, {"c", "1"}})});
  const auto result = Split(request, by_namespace_);
  EXPECT_THAT(Kept(result),
              UnorderedElementsAre(
                  Pair("red", ElementsAre("__name__=a")),
                  Pair("blue", ElementsAre("__name__=a", "__name__=b,c=1"))));
  EXPECT_THAT(Refusals(result),
              UnorderedElementsAre(Pair("tenant_unknown", 2),
                                   Pair("tenant_read_only", 2),
                                   Pair("max_label_names_per_series", 1)));
  EXPECT_EQ(result.routed_series, 2);
}

TEST_F(SplitterTest, BoundsTheMemoryOfCombinations) {
  std::string request;
  const int count = static_cast<int>(Plan::kMaxCombinations) + 10;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < count; ++i) {
      AppendSeries(
          Series({{"__name__", "a"}, {"namespace", absl::StrCat("n", i)}}),
          &request);
    }
  }
  AppendSeries(Series({{"__name__", "a"}, {"namespace", "red"}}), &request);
  const auto result = Split(request, by_namespace_);
  EXPECT_THAT(Refusals(result),
              ElementsAre(Pair("tenant_not_allowed", 2 * count)));
  EXPECT_THAT(Kept(result)["red"], ElementsAre("__name__=a,namespace=red"));
  EXPECT_EQ(finds_, 2 * count + 1);  // Each was forgotten meanwhile.
}

TEST_F(SplitterTest, BoundsTheCopiesOfSeries) {
  std::vector<Destination> many(100);
  for (Destination& d : many) {
    d.enforced_labels = {{"tenant", "t"}};
    otherwise_.destinations.push_back(&d);
  }
  const std::string request =
      Request({Series({{"__name__", "a"}, {"b", std::string(1000, 'v')}})});
  Splitter splitter({.max_output_bytes = 20'000});
  EXPECT_THAT(splitter.Split(request, by_namespace_),
              StatusIs(kTooLarge, HasSubstr("bytes")));
}

struct FaultCase {
  std::string reason;
  Labels labels;
};

TEST_F(SplitterTest, NamesTheFaultOfASeriesAndKeepsTheOthers) {
  red_.limits = {.max_label_names = 4,
                 .max_label_name_bytes = 10,
                 .max_label_value_bytes = 12};
  const FaultCase cases[] = {
      {"missing_metric_name", {}},
      {"missing_metric_name", {{"a", "b"}}},
      {"missing_metric_name", {{"__name__", ""}, {"a", "b"}}},
      {"metric_name_invalid", {{"__name__", "1up"}}},
      {"metric_name_invalid", {{"__name__", "a.b"}}},
      {"metric_name_invalid", {{"__name__", "\xc3\xa9t\xc3\xa9"}}},
      {"metric_name_invalid", {{"__name__", "up\n"}}},
      {"max_label_names_per_series",
       {{"__name__", "a"}, {"b", "1"}, {"c", "1"}, {"d", "1"}, {"e", "1"}}},
      {"label_invalid", {{"", "x"}, {"__name__", "a"}}},
      {"label_invalid", {{"__name__", "a"}, {"a-b", "1"}}},
      {"label_invalid", {{"__name__", "a"}, {"a:b", "1"}}},
      {"label_invalid", {{"__name__", "a"}, {"a\0b"s, "1"}}},
      {"label_invalid", {{"__name__", "a"}, {"\xff", "1"}}},
      {"label_name_too_long", {{"__name__", "a"}, {"elevenchars", "1"}}},
      {"label_value_too_long", {{"__name__", "a"}, {"b", "13 characters"}}},
      {"label_value_empty", {{"__name__", "a"}, {"b", ""}}},
      {"label_value_invalid", {{"__name__", "a"}, {"b", "\xff"}}},
      {"label_value_invalid", {{"__name__", "a"}, {"b", "\xed\xa0\x80"}}},
      {"label_value_invalid", {{"__name__", "a"}, {"b", "\xc0\x80"}}},
      {"duplicate_label_names", {{"__name__", "a"}, {"b", "1"}, {"b", "2"}}},
      {"duplicate_label_names", {{"__name__", "a"}, {"b", "1"}, {"b", "1"}}},
      {"duplicate_label_names", {{"__name__", "a"}, {"__name__", "b"}}},
      {"labels_not_sorted", {{"b", "1"}, {"__name__", "a"}}},
      {"labels_not_sorted", {{"__name__", "a"}, {"c", "1"}, {"b", "1"}}},
  };
  const std::string good = Series({{"__name__", "a"}, {"b", "1"}});
  for (const FaultCase& c : cases) {
    const auto result = Split(Request({good, Series(c.labels), good}), as_red_);
    EXPECT_THAT(Refusals(result), ElementsAre(Pair(c.reason, 1)))
        << testing::PrintToString(c.labels);
    EXPECT_THAT(Kept(result)["red"],
                ElementsAre("__name__=a,b=1", "__name__=a,b=1"))
        << testing::PrintToString(c.labels);
    EXPECT_EQ(result.routed_series, 3);
  }
}

TEST_F(SplitterTest, TakesSeriesAtTheirLimits) {
  red_.limits = {.max_label_names = 3,
                 .max_label_name_bytes = 8,
                 .max_label_value_bytes = 3};
  const auto result = Split(
      Request({Series({{"__name__", "abc"}, {"eightchr", "123"}, {"z", "1"}})}),
      as_red_);
  EXPECT_THAT(result.refused, IsEmpty());
}

TEST_F(SplitterTest, TakesUtf8NamesIfToldTo) {
  as_red_.name_scheme = NameScheme::kUtf8;
  const auto result =
      Split(Request({Series({{"__name__", "http.requests"}, {"a b", "1"}}),
                     Series({{"__name__", "\xff"}}),
                     Series({{"__name__", "a"}, {"\xff", "1"}})}),
            as_red_);
  EXPECT_THAT(Kept(result)["red"], ElementsAre("__name__=http.requests,a b=1"));
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("label_invalid", 1),
                                            Pair("metric_name_invalid", 1)));
}

TEST_F(SplitterTest, LimitsAreThoseOfTheSeriesOwnTenant) {
  red_.limits.max_label_value_bytes = 4;
  // The long value stands in the same place of neighbours of two tenants.
  const auto result = Split(
      Request(
          {Series({{"__name__", "a"}, {"l", "12345"}, {"namespace", "blue"}}),
           Series({{"__name__", "a"}, {"l", "12345"}, {"namespace", "red"}}),
           Series({{"__name__", "a"}, {"l", "12345"}, {"namespace", "blue"}})}),
      by_namespace_);
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("label_value_too_long", 1)));
  EXPECT_EQ(Kept(result)["blue"].size(), 2u);
}

TEST_F(SplitterTest, ALabelWithTwoNamesIsInvalid) {
  // A parser may take the first name or the last: such a label means different
  // things to us and to the store.
  std::string label;
  AppendBytesField(1, "namespace", &label);
  AppendBytesField(2, "red", &label);
  AppendBytesField(1, "other", &label);
  std::string series;
  AppendLabel("__name__", "a", &series);
  AppendBytesField(1, label, &series);
  const auto result = Split(Request({series, series}), as_red_);
  EXPECT_THAT(Refusals(result), ElementsAre(Pair("label_invalid", 2)));
}

TEST_F(SplitterTest, KeepsEveryBitOfASample) {
  const uint64_t patterns[] = {0x7ff0000000000002,  // The stale marker.
                               0x7ff8000000000001, 0xfff8dead0000beef,
                               0x7ff0000000000000, 0xfff0000000000000,
                               0x8000000000000000, 0x0000000000000001,
                               0x800fffffffffffff, 0x3ff0000000000000};
  const int64_t times[] = {0, -1, std::numeric_limits<int64_t>::min(),
                           std::numeric_limits<int64_t>::max(), 1700000000000};
  red_.enforced_labels = {{"namespace", "red"}};  // So that series are changed.
  std::vector<std::string> all;
  for (const uint64_t bits : patterns) {
    for (const int64_t time : times) {
      all.push_back(
          Series({{"__name__", "a"}}, std::bit_cast<double>(bits), time));
    }
  }
  const auto result = Split(Request(all), as_red_);

  ASSERT_EQ(result.parts.size(), 1u);
  const auto parsed = Parse(result.parts[0].body);
  size_t i = 0;
  for (const uint64_t bits : patterns) {
    for (const int64_t time : times) {
      const auto& sample = parsed.timeseries(static_cast<int>(i++)).samples(0);
      EXPECT_EQ(std::bit_cast<uint64_t>(sample.value()), bits);
      EXPECT_EQ(sample.timestamp(), time);
    }
  }
}

TEST_F(SplitterTest, CarriesWhatItDoesNotKnowAlong) {
  std::string series;
  AppendBytesField(200, "before", &series);
  AppendLabel("__name__", "a", &series);
  AppendSample(1, 2, &series);  // Between labels: nobody does, but it is legal.
  AppendLabel("b", "1", &series);
  AppendBytesField(201, "after", &series);
  red_.enforced_labels = {{"aa", "1"}, {"c", "2"}};
  const auto result = Split(Request({series}), as_red_);

  ASSERT_EQ(result.parts.size(), 1u);
  EXPECT_THAT(result.parts[0].body, HasSubstr("before"));
  EXPECT_THAT(result.parts[0].body, HasSubstr("after"));
  EXPECT_THAT(Texts(result.parts[0].body),
              ElementsAre("__name__=a,aa=1,b=1,c=2"));
  EXPECT_EQ(Parse(result.parts[0].body).timeseries(0).samples_size(), 1);
}

TEST_F(SplitterTest, FieldsOfTheRequestThatNobodyKnowsGoNowhere) {
  std::string request = Request({Series({{"__name__", "a"}})});
  AppendTag(1000, WireType::kVarint, &request);  // Cortex: skip name checks.
  AppendVarint(1, &request);
  const auto result = Split(request, as_red_);
  EXPECT_EQ(result.dropped_fields, 1);
  EXPECT_FALSE(result.unchanged);
  ASSERT_EQ(result.parts.size(), 1u);
  EXPECT_EQ(result.parts[0].body, Request({Series({{"__name__", "a"}})}));
}

TEST_F(SplitterTest, MetadataGoesToTheTenantsThatHaveTheMetric) {
  std::string request;
  AppendMetadata(1, "shared_total", "both have it", &request);
  AppendMetadata(3, "latency", "of blue", &request);
  AppendMetadata(2, "nobodys", "of the default", &request);
  for (const Labels& labels :
       {Labels{{"__name__", "shared_total"}, {"namespace", "red"}},
        Labels{{"__name__", "shared_total"}, {"namespace", "blue"}},
        Labels{{"__name__", "latency_bucket"}, {"namespace", "blue"}}}) {
    AppendSeries(Series(labels), &request);
  }
  Destination fallback{.name = "fallback"};
  otherwise_.destinations = {&fallback};
  const auto result = Split(request, by_namespace_);

  std::map<std::string, std::vector<std::string>> families;
  for (const Part& part : result.parts) {
    const auto parsed = Parse(part.body);
    for (const auto& metadata : parsed.metadata()) {
      families[part.destination->name].push_back(metadata.metric_family_name());
    }
    EXPECT_EQ(part.counts.metadata, parsed.metadata_size());
  }
  EXPECT_THAT(
      families,
      UnorderedElementsAre(Pair("red", ElementsAre("shared_total")),
                           Pair("blue", ElementsAre("shared_total", "latency")),
                           Pair("fallback", ElementsAre("nobodys"))));
  EXPECT_EQ(result.dropped_metadata, 0);
}

TEST_F(SplitterTest, MetadataOfNobodyIsDroppedAndCounted) {
  std::string request;
  AppendMetadata(1, "nobodys", "", &request);
  AppendMetadata(1, "bad", "\xff", &request);
  AppendMetadata(1, "", "no name", &request);
  const auto result = Split(request, by_namespace_);
  EXPECT_EQ(result.dropped_metadata, 3);
  EXPECT_THAT(result.parts, IsEmpty());
}

TEST_F(SplitterTest, MetadataOfOneTenantPassesThrough) {
  std::string request;
  AppendMetadata(1, "a", "help", &request);
  AppendSeries(Series({{"__name__", "a"}}), &request);
  AppendMetadata(1, "b", "help", &request);
  EXPECT_TRUE(Split(request, as_red_).unchanged);
}

TEST_F(SplitterTest, RefusesMalformedRequests) {
  const std::string good = Request({Series({{"__name__", "a"}})});
  std::string two;
  AppendBytesField(4, "symbol", &two);
  std::string groups;
  for (int i = 0; i < 1000; ++i) groups += "\x0b";
  std::string nested_garbage;
  AppendBytesField(1, "\x0a\x05zz", &nested_garbage);
  std::string bad_sample;
  AppendBytesField(1, "\x12\x02\x08\x01", &bad_sample);
  std::string bad_exemplar;
  AppendBytesField(1, "\x1a\x02\x0a\x05", &bad_exemplar);
  std::string bad_histogram;
  AppendBytesField(1, "\x22\x02\x42\x05", &bad_histogram);
  const std::string cases[] = {
      "garbage",
      good.substr(0, good.size() - 1),
      good + "\x0a\x7f",
      "\x0a\xff\xff\xff\xff\x0f",
      "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
      "\x08\x01",  // timeseries: a number.
      "\x18\x01",  // metadata: a number.
      good + groups,
      nested_garbage,
      bad_sample,
      bad_exemplar,
      bad_histogram,
      good + two,
  };
  for (const std::string& request : cases) {
    EXPECT_THAT(splitter_.Split(request, as_red_), StatusIs(kMalformed))
        << testing::PrintToString(request);
  }
}

TEST_F(SplitterTest, SaysThatTheBodyIsOfRemoteWrite2) {
  std::string request;
  AppendBytesField(4, "", &request);
  EXPECT_THAT(splitter_.Split(request, as_red_),
              StatusIs(kMalformed, HasSubstr("2.0")));
}

TEST_F(SplitterTest, BoundsWhatOneRequestHolds) {
  const std::string series = Series({{"__name__", "a"}, {"b", "1"}});
  const std::string five = Request({series, series, series, series, series});
  const std::pair<Bounds, std::string> cases[] = {
      {{.max_series = 4}, "more than 4 series"},
      {{.max_labels = 9}, "more than 9 labels"},
      {{.max_samples = 4}, "more than 4 samples"},
      {{.max_output_bytes = 4 * 30}, "bytes"},
  };
  for (const auto& [bounds, message] : cases) {
    Splitter splitter(bounds);
    EXPECT_THAT(splitter.Split(five, as_red_),
                StatusIs(kTooLarge, HasSubstr(message)));
  }
  Splitter enough({.max_series = 5, .max_labels = 10, .max_samples = 5});
  EXPECT_THAT(enough.Split(five, as_red_), IsOk());
}

TEST_F(SplitterTest, BoundsTheCopiesOfMetadata) {
  std::string request;
  AppendMetadata(1, "a", std::string(10'000, 'h'), &request);
  for (const char* tenant : {"red", "blue"}) {
    AppendSeries(Series({{"__name__", "a"}, {"namespace", tenant}}), &request);
  }
  Splitter splitter({.max_output_bytes = 15'000});
  EXPECT_THAT(splitter.Split(request, by_namespace_), StatusIs(kTooLarge));
}

TEST_F(SplitterTest, SurvivesSeriesOfAbsurdSize) {
  Labels many = {{"__name__", "a"}};
  for (int i = 0; i < 20'000; ++i) {
    many.push_back({absl::StrCat("l", 100'000 + i), "1"});
  }
  const std::string good = Series({{"__name__", "a"}});
  const auto result = Split(
      Request({good, Series(many),
               Series({{"__name__", "a"}, {"b", std::string(10 << 20, 'v')}}),
               Series({{"__name__", "a"}, {std::string(1 << 20, 'n'), "v"}}),
               good}),
      as_red_);
  EXPECT_THAT(Refusals(result),
              UnorderedElementsAre(Pair("max_label_names_per_series", 1),
                                   Pair("label_value_too_long", 1),
                                   Pair("label_name_too_long", 1)));
  EXPECT_EQ(Kept(result)["red"].size(), 2u);
  for (const Refused& refused : result.refused) {
    for (const std::string& example : refused.examples) {
      EXPECT_LE(example.size(), Refused::kMaxExampleBytes);
    }
  }
}

TEST_F(SplitterTest, StopsAtTheSeriesBoundOfTwoMillionEmptySeries) {
  std::string request;
  for (int i = 0; i < 2'000'000; ++i) request += "\x0a\x00"s;
  EXPECT_THAT(splitter_.Split(request, as_red_), StatusIs(kTooLarge));
}

TEST_F(SplitterTest, ForgetsOneRequestBeforeTheNext) {
  const std::string red = Request({Series({{"__name__", "a"}})});
  red_.enforced_labels = {{"namespace", "red"}};
  blue_.enforced_labels = {{"namespace", "blue"}};
  Plan as_blue;
  as_blue.find = [this](const Values&) -> const Routes& { return to_blue_; };
  EXPECT_THAT(Kept(Split(red, as_red_))["red"],
              ElementsAre("__name__=a,namespace=red"));
  EXPECT_THAT(Kept(Split(red, as_blue))["blue"],
              ElementsAre("__name__=a,namespace=blue"));
  // The deciding label is another one: the memory of names must go too.
  Plan by_name;
  by_name.deciding_labels = {"__name__"};
  by_name.find = [this](const Values&) -> const Routes& { return to_red_; };
  EXPECT_THAT(Kept(Split(red, by_name))["red"],
              ElementsAre("__name__=a,namespace=red"));
}

}  // namespace
}  // namespace insula::remote_write
