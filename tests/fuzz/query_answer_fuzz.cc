// Whatever a store answers, nothing of another tenant gets through: what is let
// through is read once more, by another parser that sees every member of an
// object, also those that come twice.

#include <simdjson.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/http/message.h"
#include "libs/tenancy/read_policy.h"
#include "libs/tenancy/snapshot.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/federate_answer.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/rules_answer.h"
#include "services/query_frontend/targets_answer.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using query_frontend::Answer;
using query_frontend::DataReader;
using query_frontend::SharedReads;
namespace v1 = registry::v1;

// A value of JSON with all that is in it, in its order.
struct Value {
  enum class Kind { kObject, kArray, kString, kOther } kind = Kind::kOther;
  std::string text;
  std::vector<std::pair<std::string, Value>> members;  // Names "" in arrays.

  // Each member of that name.
  std::vector<const Value*> All(absl::string_view name) const {
    std::vector<const Value*> found;
    for (const auto& [key, value] : members) {
      if (key == name) found.push_back(&value);
    }
    return found;
  }
};

class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  Value root;

  bool null() override { return Add({}); }
  bool boolean(bool) override { return Add({}); }
  bool number_integer(number_integer_t) override { return Add({}); }
  bool number_unsigned(number_unsigned_t) override { return Add({}); }
  bool number_float(number_float_t, const string_t&) override {
    return Add({});
  }
  bool string(string_t& text) override {
    return Add({Value::Kind::kString, text, {}});
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Value::Kind::kObject); }
  bool key(string_t& name) override {
    key_ = name;
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(Value::Kind::kArray); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool Add(Value value) {
    Put(std::move(value));
    return true;
  }
  bool Open(Value::Kind kind) {
    Value value;
    value.kind = kind;
    open_.emplace_back(std::exchange(key_, ""), std::move(value));
    return true;
  }
  bool Close() {
    auto [name, value] = std::move(open_.back());
    open_.pop_back();
    key_ = name;
    Put(std::move(value));
    return true;
  }
  void Put(Value value) {
    if (open_.empty()) {
      root = std::move(value);
    } else {
      open_.back().second.members.emplace_back(std::exchange(key_, ""),
                                               std::move(value));
    }
  }

  std::string key_;
  std::vector<std::pair<std::string, Value>> open_;
};

// Two tenants of one store; red reads its own series and, if `granted`, those
// that are named `up` of blue.
SharedReads ReadsOfRed(bool granted) {
  tenancy::SnapshotBuilder builder{tenancy::Snapshot()};
  const auto put = [&builder](v1::Kind kind, const std::string& id,
                              v1::Object object) {
    object.mutable_meta()->set_kind(kind);
    object.mutable_meta()->set_id(id);
    object.mutable_meta()->set_uid(std::string(16, 'u'));
    FUZZ_CHECK(builder.Put(object).ok(), id);
  };
  v1::Object upstream;
  upstream.mutable_upstream()->set_query_url("http://store.example/");
  upstream.mutable_upstream()->set_isolation(v1::Upstream::ISOLATION_LABEL);
  put(v1::KIND_UPSTREAM, "store", upstream);
  for (const char* name : {"red", "blue"}) {
    v1::Object tenant;
    tenant.mutable_tenant()->set_upstream_id("store");
    (*tenant.mutable_tenant()->mutable_enforced_labels())["namespace"] = name;
    put(v1::KIND_TENANT, name, tenant);
  }
  if (granted) {
    v1::Object access;
    access.mutable_access()->set_tenant_id("red");
    access.mutable_access()->add_source_tenant_ids("blue");
    access.mutable_access()->add_selectors("up");
    put(v1::KIND_ACCESS, "red/up", access);
  }
  const auto snapshot = std::move(builder).Build(1, "e");
  return ReadPolicyOf(*snapshot, *snapshot->FindTenant("red"));
}

// The rule once more, by the words above. Every value of a label that comes
// several times must do.
class Oracle {
 public:
  explicit Oracle(bool granted) : granted_(granted) {}

  // Of labels of a series; `name` stands for its name if it is given.
  bool Allows(const Value& labels,
              std::optional<std::string> name = std::nullopt) const {
    if (labels.kind != Value::Kind::kObject) return false;
    const auto spaces = labels.All("namespace");
    if (spaces.size() != 1) return false;
    if (spaces[0]->text == "red") return true;  // Whatever its name is.
    const auto names = labels.All("__name__");
    if (!name.has_value() && names.size() == 1) name = names[0]->text;
    return granted_ && spaces[0]->text == "blue" && name == "up";
  }

