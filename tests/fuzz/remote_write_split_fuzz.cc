// The split of a remote write request: by the oracle of the tests where another
// parser reads the request in the only way there is, and for whatever bytes
// nothing goes to a tenant without its labels.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/split_oracle.h"
#include "libs/remote_write/split_setting.h"
#include "libs/remote_write/splitter.h"
#include "prometheus/remote.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using prometheus::TimeSeries;
using prometheus::WriteRequest;
using remote_write::LabelMap;
using remote_write::Oracle;

// What decides where series go; half of it from the input.
struct Setting : remote_write::SplitSetting {
  Setting(uint8_t tenants, uint8_t rules) {
    static const LabelMap kEnforced[] = {
        {{"namespace", "red"}},
        {{"m", "1"}, {"zz", "x"}},
        {{"__tenant__", "t"}, {"a", "b"}, {"namespace", "blue"}},
        {}};
    static const std::vector<std::string> kDeciding[] = {
        {"namespace"},
        {"namespace", "m"},
        {"__name__", "namespace"},
        {"zz", "a", "namespace"}};
    for (const char* id : {"red", "blue"}) {
      Oracle::Tenant tenant;
      tenant.enforced = kEnforced[(tenants >> (id[0] == 'r' ? 0 : 2)) & 3];
      if ((tenants & 16) != 0) {
        tenant.limits.max_label_names = 3;
        tenant.limits.max_label_name_bytes = 9;
        tenant.limits.max_label_value_bytes = 5;
      }
      AddTenant(id, tenant);
    }
    std::vector<std::string> deciding;
    if ((tenants & 32) != 0) deciding = kDeciding[rules & 3];
    if ((tenants & 64) != 0) Remove(deciding);
    if ((rules & 16) != 0) Remove({"a", "m"});
    std::set<std::string> defaults;
    if (deciding.empty() || (tenants & 128) != 0) defaults.insert("red");
    if ((rules & 8) != 0) defaults.insert("blue");
    Decide(deciding, (rules & 4) != 0, defaults);
  }
};

// Whether every parser reads `wire` as `request`.
bool IsCanonical(absl::string_view wire, const WriteRequest& request) {
  WriteRequest known = request;
  known.DiscardUnknownFields();
  return known.SerializeAsString() == wire;
}

bool HasLabelOnce(const TimeSeries& series, const std::string& name,
                  const std::string& value) {
  int found = 0;
  for (const auto& label : series.labels()) {
    if (label.name() != name) continue;
    if (++found > 1 || label.value() != value) return false;
  }
  return found == 1;
}

using Bodies = std::map<std::string, std::vector<std::string>>;

// The series of each tenant; each has what its tenant enforces.
Bodies Parts(const remote_write::SplitResult& result) {
  Bodies bodies;
  for (const remote_write::Part& part : result.parts) {
    WriteRequest parsed;
    FUZZ_CHECK(parsed.ParseFromArray(part.body.data(),
                                     static_cast<int>(part.body.size())),
               part.body);
    FUZZ_CHECK(part.counts.series == parsed.timeseries_size(), part.body);
    for (const TimeSeries& series : parsed.timeseries()) {
      for (const remote_write::Label& label :
           part.destination->enforced_labels) {
        FUZZ_CHECK(HasLabelOnce(series, label.name, label.value),
                   series.ShortDebugString());
      }
      bodies[part.destination->name].push_back(series.SerializeAsString());
    }
  }
  return bodies;
}

std::map<std::string, int> RefusedBy(const remote_write::SplitResult& result) {
  std::map<std::string, int> refused;
  for (const remote_write::Refused& r : result.refused) {
    refused[std::string(ReasonName(r.reason))] +=
        static_cast<int>(r.counts.series);
  }
  return refused;
}

// False if `wire` is no request.
bool Judge(absl::string_view wire, remote_write::Splitter* splitter,
           Setting* setting) {
  const auto result = splitter->Split(wire, setting->plan);
  WriteRequest request;
  const bool canonical =
      request.ParseFromArray(wire.data(), static_cast<int>(wire.size())) &&
      IsCanonical(wire, request);
  if (!result.ok()) {
    FUZZ_CHECK(!canonical, result.status().ToString());
    return false;
  }
  const Bodies kept = Parts(*result);
  const std::map<std::string, int> refused = RefusedBy(*result);
  for (const remote_write::Part& part : result->parts) {
    FUZZ_CHECK(!part.unchanged || part.body == wire, wire);
  }
  // With what is known of the series now.
  const auto again = splitter->Split(wire, setting->plan);
  FUZZ_CHECK(again.ok() && Parts(*again) == kept, wire);
  FUZZ_CHECK(RefusedBy(*again) == refused, wire);
  if (!canonical) return true;

  setting->oracle.kept.clear();
  setting->oracle.refused.clear();
  setting->oracle.Split(request);
  Bodies expected;
  for (const auto& [id, all] : setting->oracle.kept) {
    for (const TimeSeries& series : all) {
      expected[id].push_back(series.SerializeAsString());
    }
  }
  FUZZ_CHECK(kept == expected, request.ShortDebugString());
  FUZZ_CHECK(refused == setting->oracle.refused, request.ShortDebugString());
  return true;
}

FUZZ_TARGET(remote_write_split) {
  fuzz::Input bytes(input);
  const uint8_t tenants = bytes.Byte();
  const uint8_t rules = bytes.Byte();
  Setting setting(tenants, rules);
  // A copy of its own, as bodies may be views of it.
  std::vector<char> copy(bytes.rest().begin(), bytes.rest().end());
  const absl::string_view wire(copy.data(), copy.size());
  remote_write::SeriesMemoryBudget budget(1 << 20);
  remote_write::Splitter splitter{remote_write::Bounds(), &budget};
  if (!Judge(wire, &splitter, &setting)) return;
  // Nearly the same, and by other rules: what is known must not count too much.
  for (size_t i = 0; i < copy.size(); ++i) {
    if (copy[i] == 'x') copy[i] = 'y';
  }
  Judge(wire, &splitter, &setting);
  // Other labels in their last byte alone: what follows may be a sample, which
  // begins with its value.
  for (size_t i = 0; i + 3 < copy.size(); ++i) {
    if (copy[i + 1] == 0x12 && copy[i + 3] == 0x09) copy[i] ^= 1;
  }
  Judge(wire, &splitter, &setting);
  Setting other(static_cast<uint8_t>(tenants * 5), rules);
  Judge(wire, &splitter, &other);
}

}  // namespace
}  // namespace insula
