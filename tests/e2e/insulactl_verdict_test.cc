// `insulactl validate` gives the verdict of an empty registry, whatever is in
// the file: good resources that were changed at random, as objects and as text.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/resources/resource_file.h"
#include "libs/resources/resource_printer.h"
#include "services/tenant_registry/registry_fixture.h"
#include "tools/insulactl/command.h"
#include "tools/insulactl/parser.h"

namespace insula::tenant_registry {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using testing::Gt;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// One of each kind, as they stand in a file.
constexpr char kGood[] = R"(kind: Upstream
id: store
spec:
  write_url: http://store:9090/api/v1/write?a=b
  query_url: http://[::1]:9090/prometheus
  isolation: LABEL
  timeout: 1m30s
---
kind: Upstream
id: mimir
spec:
  write_url: http://mimir/push
  isolation: HEADER
  tenant_header: X-Scope-OrgID
---
kind: Limits
id: small
spec: {max_label_names: 40, samples_per_second: 1.5, samples_burst: 1e4}
---
kind: RuleTarget
id: main
spec: {type: TYPE_PROMETHEUS, url: "http://p:9090", isolation: LABEL}
---
kind: Tenant
id: red
spec:
  display_name: Team Red
  state: ACTIVE
  enforced_labels: {namespace: red, shard: 0}
  limits_id: small
  upstream_id: store
  rule_target_id: main
  read_scope: READ_SCOPE_ACCESS
---
kind: Tenant
id: blue
spec: {org_id: prod-blue, upstream_id: mimir, limits_id: small}
---
kind: ClaimRule
id: by-namespace
spec: {label: namespace, default_tenant_id: red, remove_label: true}
---
kind: Binding
id: sender
spec:
  token_sha256: a434c78a3116108b824b41754af2d578a43d4e71ed849065c83094da34e8458c
  tenant_ids: [red, blue]
  roles: [WRITE, READ]
  claim_rule_id: by-namespace
  not_after: 2030-01-31T00:00:00Z
---
kind: Binding
id: operators
spec:
  token_sha256: cf282246b73f1740184179f3989a3429c52dd4cb1b355decad2a01c197d4e3f5
  roles: [OPERATOR]
---
kind: Access
id: team-red/web
spec:
  tenant_id: red
  selectors: [http_requests_total, 'up{job="a"}', '{job=~"a|b"}']
  source_tenant_ids: [red, blue]
  label_selectors: {environment: production}
---
kind: Policy
id: teams
spec:
  namespaces: [team-red, "*"]
  tenant_ids: [red]
  target_urls: ["https://metrics.example.com/api"]
  enforced_label: namespace
---
kind: Job
id: slice
spec:
  tenant_id: red
  source_url: http://p:9090/federate
  matches: [up]
  interval: 30s
  labels: {origin: red}
)";

// Strings that some field takes and others don't.
const char* const kTexts[] = {
    "",
    "red",
    "blue",
    "green",
    "store",
    "mimir",
    "small",
    "main",
    "by-namespace",
    ".",
    "..",
    "__x",
    "a//b",
    "team-red/web",
    "0",
    "on",
    "null",
    "(a)'b",
    "namespace",
    "__name__",
    "a-b",
    "\xC3\xA4",
    "a\nb",
    "\x1b[31m",
    "up",
    "{}",
    "up{",
    "{a=~\"(\"}",
    "{a=~\".*\"}",
    "{a!=\"b\"}",
    "http://a",
    "https://a:443/x?y=z",
    "ftp://a",
    "http://user:pw@a/",
    "http://a/#f",
    "http://[::1",
    "X-Scope-OrgID",
    "Host",
    "X Y",
    "*",
    "user-index.json.gz",
};

