#include "services/rule_sync/rule_source.h"

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/status/status_matchers.h"

namespace insula::rule_sync {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RuleSourceTest : public testing::Test {
 protected:
  RuleSourceTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-source.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    options_.directory = dir_;
    Restart();
  }
  ~RuleSourceTest() override {
    std::filesystem::permissions(dir_, std::filesystem::perms::owner_all);
    std::filesystem::remove_all(dir_);
  }

  void Restart(FileOwners owners = FileOwners()) {
    source_ = std::make_unique<RuleSource>(options_, std::move(owners));
  }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = dir_ + "/" + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole.string() + ".part") << text;
    std::filesystem::rename(whole.string() + ".part", whole);
  }
  // A scan a minute from now, when everything has settled.
  absl::StatusOr<std::shared_ptr<const SourceView>> Scan() {
    return source_->Scan(
        [this](absl::string_view id) -> std::optional<std::string> {
          if (!tenants_.contains(std::string(id))) return std::nullopt;
          const auto uid = uids_.find(std::string(id));
          return uid == uids_.end() ? std::string(16, 'u') : uid->second;
        },
        absl::Now() + absl::Minutes(1));
  }
  std::vector<std::string> FilesOf(const std::string& tenant) {
    std::vector<std::string> files;
    const auto view = Scan();
    if (!view.ok() || !(*view)->tenants.contains(tenant)) return {"no tenant"};
    for (const SourceFile& file : (*view)->tenants.at(tenant).files) {
      files.push_back(
          absl::StrCat(file.name, "=", file.text ? *file.text : "(refused)"));
    }
    return files;
  }

  std::string dir_;
  SourceOptions options_;
  std::set<std::string> tenants_ = {"red", ".*", "(a)", "a'b"};
  std::map<std::string, std::string> uids_;  // Of those that have another one.
  std::unique_ptr<RuleSource> source_;
};

TEST_F(RuleSourceTest, ReadsTheRuleFilesOfEachTenant) {
  Write("red/b.yml", "2");
  Write("red/a.yaml", "1");
  Write("red/.hidden.yaml", "x");
  Write("red/README", "x");
  Write("red/a.yaml~", "x");
  Write(".*/c.yaml", "3");
  Write("(a)/c.yaml", "4");
  Write("a'b/c.yaml", "5");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yml=2"));
  EXPECT_THAT(FilesOf(".*"), ElementsAre("c.yaml=3"));
  EXPECT_THAT(FilesOf("(a)"), ElementsAre("c.yaml=4"));
  EXPECT_THAT(FilesOf("a'b"), ElementsAre("c.yaml=5"));
  EXPECT_THAT((*Scan())->errors, IsEmpty());
}

TEST_F(RuleSourceTest, SaysNothingNewIfNothingIsNew) {
  Write("red/a.yaml", "1");
  const auto first = Scan();
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(*Scan(), *first);
  Write("red/a.yaml", "2");
  EXPECT_NE(*Scan(), *first);
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=2"));
  std::filesystem::remove(dir_ + "/red/a.yaml");
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  std::filesystem::remove(dir_ + "/red");
  EXPECT_THAT(FilesOf("red"), ElementsAre("no tenant"));
}

TEST_F(RuleSourceTest, WhatIsNoTenantIsReported) {
  Write("green/a.yaml", "1");
  Write("a b/a.yaml", "1");
  Write("file.yaml", "1");
  std::filesystem::create_directory_symlink("green", dir_ + "/red");
  const auto view = Scan();
  ASSERT_THAT(view, IsOk());
  EXPECT_THAT((*view)->tenants, IsEmpty());
  EXPECT_THAT((*view)->unknown, ElementsAre("green"));
  EXPECT_THAT((*view)->errors, SizeIs(4));
  EXPECT_THAT((*view)->errors, Contains(HasSubstr("red: is a symbolic link")));

  tenants_.insert("green");
  EXPECT_THAT(FilesOf("green"), ElementsAre("a.yaml=1"));
}

