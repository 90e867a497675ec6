// Judges the splitter by an oracle that knows nothing of it: a plain one, over
// protobuf objects.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/split_oracle.h"
#include "libs/remote_write/split_setting.h"
#include "libs/remote_write/splitter.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

using prometheus::Label;
using prometheus::TimeSeries;
using prometheus::WriteRequest;

// Requests that look like real ones, and every so often are not.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  bool Chance(int percent) { return Below(100) < percent; }
  int Below(int bound) {
    return static_cast<int>(random_() % static_cast<unsigned>(bound));
  }

  LabelMap Enforced() {
    LabelMap labels;
    for (const char* name : {"namespace", "a", "m", "zz", "__tenant__"}) {
      if (Chance(30)) labels[name] = Chance(50) ? "red" : "x";
    }
    return labels;
  }

  std::vector<std::string> Deciding() {
    if (Chance(25)) return {};
    std::vector<std::string> names;
    for (const char* name : {"zzz", "__name__", "a"}) {
      if (Chance(15)) names.push_back(name);
    }
    names.push_back("namespace");
    return names;
  }

  WriteRequest Request() {
    WriteRequest request;
    std::vector<std::pair<std::string, std::string>> labels = Labels();
    const int count = Below(30);
    for (int i = 0; i < count; ++i) {
      if (Chance(20)) labels = Labels();
      if (!labels.empty() && Chance(70)) {  // A neighbour differs a little.
        labels[static_cast<size_t>(Below(static_cast<int>(labels.size())))]
            .second = Value();
      }
      TimeSeries* const series = request.add_timeseries();
      for (const auto& [name, value] : labels) {
        Label* const label = series->add_labels();
        label->set_name(name);
        label->set_value(value);
      }
      AddData(series);
    }
    return request;
  }

  // Other samples for the same series, mostly one as senders send it.
  void SetSamples(WriteRequest* request) {
    for (TimeSeries& series : *request->mutable_timeseries()) {
      if (Chance(10)) continue;
      series.clear_samples();
      series.clear_exemplars();
      series.clear_histograms();
      auto* const sample = series.add_samples();
      if (Chance(70)) sample->set_value(Below(1000) / 7.0);
      sample->set_timestamp(1'764'000'000'000 + Below(1 << 20));
    }
  }

  // Another letter, value, name or order somewhere.
  void ChangeALittle(WriteRequest* request) {
    for (TimeSeries& series : *request->mutable_timeseries()) {
      if (series.labels_size() == 0 || Chance(50)) continue;
      const int at =
          Chance(40) ? series.labels_size() - 1 : Below(series.labels_size());
      Label* const label = series.mutable_labels(at);
      std::string* const text =
          Chance(70) ? label->mutable_value() : label->mutable_name();
      if (Chance(20)) {
        *text = Value();
      } else if (!text->empty()) {
        (*text)[text->size() - 1] = static_cast<char>('a' + Below(26));
      }
    }
  }

 private:
  std::string Value() {
    static const char* const kValues[] = {"red", "blue", "green",       "x",
                                          "up",  "",     "\xff",        "1up",
                                          "a:b", "red",  "longvalue12", "blue"};
    return kValues[Below(12)];
  }

  std::vector<std::pair<std::string, std::string>> Labels() {
    static const char* const kNames[] = {
        "__name__", "a",  "b",   "job", "m",        "namespace",
        "n",        "zz", "zzz", "a-b", "instance", "averylongname"};
    std::map<std::string, std::string> sorted;
    if (!Chance(5)) sorted["__name__"] = Chance(90) ? "up" : Value();
    for (int i = Below(7); i > 0; --i) sorted[kNames[Below(12)]] = Value();
    if (!Chance(3)) sorted.erase("a-b");
    if (Chance(60)) sorted["namespace"] = Chance(50) ? "red" : "blue";
    std::vector<std::pair<std::string, std::string>> labels(sorted.begin(),
                                                            sorted.end());
    if (labels.size() > 1 && Chance(8)) std::swap(labels[0], labels[1]);
    if (!labels.empty() && Chance(8)) {
      labels.insert(labels.begin() + 1, labels[0]);
    }
    if (!labels.empty() && Chance(4)) labels.push_back(labels.back());
    return labels;
  }

  void AddData(TimeSeries* series) {
    for (int i = Below(3); i > 0; --i) {
      auto* const sample = series->add_samples();
      sample->set_value(Below(1000) / 7.0);
      sample->set_timestamp(static_cast<int64_t>(random_()));
    }
    if (Chance(10)) {
      auto* const exemplar = series->add_exemplars();
      exemplar->add_labels()->set_name("trace_id");
      exemplar->set_value(0.5);
    }
    if (Chance(10)) {
      auto* const histogram = series->add_histograms();
      histogram->set_count_int(5);
      histogram->set_schema(-2);
      histogram->add_positive_spans()->set_offset(-3);
      for (int i = 0; i < 5; ++i) histogram->add_positive_deltas(Below(9) - 4);
      histogram->add_custom_values(0.25);
    }
  }

  std::mt19937 random_;
};

std::vector<std::string> Bytes(const std::vector<TimeSeries>& all) {
  std::vector<std::string> bytes;
  for (const TimeSeries& series : all) {
    bytes.push_back(series.SerializeAsString());
  }
  return bytes;
}

