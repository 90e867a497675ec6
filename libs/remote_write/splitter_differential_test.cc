// Judges the splitter by an oracle that knows nothing of it: a plain one, over
// protobuf objects.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/remote_write/splitter.h"
#include "libs/status/status_matchers.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

using prometheus::Label;
using prometheus::TimeSeries;
using prometheus::WriteRequest;
using LabelMap = std::map<std::string, std::string>;

// The rules, written as one would say them.
class Oracle {
 public:
  struct Tenant {
    LabelMap enforced;
    SeriesLimits limits;
  };

  std::string claim;
  bool remove = false;
  std::map<std::string, Tenant> tenants;
  std::string fallback;

  // What is expected: for each tenant its series, and refusals by reason.
  std::map<std::string, std::vector<TimeSeries>> kept;
  std::map<std::string, int> refused;

  void Split(const WriteRequest& request) {
    for (const TimeSeries& series : request.timeseries()) {
      if (const std::string reason = Place(series); !reason.empty()) {
        ++refused[reason];
      }
    }
  }

 private:
  static bool Matches(const std::string& text, bool colon) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) {
      return false;
    }
    return std::all_of(text.begin(), text.end(), [colon](unsigned char c) {
      return c < 0x80 && (std::isalnum(c) || c == '_' || (colon && c == ':'));
    });
  }

  std::string Place(const TimeSeries& series) {
    int claims = 0;
    std::string value;
    for (const Label& label : series.labels()) {
      if (claim.empty() || label.name() != claim) continue;
      if (++claims == 1) value = label.value();
    }
    if (claims > 1) return "duplicate_label_names";
    const std::string id = value.empty() ? fallback : value;
    if (id.empty()) return "tenant_missing";
    const auto tenant = tenants.find(id);
    if (tenant == tenants.end()) return "tenant_not_allowed";

    TimeSeries out = series;
    out.clear_labels();
    for (const Label& label : series.labels()) {
      if (claims == 1 && value.empty() && label.name() == claim) continue;
      *out.add_labels() = label;
    }
    std::string reason = Fault(out, tenant->second.limits);
    if (!reason.empty()) return reason;

    LabelMap labels;
    for (const Label& label : out.labels()) {
      labels[label.name()] = label.value();
    }
    if (remove && !tenant->second.enforced.contains(claim)) {
      labels.erase(claim);
    }
    for (const auto& [name, want] : tenant->second.enforced) {
      const auto it = labels.try_emplace(name, want).first;
      if (it->second != want) return "foreign_label";
    }
    out.clear_labels();
    for (const auto& [name, text] : labels) {
      Label* const label = out.add_labels();
      label->set_name(name);
      label->set_value(text);
    }
    kept[id].push_back(out);
    return "";
  }

  static std::string Fault(const TimeSeries& series,
                           const SeriesLimits& limits) {
    std::optional<std::string> metric;
    for (const Label& label : series.labels()) {
      if (label.name() == "__name__" && !metric) metric = label.value();
    }
    if (!metric || metric->empty()) return "missing_metric_name";
    if (!Matches(*metric, true)) return "metric_name_invalid";
    if (series.labels_size() > static_cast<int>(limits.max_label_names)) {
      return "max_label_names_per_series";
    }
    const std::string* last = nullptr;
    for (const Label& label : series.labels()) {
      if (!Matches(label.name(), false)) return "label_invalid";
      if (label.name().size() > limits.max_label_name_bytes) {
        return "label_name_too_long";
      }
      if (label.value().empty()) return "label_value_empty";
      if (label.value().size() > limits.max_label_value_bytes) {
        return "label_value_too_long";
      }
      if (label.name() == "__name__" ? !Matches(label.value(), true)
                                     : label.value()[0] == '\xff') {
        return "label_value_invalid";
      }
      if (last && *last == label.name()) return "duplicate_label_names";
      if (last && *last > label.name()) return "labels_not_sorted";
      last = &label.name();
    }
    return "";
  }
};

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