  bool granted() const { return granted_; }

 private:
  const bool granted_;
};

struct Case {
  const char* what;
  DataReader (*reader)(SharedReads reads);
  // Whether `data` may be shown.
  bool (*holds)(const Value& data, const Oracle& oracle);
};

// `holds` of each element of each array that is a member of that name.
template <typename Holds>
bool EachIn(const Value& object, absl::string_view name, Holds holds) {
  for (const Value* array : object.All(name)) {
    for (const auto& [key, element] : array->members) {
      if (!holds(element)) return false;
    }
  }
  return true;
}

template <typename Holds>
bool Each(const Value& array, Holds holds) {
  return std::all_of(array.members.begin(), array.members.end(),
                     [&holds](const auto& each) { return holds(each.second); });
}

// `labels` are members of `object`, at least one.
bool AllAllowed(const Value& object, absl::string_view labels,
                const Oracle& oracle,
                const std::optional<std::string>& name = std::nullopt) {
  const auto all = object.All(labels);
  return !all.empty() &&
         std::all_of(all.begin(), all.end(), [&](const Value* each) {
           return oracle.Allows(*each, name);
         });
}

bool RawResult(const Value& data, const Oracle& oracle) {
  return EachIn(data, "result", [&oracle](const Value& series) {
    return AllAllowed(series, "metric", oracle);
  });
}

bool IsRed(const Value& labels) {
  const auto spaces = labels.All("namespace");
  return spaces.size() == 1 && spaces[0]->text == "red";
}

bool AlertsOfRed(const Value& object) {
  return EachIn(object, "alerts", [](const Value& alert) {
    const auto labels = alert.All("labels");
    return labels.size() == 1 && IsRed(*labels[0]);
  });
}

bool TargetMetadata(const Value& data, const Oracle& oracle) {
  return Each(data, [&oracle](const Value& item) {
    const auto metrics = item.All("metric");
    return metrics.size() <= 1 &&
           AllAllowed(item, "target", oracle,
                      metrics.empty() ? std::string() : metrics[0]->text);
  });
}

const Case kCases[] = {
    {"query",
     [](SharedReads reads) {
       return query_frontend::ReadResult(false, true, std::move(reads));
     },
     RawResult},
    {"query_range",
     [](SharedReads reads) {
       return query_frontend::ReadResult(true, true, std::move(reads));
     },
     RawResult},
    {"series", query_frontend::ReadSeries,
     [](const Value& data, const Oracle& oracle) {
       return Each(data,
                   [&](const Value& labels) { return oracle.Allows(labels); });
     }},
    {"label_values",
     [](SharedReads reads) {
       return query_frontend::ReadLabelValues("namespace", std::move(reads));
     },
     [](const Value& data, const Oracle& oracle) {
       return Each(data, [&](const Value& value) {
         return value.text == "red" ||
                (oracle.granted() && value.text == "blue");
       });
     }},
    {"exemplars", query_frontend::ReadExemplars,
     [](const Value& data, const Oracle& oracle) {
       return Each(data, [&](const Value& each) {
         return AllAllowed(each, "seriesLabels", oracle);
       });
     }},
    {"rules",
     [](SharedReads reads) {
       return query_frontend::ReadRules({}, std::move(reads));
     },
     [](const Value& data, const Oracle&) {
       return EachIn(data, "groups", [](const Value& group) {
         return EachIn(group, "rules", [](const Value& rule) {
           const auto labels = rule.All("labels");
           return labels.size() == 1 && IsRed(*labels[0]) && AlertsOfRed(rule);
         });
       });
     }},
    {"alerts", query_frontend::ReadAlerts,
     [](const Value& data, const Oracle&) { return AlertsOfRed(data); }},
    {"targets",
     [](SharedReads reads) {
       return query_frontend::ReadTargets(false, true, std::move(reads));
     },
     [](const Value& data, const Oracle& oracle) {
       return EachIn(data, "activeTargets",
                     [&](const Value& target) {
                       return AllAllowed(target, "labels", oracle, "up");
                     }) &&
              EachIn(data, "droppedTargets",
                     [](const Value&) { return false; });
     }},
    {"target_metadata",
     [](SharedReads reads) {
       return query_frontend::ReadTargetMetadata({}, std::move(reads));
     },
     TargetMetadata},
    {"metadata",
     [](SharedReads) {
       query_frontend::MetadataRequest request;
       request.names = std::make_shared<const query_frontend::MetricNames>(
           query_frontend::MetricNames{"up", "took_bucket"});
       return query_frontend::ReadMetadata(std::move(request));
     },
     [](const Value& data, const Oracle&) {
       return std::all_of(
           data.members.begin(), data.members.end(), [](const auto& family) {
             return (family.first == "up" || family.first == "took" ||
                     family.first == "took_bucket") &&
                    EachIn({Value::Kind::kObject, "", {family}}, family.first,
                           [](const Value& item) {
                             const auto help = item.All("help");
                             return help.size() == 1 && help[0]->text.empty();
                           });
           });
     }},
};