TEST_F(RuleSourceTest, LinksAndForeignTypesAndLongFilesAreRefused) {
  options_.max_file_bytes = 10;
  Restart();
  Write("secret", "s");
  Write("red/good.yaml", "1");
  Write("red/long.yaml", "12345678901");
  Write("red/twice.yaml", "1");
  Write("red/twice.yml", "2");
  Write("red/" + std::string(201, 'a') + ".yaml", "1");
  Write("red/bell\a.yaml", "1");
  std::filesystem::create_symlink("../secret", dir_ + "/red/link.yaml");
  std::filesystem::create_directory(dir_ + "/red/dir.yaml");
  ASSERT_EQ(mkfifo((dir_ + "/red/fifo.yaml").c_str(), 0600), 0);
  EXPECT_THAT(FilesOf("red"),
              ElementsAre(std::string(201, 'a') + ".yaml=(refused)",
                          "bell\\x07.yaml=(refused)", "dir.yaml=(refused)",
                          "fifo.yaml=(refused)", "good.yaml=1",
                          "link.yaml=(refused)", "long.yaml=(refused)",
                          "twice.yaml=1", "twice.yml=(refused)"));
  EXPECT_TRUE((*Scan())->tenants.at("red").complete);
}

TEST_F(RuleSourceTest, TheFilesOfOneTenantAreBounded) {
  options_.max_files = 2;
  options_.max_tenant_bytes = 5;
  Restart();
  Write("red/a.yaml", "1234");
  Write("red/b.yaml", "12");
  Write("red/c.yaml", "1");
  Write("red/d.yaml", "");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1234", "b.yaml=(refused)",
                                          "c.yaml=1", "d.yaml=(refused)"));
}

TEST_F(RuleSourceTest, AFileThatIsBeingWrittenKeepsItsLastText) {
  Write("red/a.yaml", "1");
  ASSERT_THAT(Scan(), IsOk());
  Write("red/a.yaml", "2");
  const auto find_uid = [](absl::string_view) {
    return std::optional<std::string>(std::string(16, 'u'));
  };
  auto view = source_->Scan(find_uid, absl::Now());
  ASSERT_THAT(view, IsOk());
  EXPECT_FALSE((*view)->settled);
  EXPECT_EQ(*(*view)->tenants.at("red").files[0].text, "1");
  EXPECT_TRUE((*view)->tenants.at("red").complete);

  // Of a file that is new nothing is known: nothing may be taken for gone.
  Restart();
  view = source_->Scan(find_uid, absl::Now());
  EXPECT_FALSE((*view)->settled);
  EXPECT_THAT((*view)->tenants.at("red").files, IsEmpty());
  EXPECT_FALSE((*view)->tenants.at("red").complete);
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=2"));
  EXPECT_TRUE((*Scan())->settled);
}

TEST_F(RuleSourceTest, ATenantMadeAgainHasOnlyWhatIsWrittenForIt) {
  Write("red/a.yaml", "1");
  Write("red/b.yaml", "2");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yaml=2"));

  uids_["red"] = std::string(16, 'v');
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  EXPECT_EQ((*Scan())->tenants.at("red").uid, uids_["red"]);
  EXPECT_THAT((*Scan())->errors,
              ElementsAre(HasSubstr("red/a.yaml: was written for a former"),
                          HasSubstr("red/b.yaml: was written for a former")));
  // Also with the text of before, if somebody has said it again.
  Write("red/a.yaml", "1");
  Write("red/c.yaml", "3");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "c.yaml=3"));

  // And so on, whatever the third one may have been.
  uids_["red"] = std::string(16, 'w');
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  std::filesystem::remove(dir_ + "/red/b.yaml");
  Write("red/b.yaml", "4");
  EXPECT_THAT(FilesOf("red"), ElementsAre("b.yaml=4"));
}