// Changes messages and texts, by chance.
class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  size_t Roll(size_t sides) {
    return std::uniform_int_distribution<size_t>(0, sides - 1)(random_);
  }
  std::string Text() {
    // Now and then one that is too long for most.
    if (Roll(30) == 0) return std::string(100 << Roll(8), 'a');
    return kTexts[Roll(std::size(kTexts))];
  }

  void ChangeObject(v1::Object* object) {
    if (Roll(8) == 0) {
      object->mutable_meta()->set_id(Text());
      return;
    }
    const auto* spec = object->GetReflection()->GetOneofFieldDescriptor(
        *object, v1::Object::descriptor()->FindOneofByName("spec"));
    ChangeMessage(object->GetReflection()->MutableMessage(object, spec));
  }

  // A line, or a piece of one.
  std::string ChangeText(const std::string& text) {
    std::vector<std::string> lines = absl::StrSplit(text, '\n');
    std::string& line = lines[Roll(lines.size())];
    switch (Roll(6)) {
      case 0:
        lines.erase(lines.begin() + (&line - lines.data()));
        break;
      case 1:
        lines.insert(lines.begin() + (&line - lines.data()), line);
        break;
      case 2:
        std::swap(line, lines[Roll(lines.size())]);
        break;
      case 3:
        if (!line.empty()) line.erase(Roll(line.size()), 1 + Roll(3));
        break;
      case 4: {
        const char kSigns[] = " :-{}[]\"'#&*!|>%@`,?~\t\\0a.";
        line.insert(Roll(line.size() + 1), 1, kSigns[Roll(sizeof(kSigns) - 1)]);
        break;
      }
      default: {
        const size_t colon = line.find(": ");
        if (colon != std::string::npos) {
          line =
              absl::StrCat(line.substr(0, colon + 2), resources::Quote(Text()));
        }
      }
    }
    return absl::StrJoin(lines, "\n");
  }

 private:
  void ChangeMessage(Message* message) {
    const auto& type = *message->GetDescriptor();
    const FieldDescriptor& field =
        *type.field(static_cast<int>(Roll(type.field_count())));
    const Reflection& reflection = *message->GetReflection();
    if (field.is_map()) return ChangeMap(message, field);
    if (Roll(6) == 0) return reflection.ClearField(message, &field);
    if (!field.is_repeated()) return SetField(message, field, -1);
    const int size = reflection.FieldSize(*message, &field);
    if (size > 0 && Roll(3) == 0) {
      return reflection.RemoveLast(message, &field);
    }
    if (size > 0 && Roll(2) == 0) {
      return SetField(message, field, static_cast<int>(Roll(size)));
    }
    SetField(message, field, size);
  }

  void ChangeMap(Message* message, const FieldDescriptor& field) {
    const Reflection& reflection = *message->GetReflection();
    if (Roll(4) == 0) return reflection.ClearField(message, &field);
    Message* const entry = reflection.AddMessage(message, &field);
    SetField(entry, *field.message_type()->map_key(), -1);
    SetField(entry, *field.message_type()->map_value(), -1);
  }

  // Element `index` of a repeated field, which is added if it is the next.
  void SetField(Message* message, const FieldDescriptor& field, int index) {
    const Reflection& reflection = *message->GetReflection();
#define SET(Type, value)                                      \
  (index < 0 ? reflection.Set##Type(message, &field, (value)) \
   : index == reflection.FieldSize(*message, &field)          \
       ? reflection.Add##Type(message, &field, (value))       \
       : reflection.SetRepeated##Type(message, &field, index, (value)))
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return SET(Int32, Number<int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return SET(Int64, Number<int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return SET(UInt32, Number<uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return SET(UInt64, Number<uint64_t>());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return SET(Double, Fraction());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return SET(Float, static_cast<float>(Fraction()));
      case FieldDescriptor::CPPTYPE_BOOL:
        return SET(Bool, Roll(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return SET(EnumValue, static_cast<int>(Roll(12)));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return SetMessage(message, field);
      case FieldDescriptor::CPPTYPE_STRING:
        break;
    }
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
      return SET(String, std::string(Roll(3) == 0 ? Roll(70) : 32, '\x01'));
    }
    return SET(String, Text());
#undef SET
  }

  template <typename Int>
  Int Number() {
    const Int numbers[] = {0,
                           1,
                           30,
                           1000,
                           std::numeric_limits<Int>::max(),
                           std::numeric_limits<Int>::min()};
    return numbers[Roll(std::size(numbers))];
  }
  double Fraction() {
    const double numbers[] = {0,
                              1.5,
                              -1,
                              1e300,
                              -0.0,
                              std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()};
    return numbers[Roll(std::size(numbers))];
  }

  // A duration or a time. Others are not repeated, and changed inside.
  void SetMessage(Message* message, const FieldDescriptor& field) {
    if (field.is_repeated()) {
      message->GetReflection()->AddMessage(message, &field);
      return;
    }
    Message* const inner =
        message->GetReflection()->MutableMessage(message, &field);
    const auto* seconds = inner->GetDescriptor()->FindFieldByName("seconds");
    if (seconds == nullptr) return ChangeMessage(inner);
    const int64_t values[] = {0, 1, -1, 3599, 3600, 86'400, 4'000'000'000};
    inner->GetReflection()->SetInt64(inner, seconds,
                                     values[Roll(std::size(values))]);
  }

  std::mt19937 random_;
};

struct Verdict {
  insulactl::ExitCode code;
  std::vector<std::string> errors;  // The lines on stderr.
};

class InsulactlVerdictTest : public RegistryTest {
 protected:
  void SetUp() override {
    Start();
    auto good = resources::ParseResourceFile(kGood, "good.yaml");
    ASSERT_THAT(good, IsOk());
    ASSERT_THAT(good->errors, IsEmpty());
    good_ = std::move(good->resources);
  }

  // Of `insulactl validate`.
  Verdict Validate(const std::string& text) {
    const std::string path = dir_ + "/r.yaml";
    std::ofstream(path, std::ios::binary) << text;
    const auto line = insulactl::ParseLine({"validate", "-f", path});
    std::ostringstream out;
    std::ostringstream err;
    insulactl::Console console(&out, &err, {});
    Verdict verdict;
    verdict.code = line->command->Run({line->globals, console, interrupt_});
    console.Flush();
    verdict.errors = absl::StrSplit(err.str(), '\n', absl::SkipEmpty());
    return verdict;
  }
  absl::Status Check(const std::vector<v1::Object>& objects) {
    std::vector<v1::Operation> operations;
    for (const v1::Object& object : objects) operations.push_back(Put(object));
    return Apply(operations, "", /*validate_only=*/true).status();
  }

  // Fails if the verdicts of the file and of its objects differ.
  void Compare(const Verdict& offline, const absl::Status& registry) {
    const bool valid = offline.code == insulactl::ExitCode::kOk;
    EXPECT_EQ(valid, registry.ok())
        << "registry: " << registry
        << "\nvalidate: " << absl::StrJoin(offline.errors, "\n");
    if (valid) {
      EXPECT_THAT(offline.errors, IsEmpty());
      return;
    }
    EXPECT_EQ(offline.code, insulactl::ExitCode::kDifferent);
    EXPECT_FALSE(offline.errors.empty());
    for (const std::string& error : offline.errors) {
      EXPECT_THAT(error,
                  StartsWith(absl::StrCat("insulactl: ", dir_, "/r.yaml:")));
    }
    counts_[registry.code()] += 1;
  }

  std::vector<resources::Resource> good_;
  std::map<absl::StatusCode, int> counts_;
  insulactl::Interrupt interrupt_;
};

TEST_F(InsulactlVerdictTest, OfChangedObjects) {
  int valid = 0;
  for (uint32_t seed = 0; seed < 600; ++seed) {
    Mutator mutator(seed);
    std::vector<v1::Object> objects;
    for (const auto& resource : good_) objects.push_back(resource.object);
    for (size_t i = 0; i <= mutator.Roll(2); ++i) {
      mutator.ChangeObject(&objects[mutator.Roll(objects.size())]);
    }
    std::string text;
    for (const v1::Object& object : objects) {
      absl::StrAppend(&text, "---\n", resources::ToYaml(object));
    }
    SCOPED_TRACE(absl::StrCat("seed ", seed, ":\n", text.substr(0, 10'000)));
    const absl::Status registry = Check(objects);
    Compare(Validate(text), registry);
    if (registry.ok()) ++valid;
    if (HasFailure()) return;
  }
  EXPECT_THAT(valid, Gt(60));
  EXPECT_THAT(counts_[absl::StatusCode::kInvalidArgument], Gt(100));
  EXPECT_THAT(counts_[absl::StatusCode::kFailedPrecondition], Gt(20));
}

TEST_F(InsulactlVerdictTest, OfChangedFiles) {
  int valid = 0;
  int unreadable = 0;
  for (uint32_t seed = 0; seed < 600; ++seed) {
    Mutator mutator(seed);
    std::string text = kGood;
    for (size_t i = 0; i <= mutator.Roll(2); ++i) {
      text = mutator.ChangeText(text);
    }
    SCOPED_TRACE(absl::StrCat("seed ", seed, ":\n", text.substr(0, 10'000)));
    const Verdict verdict = Validate(text);
    const auto file = resources::ParseResourceFile(text, "r.yaml");
    if (!file.ok() || !file->errors.empty()) {
      // There is no object that the registry could be asked about.
      Compare(verdict, absl::InvalidArgumentError("not an object"));
      ++unreadable;
    } else {
      std::vector<v1::Object> objects;
      for (const auto& resource : file->resources) {
        objects.push_back(resource.object);
      }
      // A file may be empty, a request not.
      if (objects.empty()) continue;
      const absl::Status registry = Check(objects);
      Compare(verdict, registry);
      if (registry.ok()) ++valid;
    }
    if (HasFailure()) return;
  }
  EXPECT_THAT(valid, Gt(30));
  EXPECT_THAT(unreadable, Gt(100));
  EXPECT_THAT(counts_[absl::StatusCode::kFailedPrecondition], Gt(5));
}

}  // namespace
}  // namespace insula::tenant_registry
