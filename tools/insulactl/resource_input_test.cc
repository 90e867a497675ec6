#include "tools/insulactl/resource_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "libs/resources/resource_tree.h"
#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kRed[] = "kind: Tenant\nid: red\nspec: {}\n";

class ResourceInputTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/input-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    dir_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = dir_ / name;
    std::ofstream(path) << text;
    return path;
  }

  std::filesystem::path dir_;
  std::istringstream in_;
};

TEST_F(ResourceInputTest, ReadsFilesDirectoriesAndStdin) {
  Write("b.json", R"({"kind": "Tenant", "id": "b", "spec": {}})");
  Write("a.yaml", "kind: Tenant\nid: a\nspec: {}\n");
  Write("notes.txt", "not: [read");
  std::filesystem::create_directory(dir_ / "sub.yaml");
  in_.str(kRed);
  const auto input = ReadResources({dir_, "-"}, &in_);
  ASSERT_THAT(input, IsOk());
  EXPECT_THAT(input->errors, IsEmpty());
  EXPECT_THAT(input->files, Eq(3u));
  ASSERT_THAT(input->resources, SizeIs(3));
  EXPECT_THAT(input->resources[0].object.meta().id(), Eq("a"));
  EXPECT_THAT(input->resources[1].object.meta().id(), Eq("b"));
  EXPECT_THAT(input->resources[2].where, Eq("stdin:1"));
}

TEST_F(ResourceInputTest, WhatCantBeReadIsAnError) {
  EXPECT_THAT(ReadResources({dir_ / "missing.yaml"}, &in_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("missing.yaml: can't be opened")));
  EXPECT_THAT(ReadResources({dir_}, &in_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has no file *.yaml")));
}

TEST_F(ResourceInputTest, WhatIsWrongInFilesIsToldOfEach) {
  const auto input = ReadResources(
      {Write("a.yaml", "kind: [\n"), Write("b.yaml", "kind: Tenant\nid: b\n"),
       Write("c.yaml", std::string(resources::kMaxResourceFileBytes + 1, '#'))},
      &in_);
  ASSERT_THAT(input, IsOk());
  EXPECT_THAT(
      input->errors,
      ElementsAre(HasSubstr("not YAML"), HasSubstr("spec: is missing"),
                  HasSubstr("more than 8388608 bytes; split the file")));
}

TEST_F(ResourceInputTest, WhatFilesDontHaveMayBeElsewhere) {
  in_.str("kind: Tenant\nid: red\nspec: {upstream_id: there}\n");
  auto input = ReadResourcesToApply({"-"}, &in_);
  ASSERT_THAT(input, IsOk());
  EXPECT_THAT(input->errors, IsEmpty());

  input = ReadResourcesToApply({Write("a.yaml", kRed), Write("b.yaml", kRed)},
                               &in_);
  ASSERT_THAT(input, IsOk());
  EXPECT_THAT(input->errors, ElementsAre(HasSubstr("is given at")));
}

}  // namespace
}  // namespace insula::insulactl
