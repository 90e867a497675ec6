#include "tools/insulactl/convert/convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/resources/resource_file.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_matchers.h"
#include "tools/insulactl/convert/convert_fixture.h"

namespace insula::insulactl {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

namespace v1 = ::insula::registry::v1;
constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;

class ConvertExampleTest : public ::testing::TestWithParam<std::string> {
 protected:
  const Example example_ = ReadExample(GetParam());
};

INSTANTIATE_TEST_SUITE_P(All, ConvertExampleTest,
                         ::testing::ValuesIn(ExampleNames()),
                         [](const auto& example) {
                           return TestName(example.param);
                         });

// With INSULA_UPDATE_GOLDEN set, writes what comes out as what is expected.
TEST_P(ConvertExampleTest, BecomesWhatIsExpected) {
  const auto conversion = Convert(example_.system, example_.input);
  ASSERT_THAT(conversion, IsOk());

  const std::string text = Rendered(*conversion);

  if (std::getenv("INSULA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(example_.directory / "expected.txt") << text;
  }
  EXPECT_EQ(text, example_.expected);
}

TEST_P(ConvertExampleTest, ShowsNoSecrets) {
  const auto conversion = Convert(example_.system, example_.input);
  ASSERT_THAT(conversion, IsOk());

  const std::string text = Rendered(*conversion);

  for (const char* secret : kSecrets) EXPECT_THAT(text, Not(HasSubstr(secret)));
}

TEST_P(ConvertExampleTest, IsReadBackFromItsResourceFile) {
  const auto conversion = Convert(example_.system, example_.input);
  ASSERT_THAT(conversion, IsOk());
  const std::vector<OutputFile> files = Render(*conversion);
  ASSERT_EQ(files.front().name, "resources.yaml");

  const auto read = resources::ParseResourceFile(files[0].text, files[0].name);

  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->errors, IsEmpty());
  ASSERT_EQ(read->resources.size(), conversion->objects.size());
  for (size_t i = 0; i < read->resources.size(); ++i) {
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
        read->resources[i].object, conversion->objects[i]))
        << conversion->objects[i].DebugString();
  }
}

// The paths of all values of a tree.
void CollectPaths(const resources::ResourceNode& node, const std::string& path,
                  std::set<std::string>& paths) {
  if (node.kind != resources::ResourceNode::Kind::kMap) {
    paths.insert(path);
    return;
  }
  for (const auto& child : node.children) {
    CollectPaths(child, path.empty() ? child.key : path + "." + child.key,
                 paths);
  }
}

// Whether a note is about that path, one above it, or that limit of any tenant.
bool IsNamed(absl::string_view path, const std::set<std::string>& noted) {
  const std::vector<std::string> steps = absl::StrSplit(path, '.');
  if (steps[0] == "overrides" && steps.size() > 2) {
    return noted.contains("overrides.*." + steps[2]);
  }
  std::string above;
  return std::any_of(steps.begin(), steps.end(), [&](const std::string& step) {
    absl::StrAppend(&above, above.empty() ? "" : ".", step);
    return noted.contains(above);
  });
}

TEST_P(ConvertExampleTest, NamesEverySettingInANote) {
  const auto conversion = Convert(example_.system, example_.input);
  ASSERT_THAT(conversion, IsOk());
  std::set<std::string> noted;
  for (const Note& note : conversion->notes) {
    noted.insert(note.key);
    noted.insert(absl::StrReplaceAll(note.key, {{"--", "-"}}));
  }
  std::set<std::string> given;
  if (example_.input.file.has_value()) {
    const auto trees =
        resources::ParseResourceTrees(example_.input.file->text, "input");
    ASSERT_THAT(trees, IsOk());
    CollectPaths(trees->front().root, "", given);
  }

  for (const std::string& path : given) {
    EXPECT_TRUE(IsNamed(path, noted)) << path;
  }
  for (const Argument& argument : example_.input.flags) {
    const absl::string_view word = argument.text;
    if (word[0] != '-' && word.find('=') == absl::string_view::npos) continue;
    const std::string name(word.substr(0, word.find('=')));
    EXPECT_TRUE(noted.contains(name)) << name;
  }
}

TEST_P(ConvertExampleTest, IsAFullExample) {
  std::set<std::string> given;
  for (const std::string& name : ExampleNames()) {
    const Example example = ReadExample(name);
    if (example.system != example_.system) continue;
    const auto conversion = Convert(example.system, example.input);
    ASSERT_THAT(conversion, IsOk());
    for (const Note& note : conversion->notes) given.insert(note.key);
  }

  for (const std::string& known : KnownSettings(example_.system)) {
    EXPECT_THAT(given, Contains(known));
  }
}

