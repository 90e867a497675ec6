#include "libs/resources/resource_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_matchers.h"

namespace insula::resources {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Case {
  std::string name;
  std::string yaml;
  std::vector<std::string> errors;
  std::string whole;
  bool incomplete = false;
};

std::vector<Case> ReadCases() {
  std::ifstream file(TESTDATA_DIR "/refused.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view text = line;
    if (absl::ConsumePrefix(&text, "=== ")) {
      cases.emplace_back().name = std::string(text);
    } else if (cases.empty()) {
      continue;  // The file's own comment.
    } else if (absl::ConsumePrefix(&text, ">>> whole ")) {
      cases.back().whole = std::string(text);
    } else if (text == ">>> incomplete") {
      cases.back().incomplete = true;
    } else if (absl::ConsumePrefix(&text, ">>> ")) {
      cases.back().errors.emplace_back(text);
    } else if (cases.back().errors.empty() && cases.back().whole.empty()) {
      absl::StrAppend(&cases.back().yaml, text, "\n");
    }
  }
  return cases;
}

TEST(ResourceFileTest, RefusedDocumentsAreReportedWithLineFieldAndCure) {
  const std::vector<Case> cases = ReadCases();
  ASSERT_THAT(cases, SizeIs(testing::Gt(25u)));
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto file = ParseResourceFile(one.yaml, "t.yaml");
    if (!one.whole.empty()) {
      EXPECT_THAT(file, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(one.whole)));
      continue;
    }
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->errors.size(), Eq(one.errors.size()))
        << absl::StrJoin(file->errors, "\n");
    for (size_t i = 0; i < one.errors.size(); ++i) {
      EXPECT_TRUE(absl::StartsWith(file->errors[i], one.errors[i]))
          << file->errors[i];
    }
    EXPECT_THAT(file->complete, Eq(!one.incomplete));
  }
}

TEST(ResourceFileTest, DocumentsBesideABadOneAreRead) {
  const auto file = ParseResourceFile(
      "kind: Tenant\nid: one\nspec: {}\n---\n"
      "kind: Tenant\nid: two\nspec: {state: SLEEPY}\n---\n"
      "kind: Tenant\nid: three\nspec: {}\n",
      "t.yaml");
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(file->resources, SizeIs(2));
  EXPECT_THAT(file->resources[0].object.meta().id(), Eq("one"));
  EXPECT_THAT(file->resources[1].object.meta().id(), Eq("three"));
  EXPECT_THAT(file->resources[1].where, Eq("t.yaml:9"));
  // The bad one is still wanted.
  EXPECT_TRUE(file->named.contains(ObjectKey{v1::KIND_TENANT, "two"}));
  EXPECT_TRUE(file->complete);
}