class SplitterDifferentialTest : public testing::TestWithParam<uint32_t> {};

TEST_P(SplitterDifferentialTest, AgreesWithTheOracle) {
  Generator generator(GetParam());
  Splitter splitter{Bounds()};  // One for all, as in a service.
  int64_t series = 0;
  std::set<std::string> reasons;
  for (int round = 0; round < 1500; ++round) {
    Oracle oracle;
    Plan plan;
    std::map<std::string, Destination> destinations;
    for (const char* id : {"red", "blue"}) {
      Oracle::Tenant& tenant = oracle.tenants[id];
      tenant.enforced = generator.Enforced();
      tenant.limits.max_label_names = generator.Chance(20) ? 4 : 30;
      tenant.limits.max_label_name_bytes = generator.Chance(20) ? 9 : 1024;
      tenant.limits.max_label_value_bytes = generator.Chance(20) ? 5 : 2048;
      Destination& destination = destinations[id];
      destination.name = id;
      destination.limits = tenant.limits;
      for (const auto& [name, value] : tenant.enforced) {
        destination.enforced_labels.push_back({name, value});
      }
    }
    if (generator.Chance(70)) {
      oracle.claim = plan.claim_label = "namespace";
      oracle.remove = plan.remove_claim_label = generator.Chance(50);
    }
    if (oracle.claim.empty() || generator.Chance(50)) {
      oracle.fallback = "red";
      plan.otherwise = {&destinations["red"]};
    }
    plan.find = [&destinations](absl::string_view value) -> Route {
      const auto it = destinations.find(std::string(value));
      if (it == destinations.end()) return {nullptr, Reason::kTenantNotAllowed};
      return {&it->second};
    };

    const WriteRequest request = generator.Request();
    oracle.Split(request);
    const std::string wire = request.SerializeAsString();
    const auto result = splitter.Split(wire, plan);
    ASSERT_THAT(result, IsOk());

    std::map<std::string, int> refused;
    for (const Refused& r : result->refused) {
      refused[std::string(ReasonName(r.reason))] +=
          static_cast<int>(r.counts.series);
      reasons.insert(std::string(ReasonName(r.reason)));
    }
    ASSERT_EQ(refused, oracle.refused) << request.DebugString();

    std::map<std::string, std::vector<std::string>> kept;
    for (const Part& part : result->parts) {
      WriteRequest parsed;
      ASSERT_TRUE(parsed.ParseFromArray(part.body.data(),
                                        static_cast<int>(part.body.size())));
      ASSERT_EQ(part.counts.series, parsed.timeseries_size());
      auto& of_tenant = kept[part.destination->name];
      for (const auto& s : parsed.timeseries()) {
        of_tenant.push_back(s.SerializeAsString());
      }
      series += parsed.timeseries_size();
    }
    std::map<std::string, std::vector<std::string>> expected;
    for (const auto& [id, all] : oracle.kept) expected[id] = Bytes(all);
    ASSERT_EQ(kept, expected) << request.DebugString();
    ASSERT_TRUE(!result->unchanged || result->parts[0].body == wire);
  }
  // The generator does its work: all outcomes were seen, many times.
  EXPECT_GT(series, 2000);
  EXPECT_EQ(reasons.size(), 13u) << testing::PrintToString(reasons);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SplitterDifferentialTest,
                         testing::Values(1, 2, 3, 4));

// Whatever bytes come: no crash, no read over the end (ASan), and no part that
// an independent parser would not take.
TEST(SplitterMutationTest, GivesOutOnlyWellFormedParts) {
  std::mt19937 random(7);
  Generator generator(7);
  Splitter splitter{Bounds()};
  Destination red{.name = "red", .enforced_labels = {{"m", "1"}}};
  Plan plan;
  plan.claim_label = "namespace";
  plan.find = [&red](absl::string_view) { return Route{&red}; };
  plan.otherwise = {&red};
  int taken = 0;
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = generator.Request().SerializeAsString();
    if (wire.empty()) continue;
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