void CheckJson(const Case& each, absl::string_view body,
               const SharedReads& reads, const Oracle& oracle) {
  const absl::StatusOr<Answer> answer =
      query_frontend::ReadAnswer(200, std::string(body), each.reader(reads));
  const std::string context = absl::StrCat(each.what, ": ", body);
  if (!answer.ok()) {
    FUZZ_CHECK(
        absl::IsInternal(answer.status()) || absl::IsDataLoss(answer.status()),
        context);
    return;
  }
  FUZZ_CHECK(answer->http_status == 200, context);
  Reader reader;
  if (!nlohmann::json::sax_parse(answer->body, &reader)) {
    // The two disagree on half of a pair of surrogates, and on nothing else.
    FUZZ_CHECK(absl::StrContains(absl::AsciiStrToLower(answer->body), "\\ud"),
               context);
    return;
  }
  const auto data = reader.root.All("data");
  FUZZ_CHECK(data.size() == 1, answer->body);
  FUZZ_CHECK(each.holds(*data[0], oracle),
             absl::StrCat(context, " gave ", answer->body));
}

// The labels of a line of an exposition, in their order; the name is one.
Value LabelsOfLine(absl::string_view line) {
  Value labels;
  labels.kind = Value::Kind::kObject;
  size_t at = std::min(line.find_first_of("{ "), line.size());
  const auto text = [&line, &at] {
    std::string out;
    for (++at; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] == '\\' && at + 1 < line.size()) {
        ++at;
        out.push_back(line[at] == 'n' ? '\n' : line[at]);
      } else {
        out.push_back(line[at]);
      }
    }
    ++at;
    return out;
  };
  const auto add = [&labels](std::string name, std::string value) {
    labels.members.emplace_back(
        std::move(name), Value{Value::Kind::kString, std::move(value), {}});
  };
  if (at > 0) add("__name__", std::string(line.substr(0, at)));
  if (at == line.size() || line[at] != '{') return labels;
  ++at;
  while (at < line.size() && line[at] != '}') {
    std::string name;
    if (line[at] == '"') {
      name = text();
    } else {
      const size_t end = std::min(line.find_first_of("=,}", at), line.size());
      name = std::string(line.substr(at, end - at));
      at = end;
    }
    if (at < line.size() && line[at] == '=') {
      ++at;
      add(std::move(name), text());
    } else {
      add("__name__", std::move(name));
    }
    while (at < line.size() && (line[at] == ',' || line[at] == ' ')) ++at;
  }
  return labels;
}

void CheckExposition(exposition::Format format, absl::string_view body,
                     const SharedReads& reads, const Oracle& oracle) {
  http::Response response;
  response.headers.Set("Content-Type", "text/plain; version=0.0.4");
  response.body = std::string(body);
  const absl::StatusOr<Answer> answer =
      query_frontend::ReadExposition(response, format, *reads, 0);
  if (!answer.ok()) {
    FUZZ_CHECK(absl::IsInternal(answer.status()) ||
                   absl::IsDataLoss(answer.status()) ||
                   absl::IsResourceExhausted(answer.status()),
               body);
    return;
  }
  for (const absl::string_view line : absl::StrSplit(answer->body, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    FUZZ_CHECK(oracle.Allows(LabelsOfLine(line)),
               absl::StrCat(body, " gave ", line));
  }
}

FUZZ_TARGET(query_answer) {
  static const SharedReads kReads[] = {ReadsOfRed(false), ReadsOfRed(true)};
  fuzz::Input bytes(input);
  const uint8_t choice = bytes.Byte();
  const bool granted = choice >= 128;
  const Oracle oracle(granted);
  const SharedReads& reads = kReads[granted ? 1 : 0];
  const size_t kind = choice % 128 % (std::size(kCases) + 2);
  if (kind < std::size(kCases)) {
    CheckJson(kCases[kind], bytes.rest(), reads, oracle);
    return;
  }
  CheckExposition(kind == std::size(kCases) ? exposition::Format::kPrometheus
                                            : exposition::Format::kOpenMetrics,
                  bytes.rest(), reads, oracle);
}

}  // namespace
}  // namespace insula