TEST(ResourceFileTest, ABrokenDocumentStillNamesItsObject) {
  const auto file = ParseResourceFile(
      "kind: Tenant\nid: acme\nspec: {org_id: a, org_id: b}\n", "t.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->resources, IsEmpty());
  EXPECT_TRUE(file->complete);
  EXPECT_TRUE(file->named.contains(ObjectKey{v1::KIND_TENANT, "acme"}));
}

// The one object of a text, or an empty one.
v1::Object One(absl::string_view yaml) {
  const auto file = ParseResourceFile(yaml, "t.yaml");
  EXPECT_THAT(file, IsOk());
  if (!file.ok()) return {};
  EXPECT_THAT(file->errors, IsEmpty());
  EXPECT_THAT(file->resources, SizeIs(1));
  return file->resources.empty() ? v1::Object() : file->resources[0].object;
}

MATCHER_P(IsProto, text, "") {
  v1::Object expected;
  if (!google::protobuf::TextFormat::ParseFromString(text, &expected)) {
    *result_listener << "the expected text is wrong";
    return false;
  }
  *result_listener << arg.DebugString();
  return google::protobuf::util::MessageDifferencer::Equals(arg, expected);
}

TEST(ResourceFileTest, TextIsTextHoweverItLooks) {
  EXPECT_THAT(One("kind: Tenant\nid: 0\nspec:\n"
                  "  display_name: on\n  org_id: 1.50\n"
                  "  enforced_labels: {a: no, b: 007, d: \"~\"}\n"),
              IsProto("meta { kind: KIND_TENANT id: '0' } tenant {"
                      "  display_name: 'on' org_id: '1.50'"
                      "  enforced_labels { key: 'a' value: 'no' }"
                      "  enforced_labels { key: 'b' value: '007' }"
                      "  enforced_labels { key: 'd' value: '~' } }"));
}

TEST(ResourceFileTest, ReadsEveryTypeOfField) {
  EXPECT_THAT(
      One("kind: Binding\nid: a/b\nspec:\n"
          "  token_sha256: " +
          std::string(64, 'a') +
          "\n"
          "  tenant_ids: [red, blue]\n"
          "  roles: [WRITE, ROLE_READ]\n"
          "  claim_rule_id: by-namespace\n"
          "  not_after: 2030-01-31T12:00:00.5Z\n"),
      IsProto(
          "meta { kind: KIND_BINDING id: 'a/b' } binding { token_sha256: '" +
          [] {
            std::string bytes;
            for (int i = 0; i < 32; ++i) bytes += "\\xaa";
            return bytes;
          }() +
          "' tenant_ids: 'red' tenant_ids: 'blue'"
          " roles: ROLE_WRITE roles: ROLE_READ"
          " claim_rule_id: 'by-namespace'"
          " not_after { seconds: 1896091200 nanos: 500000000 } }"));
  EXPECT_THAT(One("kind: Upstream\nid: store\nspec:\n"
                  "  writeUrl: http://127.0.0.1:9090/api/v1/write\n"
                  "  isolation: HEADER\n  tenantHeader: X-Tenant\n"
                  "  timeout: 1m30s\n"),
              IsProto("meta { kind: KIND_UPSTREAM id: 'store' } upstream {"
                      " write_url: 'http://127.0.0.1:9090/api/v1/write'"
                      " isolation: ISOLATION_HEADER tenant_header: 'X-Tenant'"
                      " timeout { seconds: 90 } }"));
  EXPECT_THAT(One("kind: Limits\nid: small\nspec:\n"
                  "  max_label_names: 20\n  samples_per_second: 1.5e3\n"),
              IsProto("meta { kind: KIND_LIMITS id: 'small' } limits {"
                      " max_label_names: 20 samples_per_second: 1500 }"));
  EXPECT_THAT(One("kind: ClaimRule\nid: by-namespace\nspec:\n"
                  "  label: namespace\n  remove_label: true\n"),
              IsProto("meta { kind: KIND_CLAIM_RULE id: 'by-namespace' }"
                      " claim_rule { label: 'namespace' remove_label: true }"));
}

TEST(ResourceFileTest, BytesMayBeBase64) {
  const v1::Object object =
      One("kind: Binding\nid: b\nspec:\n"
          "  token_sha256: QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\n"
          "  tenant_ids: [red]\n  roles: [READ]\n");
  EXPECT_THAT(object.binding().token_sha256(),
              Eq("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"));
}

TEST(ResourceFileTest, EmptyDocumentsAreNothing) {
  for (const char* text : {"", "\n", "---\n", "---\n---\n", "# nothing\n"}) {
    const auto file = ParseResourceFile(text, "t.yaml");
    ASSERT_THAT(file, IsOk()) << text;
    EXPECT_THAT(file->resources, IsEmpty());
    EXPECT_THAT(file->errors, IsEmpty());
  }
}

TEST(ResourceFileTest, DeepNestingIsRefused) {
  std::string deep = "kind: Tenant\nid: acme\nspec: ";
  for (int i = 0; i < 100; ++i) deep += "{a: ";
  deep += "b";
  for (int i = 0; i < 100; ++i) deep += "}";
  const auto file = ParseResourceFile(deep, "t.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->errors,
              ElementsAre("t.yaml:3: Tenant/acme: nested deeper than 32"));

  // So deep that the parser itself gives up.
  const auto deeper =
      ParseResourceFile("spec: " + std::string(100'000, '['), "t.yaml");
  EXPECT_FALSE(deeper.ok());
}

TEST(ResourceFileTest, LargeAndBinaryFilesAreRefused) {
  EXPECT_THAT(
      ParseResourceFile(std::string(kMaxResourceFileBytes + 1, '#'), "t.yaml"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("split the file")));
  EXPECT_THAT(ParseResourceFile(absl::string_view("kind: \0", 7), "t.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("NUL byte at offset 6")));
}

}  // namespace
}  // namespace insula::resources