class SplitterDifferentialTest : public testing::TestWithParam<uint32_t> {
 protected:
  static void MakeSetting(Generator* generator, SplitSetting* setting) {
    for (const char* id : {"red", "blue"}) {
      Oracle::Tenant tenant;
      tenant.enforced = generator->Enforced();
      tenant.limits.max_label_names = generator->Chance(20) ? 4 : 30;
      tenant.limits.max_label_name_bytes = generator->Chance(20) ? 9 : 1024;
      tenant.limits.max_label_value_bytes = generator->Chance(20) ? 5 : 2048;
      setting->AddTenant(id, tenant);
    }
    std::vector<std::string> deciding = generator->Deciding();
    std::set<std::string> defaults;
    if (deciding.empty() || generator->Chance(50)) defaults.insert("red");
    if (generator->Chance(30)) defaults.insert("blue");
    if (generator->Chance(50)) setting->Remove(deciding);
    if (generator->Chance(10)) setting->Remove({"job", "namespace", "zzz"});
    setting->Decide(deciding, generator->Chance(50), defaults);
  }

  void ExpectAgrees(const WriteRequest& request, SplitSetting* setting) {
    Oracle& oracle = setting->oracle;
    oracle.kept.clear();
    oracle.refused.clear();
    oracle.Split(request);
    const std::string wire = request.SerializeAsString();
    const auto result = splitter_.Split(wire, setting->plan);
    ASSERT_THAT(result, IsOk());
    known_ += result->known_series;

    std::map<std::string, int> refused;
    for (const Refused& r : result->refused) {
      refused[std::string(ReasonName(r.reason))] +=
          static_cast<int>(r.counts.series);
      reasons_.insert(std::string(ReasonName(r.reason)));
    }
    ASSERT_EQ(refused, oracle.refused) << request.DebugString();

    std::map<std::string, std::vector<std::string>> kept;
    for (const Part& part : result->parts) {
      WriteRequest parsed;
      ASSERT_TRUE(parsed.ParseFromArray(part.body.data(),
                                        static_cast<int>(part.body.size())));
      ASSERT_EQ(part.counts.series, parsed.timeseries_size());
      int64_t samples = 0;
      auto& of_tenant = kept[part.destination->name];
      for (const auto& s : parsed.timeseries()) {
        of_tenant.push_back(s.SerializeAsString());
        samples += s.samples_size() + s.histograms_size();
      }
      ASSERT_EQ(part.counts.samples, samples);
      series_ += parsed.timeseries_size();
    }
    std::map<std::string, std::vector<std::string>> expected;
    for (const auto& [id, all] : oracle.kept) expected[id] = Bytes(all);
    ASSERT_EQ(kept, expected) << request.DebugString();
    for (const Part& part : result->parts) {
      if (!part.unchanged) continue;
      ASSERT_EQ(part.body, wire);
      ++unchanged_;
    }
  }

  SeriesMemoryBudget budget_{16 << 20};
  Splitter splitter_{Bounds(), &budget_};  // One for all, as in a service.
  int64_t series_ = 0;
  int64_t known_ = 0;
  int unchanged_ = 0;
  std::set<std::string> reasons_;
};

TEST_P(SplitterDifferentialTest, AgreesWithTheOracle) {
  Generator generator(GetParam());
  for (int round = 0; round < 500; ++round) {
    SplitSetting setting;
    MakeSetting(&generator, &setting);
    WriteRequest request = generator.Request();
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(request, &setting));
    // Now the series are known. What is known of them must hold for others that
    // are nearly the same, and under other plans, limits and enforced labels.
    generator.SetSamples(&request);
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(request, &setting));
    generator.ChangeALittle(&request);
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(request, &setting));
    SplitSetting other;
    MakeSetting(&generator, &other);
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(request, &other));
  }
  // The generator does its work: all outcomes were seen, many times.
  EXPECT_GT(series_, 4000);
  EXPECT_GT(unchanged_, 0);
  EXPECT_EQ(reasons_.size(), 13u) << testing::PrintToString(reasons_);
  EXPECT_GT(known_, 1000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SplitterDifferentialTest,
                         testing::Values(1, 2, 3, 4));

// Whatever bytes come: no crash, no read over the end (ASan), and no part that
// an independent parser would not take.
TEST(SplitterMutationTest, GivesOutOnlyWellFormedParts) {
  std::mt19937 random(7);
  Generator generator(7);
  SeriesMemoryBudget budget(4 << 20);
  Splitter splitter{Bounds(), &budget};
  Destination red{.name = "red", .enforced_labels = {{"m", "1"}}};
  Plan plan;
  plan.deciding_labels = {"namespace"};
  const Routes to_red{.destinations = {&red}};
  plan.find = [&to_red](absl::Span<const absl::string_view>) -> const Routes& {
    return to_red;
  };
  int taken = 0;
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = generator.Request().SerializeAsString();
    if (wire.empty()) continue;
    if (random() % 2 == 0) {
      ASSERT_THAT(splitter.Split(wire, plan), IsOk());
    }
    for (int i = 1 + static_cast<int>(random() % 3); i > 0; --i) {
      wire[random() % wire.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) wire.resize(random() % wire.size());
    // An exact copy on the heap, so that ASan guards its end.
    const std::vector<char> copy(wire.begin(), wire.end());
    const auto result =
        splitter.Split(absl::string_view(copy.data(), copy.size()), plan);
    result.ok() ? ++taken : ++refused;
    if (!result.ok()) continue;
    for (const Part& part : result->parts) {
      WriteRequest parsed;
      ASSERT_TRUE(parsed.ParseFromArray(part.body.data(),
                                        static_cast<int>(part.body.size())));
      for (const TimeSeries& series : parsed.timeseries()) {
        const auto own = std::find_if(
            series.labels().begin(), series.labels().end(),
            [](const Label& label) { return label.name() == "m"; });
        ASSERT_NE(own, series.labels().end());
        ASSERT_EQ(own->value(), "1");
      }
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace insula::remote_write