TEST_F(RuleSourceTest, FilesStayThoseOfATenantThatIsGone) {
  Write("red/a.yaml", "1");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1"));
  tenants_.erase("red");
  EXPECT_THAT((*Scan())->unknown, ElementsAre("red"));
  Write("red/b.yaml", "2");  // For the next one.
  EXPECT_THAT((*Scan())->unknown, ElementsAre("red"));
  tenants_.insert("red");
  uids_["red"] = std::string(16, 'v');
  EXPECT_THAT(FilesOf("red"), ElementsAre("b.yaml=2"));
}

TEST_F(RuleSourceTest, WhoseAFileIsOutlivesTheProcess) {
  const std::string path = dir_ + ".owners";
  const auto open = [&] {
    auto owners = FileOwners::Open(path);
    EXPECT_THAT(owners, IsOk());
    return *std::move(owners);
  };
  Restart(open());
  Write("red/a.yaml", "1");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1"));
  EXPECT_THAT(source_->owners_saved(), IsOk());

  uids_["red"] = std::string(16, 'v');
  Restart(open());
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  Restart(open());
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  Write("red/a.yaml", "2");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=2"));
  Restart(open());
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=2"));
  std::filesystem::remove(path);
}

TEST_F(RuleSourceTest, FilesOfAFormerTenantLeaveTheBoundsToThePresentOne) {
  options_.max_files = 1;
  Restart();
  Write("red/a.yaml", "1");
  Write("red/b.yaml", "2");
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yaml=(refused)"));
  uids_["red"] = std::string(16, 'v');
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  Write("red/c.yaml", "3");
  EXPECT_THAT(FilesOf("red"), ElementsAre("c.yaml=3"));
}

TEST_F(RuleSourceTest, ADirectoryThatCantBeReadIsNotEmpty) {
  Write("red/a.yaml", "1");
  const auto first = Scan();
  ASSERT_THAT(first, IsOk());
  std::filesystem::rename(dir_, dir_ + ".away");
  EXPECT_THAT(Scan(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(dir_)));
  std::ofstream(dir_) << "a file";
  EXPECT_FALSE(Scan().ok());
  std::filesystem::remove(dir_);
  std::filesystem::rename(dir_ + ".away", dir_);
  EXPECT_EQ(*Scan(), *first);
}

// While it lives, this thread obeys the permissions of files, even as root.
class Unprivileged {
 public:
  Unprivileged() {
    EXPECT_EQ(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct without[2] = {before_[0], before_[1]};
    without[0].effective &=
        ~(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH);
    EXPECT_EQ(syscall(SYS_capset, &header_, without), 0);
  }
  ~Unprivileged() { EXPECT_EQ(syscall(SYS_capset, &header_, before_), 0); }

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
};

TEST_F(RuleSourceTest, WhatCantBeReadKeepsItsTextAndNothingCountsAsGone) {
  const Unprivileged unprivileged;
  Write("red/a.yaml", "1");
  Write("red/b.yaml", "2");
  ASSERT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yaml=2"));
  Write("red/a.yaml", "3");
  using std::filesystem::perms;
  std::filesystem::permissions(dir_ + "/red/a.yaml", perms::none);
  std::filesystem::permissions(dir_ + "/red/b.yaml", perms::none);
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yaml=2"));
  EXPECT_TRUE((*Scan())->tenants.at("red").complete);
  std::filesystem::permissions(dir_ + "/red", perms::none);
  EXPECT_THAT(FilesOf("red"), ElementsAre("a.yaml=1", "b.yaml=2"));
  EXPECT_FALSE((*Scan())->tenants.at("red").complete);

  // Whoever has never read them knows that there is something.
  Restart();
  EXPECT_THAT(FilesOf("red"), IsEmpty());
  EXPECT_FALSE((*Scan())->tenants.at("red").complete);
  std::filesystem::permissions(dir_ + "/red", perms::owner_all);
  EXPECT_THAT(FilesOf("red"),
              ElementsAre("a.yaml=(refused)", "b.yaml=(refused)"));
  const auto view = Scan();
  EXPECT_FALSE((*view)->tenants.at("red").complete);
  EXPECT_THAT((*view)->errors, Contains(HasSubstr("red/a.yaml")));
}

}  // namespace
}  // namespace insula::rule_sync