TEST_P(ConvertExampleTest, EverySettingIsOnThePageOfItsSystem) {
  const std::string page = ReadFile(
      absl::StrCat(MIGRATION_PAGES, "/", SystemName(example_.system), ".md"));

  for (const std::string& setting : KnownSettings(example_.system)) {
    absl::string_view known = setting;
    absl::ConsumePrefix(&known, "overrides.*.");
    EXPECT_THAT(page, HasSubstr(absl::StrCat("`", known, "`")));
  }
}

ConvertInput WithFile(const std::string& text) {
  ConvertInput input;
  input.file = InputFile{"f.yaml", text};
  return input;
}

ConvertInput WithFlags(const std::vector<std::string>& words) {
  ConvertInput input;
  input.flags = MakeArguments(words);
  return input;
}

const v1::Object* Find(const Conversion& conversion, v1::Kind kind,
                       absl::string_view id) {
  for (const v1::Object& object : conversion.objects) {
    if (object.meta().kind() == kind && object.meta().id() == id) {
      return &object;
    }
  }
  return nullptr;
}

TEST(ConvertTest, AnUnknownKeyIsAnErrorWithItsLine) {
  EXPECT_THAT(
      Convert(System::kCortexTenant,
              WithFile("listen: 0.0.0.0:1\ntenant:\n  labell: x\nport: 1\n")),
      StatusIs(kInvalidArgument,
               AllOf(HasSubstr("f.yaml:3: tenant.labell: cortex-tenant has no "
                               "such key; known here are label, "),
                     HasSubstr("f.yaml:4: port: "))));
}

TEST(ConvertTest, AnUnknownLimitIsAnErrorWithItsLine) {
  EXPECT_THAT(Convert(System::kCortexOverrides,
                      WithFile("overrides:\n  red:\n    ingestion_rat: 1\n")),
              StatusIs(kInvalidArgument,
                       HasSubstr("f.yaml:3: overrides.red.ingestion_rat: ")));
}

TEST(ConvertTest, AnUnknownFlagIsAnErrorWithoutItsValue) {
  EXPECT_THAT(Convert(System::kTelemeter,
                      WithFlags({"--from=http://p:9090", "--to-tokn=hidden"})),
              StatusIs(kInvalidArgument,
                       AllOf(HasSubstr("word 2: --to-tokn: telemeter-client "
                                       "has no such flag"),
                             Not(HasSubstr("hidden")))));
  EXPECT_THAT(
      Convert(System::kPromLabelProxy, WithFlags({"hidden"})),
      StatusIs(kInvalidArgument, AllOf(HasSubstr("word 1: a word that is "),
                                       Not(HasSubstr("hidden")))));
}

TEST(ConvertTest, AFlagAndAKeyOfOneNameAreNotMistaken) {
  EXPECT_THAT(Convert(System::kAdobeProxy, WithFile("port: 80\n")),
              StatusIs(kInvalidArgument, HasSubstr("f.yaml:1: port: ")));
}

TEST(ConvertTest, ErrorsDoNotShowApiKeys) {
  for (const char* text :
       {"auth: {apikey: {static_keys: {hidden: a, hidden: b}}}\n",
        "auth: {apikey: {static_keys: {hidden: 'a/b'}}}\n",
        "auth: {apikey: {static_keys: {hidden: [a]}}}\n",
        "auth: {apikey: {hidden: a}}\n",
        "auth: {apikey: {static_keys: [hidden]}}\n",
        "auth: {jwt: {secret_key: [hidden]}}\n"}) {
    EXPECT_THAT(Convert(System::kAdobeProxy, WithFile(text)),
                StatusIs(kInvalidArgument, AllOf(HasSubstr("f.yaml:1: "),
                                                 Not(HasSubstr("hidden")))))
        << text;
  }
}

TEST(ConvertTest, ErrorsDoNotShowTokens) {
  for (const char* text :
       {"[{\"token\": [\"hidden\"]}]", "[{\"hidden\": 1}]", "[\"hidden\"]",
        "[{\"token\": \"hidden\", \"token\": \"hidden\"}]", "{hidden: 1}",
        "[{\"token\": \"hidden\"", "hidden"}) {
    ConvertInput input;
    input.tokens = InputFile{"tokens.json", text};
    EXPECT_THAT(Convert(System::kTelemeter, input),
                StatusIs(kInvalidArgument, AllOf(HasSubstr("tokens.json"),
                                                 Not(HasSubstr("hidden")))))
        << text;
  }
}

TEST(ConvertTest, TheTokenOfASenderBecomesItsHash) {
  ConvertInput input = WithFile("tenant: {label: team}\n");
  input.token = "sender-token";

  const auto conversion = Convert(System::kCortexTenant, input);

  ASSERT_THAT(conversion, IsOk());
  EXPECT_THAT(Render(*conversion).front().text,
              HasSubstr("a434c78a3116108b824b41754af2d578a43d4e71ed849065c83094"
                        "da34e8458c"));
}

