#include "tools/insulactl/schema/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "insula/registry/v1/objects.pb.h"
#include "libs/resources/resource_file.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

namespace v1 = ::insula::registry::v1;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// With INSULA_UPDATE_GOLDEN set, the copy is written.
TEST(SchemaTest, TheCopyInTheDocumentationIsUpToDate) {
  if (std::getenv("INSULA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(COMMITTED_SCHEMA) << ResourceSchema();
  }
  EXPECT_EQ(ReadFile(COMMITTED_SCHEMA), ResourceSchema())
      << "write it anew: insulactl schema > docs/resources.schema.json";
}

TEST(SchemaTest, ItsBoundsAreOfFieldsThatThereAre) {
  for (const std::string& name : BoundedFields()) {
    const std::vector<std::string> parts = absl::StrSplit(name, '.');
    const auto* type =
        v1::Object::descriptor()->file()->FindMessageTypeByName(parts[0]);
    for (const auto* outer :
         {v1::ClaimRule::descriptor(), v1::Limits::descriptor()}) {
      if (type == nullptr) type = outer->FindNestedTypeByName(parts[0]);
    }
    ASSERT_NE(type, nullptr) << name;
    EXPECT_NE(type->FindFieldByName(parts[1]), nullptr) << name;
  }
}

TEST(SchemaTest, HasEveryKindThatAFileCanGive) {
  const auto schema = nlohmann::json::parse(ResourceSchema());
  const auto* specs = v1::Object::descriptor()->FindOneofByName("spec");
  for (int i = 0; i < specs->field_count(); ++i) {
    const std::string kind = specs->field(i)->message_type()->name();
    if (kind == "Instance") continue;  // It comes with a lease.
    EXPECT_TRUE(schema["$defs"].contains(kind)) << kind;
  }
}

TEST(SchemaTest, FieldsAreDescribedByTheCommentsOfTheProto) {
  const auto schema = nlohmann::json::parse(ResourceSchema());
  const auto& tenant = schema["$defs"]["Tenant"];
  EXPECT_EQ(tenant["description"], "The unit of isolation.");
  EXPECT_THAT(tenant["properties"]["state"]["description"].get<std::string>(),
              HasSubstr("READ_ONLY: Reads go on, writes are refused."));
}

TEST(SchemaTest, TheRegistryTakesTheGoodExamples) {
  const auto file = resources::ParseResourceFile(
      ReadFile(absl::StrCat(TESTDATA_DIR, "/good.yaml")), "good.yaml");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->errors, IsEmpty());
}

TEST(SchemaTest, TheRegistryRefusesTheBadExamples) {
  const std::string text = ReadFile(absl::StrCat(TESTDATA_DIR, "/bad.yaml"));
  const auto documents = resources::ParseResourceTrees(text, "bad.yaml");
  ASSERT_THAT(documents, IsOk());

  const auto file = resources::ParseResourceFile(text, "bad.yaml");

  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->resources, IsEmpty());
  EXPECT_THAT(file->errors, SizeIs(documents->size()));
}

}  // namespace
}  // namespace insula::insulactl