TEST(ConvertTest, ValuesThatCanNotBeNameTheirPlace) {
  struct Case {
    System system;
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{System::kCortexTenant, "timeout: 10\n",
                "f.yaml:1: timeout: '10' is no duration with a unit"},
           Case{System::kCortexTenant, "\nlisten: here\n",
                "f.yaml:2: listen: 'here' is no HOST:PORT"},
           Case{System::kCortexTenant, "target: cortex:8080\n",
                "f.yaml:1: target: is no URL"},
           Case{System::kCortexTenant, "tenant:\n  default: a/b\n",
                "f.yaml:2: tenant.default: "},
           Case{System::kCortexTenant, "tenant:\n  label: a-b\n",
                "f.yaml:2: tenant.label: 'a-b' is no name of a label"},
           Case{System::kCortexTenant, "tenant: [a]\n",
                "f.yaml:1: tenant: must be a map of label, "},
           Case{System::kCortexTenant, "listen: {a: b}\n",
                "f.yaml:1: listen: must be a single value"},
           Case{System::kCortexOverrides, "overrides: {a/b: {}}\n",
                "f.yaml:1: overrides.a/b: "},
           Case{System::kCortexOverrides,
                "overrides:\n  a:\n    ingestion_rate: -1\n",
                "f.yaml:3: overrides.a.ingestion_rate: must be a number"},
           Case{System::kCortexOverrides,
                "overrides:\n  a:\n    max_label_name_length: 0\n",
                "f.yaml:3: overrides.a.max_label_name_length: 0 refuses"},
       }) {
    EXPECT_THAT(Convert(c.system, WithFile(c.text)),
                StatusIs(kInvalidArgument, HasSubstr(c.error)))
        << c.text;
  }
}

TEST(ConvertTest, ARateOfNothingMakesATenantReadOnly) {
  const auto conversion =
      Convert(System::kCortexOverrides,
              WithFile("overrides: {red: {ingestion_rate: 0}}\n"));

  ASSERT_THAT(conversion, IsOk());
  const v1::Object* red = Find(*conversion, v1::KIND_TENANT, "red");
  ASSERT_NE(red, nullptr);
  EXPECT_EQ(red->tenant().state(), v1::Tenant::STATE_READ_ONLY);
}

TEST(ConvertTest, WithoutFullReplicationThereIsNoDefaultTenant) {
  const auto conversion = Convert(System::kOpenMetricsProxy,
                                  WithFlags({"--disable-full-replication"}));

  ASSERT_THAT(conversion, IsOk());
  const v1::Object* rule =
      Find(*conversion, v1::KIND_CLAIM_RULE, "open-metrics-proxy");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->claim_rule().label(), "tenant_id");
  EXPECT_EQ(rule->claim_rule().default_tenant_id(), "");
  EXPECT_FALSE(rule->claim_rule().full_replication());
}

TEST(ConvertTest, EveryLabelAndDefaultTenantOfTheListsIsKept) {
  const auto conversion = Convert(System::kOpenMetricsProxy,
                                  WithFlags({"--tenant-label-list=a,b,a,c",
                                             "--default-tenant-list=0,1,0,2"}));

  ASSERT_THAT(conversion, IsOk());
  const v1::Object* rule =
      Find(*conversion, v1::KIND_CLAIM_RULE, "open-metrics-proxy");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->claim_rule().label(), "a");
  EXPECT_THAT(rule->claim_rule().labels(), ElementsAre("b", "c"));
  EXPECT_EQ(rule->claim_rule().default_tenant_id(), "0");
  EXPECT_THAT(rule->claim_rule().default_tenant_ids(), ElementsAre("1", "2"));
  EXPECT_TRUE(rule->claim_rule().full_replication());
  EXPECT_THAT(rule->claim_rule().allowed_tenant_ids(), IsEmpty());
}

TEST(ConvertTest, AnAllowListBoundsWhoseSeriesASenderWrites) {
  ConvertInput input = WithFlags({"--allow-listed-tenants", "a,b"});
  input.token = "t";
  const auto listed = Convert(System::kOpenMetricsProxy, input);
  input.flags.clear();
  const auto open = Convert(System::kOpenMetricsProxy, input);

  ASSERT_THAT(listed, IsOk());
  ASSERT_THAT(open, IsOk());
  const v1::Kind kind = v1::KIND_BINDING;
  EXPECT_THAT(Find(*listed, kind, "open-metrics-proxy")->binding().tenant_ids(),
              ElementsAre("0", "a", "b"));
  EXPECT_THAT(Find(*listed, v1::KIND_CLAIM_RULE, "open-metrics-proxy")
                  ->claim_rule()
                  .allowed_tenant_ids(),
              ElementsAre("0", "a", "b"));
  EXPECT_TRUE(
      Find(*open, kind, "open-metrics-proxy")->binding().every_tenant());
}

TEST(ConvertTest, FlagsOfTheProxyAndOfTheInformerDoNotMix) {
  EXPECT_THAT(Convert(System::kOpenMetricsProxy,
                      WithFlags({"--default-tenant-list=0",
                                 "--ruler-upstream-url=http://r/"})),
              StatusIs(kInvalidArgument,
                       HasSubstr("--default-tenant-list: "
                                 "open-metrics-informer has no such flag")));
}

TEST(ConvertTest, ARegularExpressionReadsEveryTenantThatItMatches) {
  const auto conversion =
      Convert(System::kPromLabelProxy,
              WithFlags({"-upstream=http://p:9090", "-label=namespace",
                         "-label-value=team-.+", "-regex-match"}));

  ASSERT_THAT(conversion, IsOk());
  const v1::Object* access =
      Find(*conversion, v1::KIND_ACCESS, "prom-label-proxy");
  ASSERT_NE(access, nullptr);
  EXPECT_TRUE(access->access().every_source());
  EXPECT_THAT(access->access().selectors(),
              ElementsAre("{namespace=~\"team-.+\"}"));
}

TEST(ConvertTest, AFixedValueOfOneTenantIsThatTenant) {
  ConvertInput input = WithFlags(
      {"-upstream=http://p:9090", "-label=namespace", "-label-value=red"});
  input.token = "t";

  const auto conversion = Convert(System::kPromLabelProxy, input);

  ASSERT_THAT(conversion, IsOk());
  EXPECT_THAT(Find(*conversion, v1::KIND_BINDING, "prom-label-proxy")
                  ->binding()
                  .tenant_ids(),
              ElementsAre("red"));
  EXPECT_EQ(Find(*conversion, v1::KIND_TENANT, "red")
                ->tenant()
                .enforced_labels()
                .at("namespace"),
            "red");
}

TEST(ConvertTest, MoreMatchesThanAJobHasBecomeSeveralJobs) {
  std::vector<std::string> words = {"--from=http://p:9090"};
  for (int i = 0; i < 250; ++i) {
    words.push_back(absl::StrCat("--match=m", i));
  }

  const auto conversion = Convert(System::kTelemeter, WithFlags(words));

  ASSERT_THAT(conversion, IsOk());
  const v1::Object* last = Find(*conversion, v1::KIND_JOB, "telemeter-3");
  ASSERT_NE(last, nullptr);
  EXPECT_THAT(last->job().matches(), SizeIs(50));
  EXPECT_EQ(last->job().source_url(), "http://p:9090/federate");
}

TEST(ConvertTest, SelectorsAreChecked) {
  EXPECT_THAT(Convert(System::kTelemeter,
                      WithFlags({"--from=http://p:9090", "--match={a=}"})),
              StatusIs(kInvalidArgument, HasSubstr("word 2: --match: ")));
  ConvertInput input;
  input.whitelist = InputFile{"list", "up\n\n{job=~\".*\"}\n"};
  EXPECT_THAT(
      Convert(System::kTelemeter, input),
      StatusIs(kInvalidArgument, HasSubstr("list:3: selects every series")));
}

TEST(ConvertTest, AFileOrFlagsThatASystemDoesNotHaveAreErrors) {
  EXPECT_THAT(Convert(System::kPromLabelProxy, WithFile("a: b")),
              StatusIs(kInvalidArgument,
                       HasSubstr("prom-label-proxy has no configuration")));
  EXPECT_THAT(Convert(System::kCortexOverrides, WithFlags({"-a"})),
              StatusIs(kInvalidArgument, HasSubstr("and no flags")));
  EXPECT_THAT(Convert(System::kCortexTenant, ConvertInput()),
              StatusIs(kInvalidArgument, HasSubstr("give it")));
  EXPECT_THAT(ParseSystem("thanos"),
              StatusIs(kInvalidArgument, HasSubstr("none of cortex-tenant, ")));
}

TEST(ReadFlagsTest, TakesAwayWhatAShellWould) {
  const std::vector<Argument> arguments = ReadFlags(
      {"f", "# comment\n--a=1 \\\n\n  --b '{x=\"y\"}'\n--c=\"d e\"\nX=1\n"});

  std::vector<std::string> words;
  for (const Argument& argument : arguments) words.push_back(argument.text);
  EXPECT_THAT(words,
              ElementsAre("--a=1", "--b", "{x=\"y\"}", "--c=d e", "X=1"));
  EXPECT_EQ(arguments[2].where, "f:4");
}

}  // namespace
}  // namespace insula::insulactl
