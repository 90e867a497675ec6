#include "services/tenant_registry/file_source.h"

#include <boost/asio/detached.hpp>
#include <fstream>
#include <future>

#include "services/tenant_registry/registry_fixture.h"

namespace insula::tenant_registry {
namespace {

using testing::Eq;
using testing::HasSubstr;

constexpr char kStore[] =
    "kind: Upstream\nid: store\n"
    "spec: {write_url: 'http://127.0.0.1:9/w', isolation: HEADER}\n---\n";

std::string TenantYaml(absl::string_view id, absl::string_view more = "") {
  return absl::StrCat("kind: Tenant\nid: ", id, "\nspec: {upstream_id: store",
                      more, "}\n---\n");
}

class FileSourceTest : public RegistryTest {
 protected:
  FileSourceTest() { Start(); }
  ~FileSourceTest() override { source_ = nullptr; }

  std::string Path(absl::string_view name) const {
    return absl::StrCat(dir_, "/", name);
  }
  // Replaces a file at once, as a careful editor does.
  void Write(absl::string_view name, absl::string_view text) {
    const std::string next = Path(absl::StrCat(name, ".next"));
    std::ofstream(next) << text;
    std::filesystem::rename(next, Path(name));
  }
  void Follow(std::vector<std::string> names, int max_deletion_percent = 20,
              absl::Duration poll_interval = absl::Hours(1)) {
    source_ = nullptr;
    FileSourceOptions options;
    for (const std::string& name : names) options.files.push_back(Path(name));
    options.max_deletion_percent = max_deletion_percent;
    options.poll_interval = poll_interval;
    source_ = std::make_unique<FileSource>(registry_, std::move(options),
                                           pool_.get_executor(), &blocking_);
    ASSERT_TRUE(Eventually([this] { return source_->Ready().ok(); }));
  }
  bool Has(absl::string_view tenant) {
    return Get(v1::KIND_TENANT, tenant).ok();
  }
  bool EventuallyHas(absl::string_view tenant) {
    return Eventually([&] { return Has(tenant); });
  }
  bool EventuallyLacks(absl::string_view tenant) {
    return Eventually([&] { return !Has(tenant); });
  }
  double Errors() { return registry_->metrics().source_errors.Value(); }

  std::unique_ptr<FileSource> source_;
};

TEST_F(FileSourceTest, ImportsObjectsInWhateverOrderTheyStand) {
  Write("a.yaml",
        absl::StrCat("kind: Binding\nid: sender\nspec:\n  token_sha256: ",
                     std::string(64, 'a'),
                     "\n  tenant_ids: [red]\n  roles: [WRITE]\n---\n",
                     TenantYaml("red"), kStore));
  Follow({"a.yaml"});
  EXPECT_TRUE(Has("red"));
  const auto binding = Get(v1::KIND_BINDING, "sender");
  ASSERT_THAT(binding, IsOk());
  EXPECT_THAT(binding->meta().source(), Eq("file:" + Path("a.yaml")));
  EXPECT_THAT(Errors(), Eq(0));
}

TEST_F(FileSourceTest, ObjectsMayReferToOtherFiles) {
  Write("a.yaml", TenantYaml("red"));
  Write("b.yaml", kStore);
  Follow({"a.yaml", "b.yaml"});
  EXPECT_TRUE(Has("red"));
  EXPECT_THAT(Errors(), Eq(0));
}

TEST_F(FileSourceTest, IsReadyWhenEachFileWasTriedOnce) {
  Write("good.yaml", absl::StrCat(kStore, TenantYaml("red")));
  Write("broken.yaml", "kind: {");
  FileSourceOptions options;
  options.files = {Path("missing.yaml"), Path("good.yaml"),
                   Path("broken.yaml")};
  source_ = std::make_unique<FileSource>(registry_, std::move(options),
                                         pool_.get_executor(), &blocking_);
  EXPECT_THAT(source_->WaitUntilReady(absl::Seconds(20)), IsOk());
  EXPECT_TRUE(Has("red"));
  EXPECT_THAT(source_->Ready(), IsOk());
}

TEST_F(FileSourceTest, IsNotReadyBeforeTheFilesAreRead) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red")));
  std::promise<void> disk;
  const std::shared_future<void> disk_answers = disk.get_future().share();
  for (int i = 0; i < 2; ++i) {  // As many as the pool has threads.
    asio::co_spawn(pool_, blocking_.Run([disk_answers] {
      disk_answers.wait();
      return absl::OkStatus();
    }),
                   asio::detached);
  }
  FileSourceOptions options;
  options.files = {Path("a.yaml")};
  source_ = std::make_unique<FileSource>(registry_, std::move(options),
                                         pool_.get_executor(), &blocking_);
  EXPECT_THAT(source_->WaitUntilReady(absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable));
  disk.set_value();
  EXPECT_THAT(source_->WaitUntilReady(absl::Seconds(20)), IsOk());
  EXPECT_TRUE(Has("red"));
}

TEST_F(FileSourceTest, FollowsChangesWithoutPolling) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red")));
  Follow({"a.yaml"});
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red"), TenantYaml("blue")));
  EXPECT_TRUE(EventuallyHas("blue"));
  // Also when it is written in place.
  std::ofstream(Path("a.yaml")) << kStore << TenantYaml("green");
  EXPECT_TRUE(EventuallyHas("green"));
  EXPECT_TRUE(EventuallyLacks("red"));
  EXPECT_TRUE(EventuallyLacks("blue"));
}

TEST_F(FileSourceTest, FollowsALinkThatIsSwapped) {
  // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> version.
  std::filesystem::create_directory(Path("v1"));
  std::filesystem::create_directory(Path("v2"));
  std::ofstream(Path("v1/a.yaml")) << kStore << TenantYaml("red");
  std::ofstream(Path("v2/a.yaml")) << kStore << TenantYaml("blue");
  std::filesystem::create_symlink("v1", Path("..data"));
  std::filesystem::create_symlink("..data/a.yaml", Path("a.yaml"));
  Follow({"a.yaml"});
  ASSERT_TRUE(Has("red"));
  std::filesystem::create_symlink("v2", Path("..next"));
  std::filesystem::rename(Path("..next"), Path("..data"));
  EXPECT_TRUE(EventuallyHas("blue"));
  EXPECT_TRUE(EventuallyLacks("red"));
}

TEST_F(FileSourceTest, APollFindsWhatInotifyDoesNotSee) {
  // The link leads to a directory that is not watched.
  std::filesystem::create_directory(Path("elsewhere"));
  std::ofstream(Path("elsewhere/real.yaml")) << kStore << TenantYaml("red");
  std::filesystem::create_symlink("elsewhere/real.yaml", Path("a.yaml"));
  Follow({"a.yaml"}, 20, absl::Milliseconds(50));
  ASSERT_TRUE(Has("red"));
  std::ofstream(Path("elsewhere/real.yaml")) << kStore << TenantYaml("blue");
  EXPECT_TRUE(EventuallyHas("blue"));
}

TEST_F(FileSourceTest, ReloadLooksAtOnce) {
  std::filesystem::create_directory(Path("elsewhere"));
  std::ofstream(Path("elsewhere/real.yaml")) << kStore << TenantYaml("red");
  std::filesystem::create_symlink("elsewhere/real.yaml", Path("a.yaml"));
  Follow({"a.yaml"});
  std::ofstream(Path("elsewhere/real.yaml")) << kStore << TenantYaml("blue");
  source_->Reload();
  EXPECT_TRUE(EventuallyHas("blue"));
}

TEST_F(FileSourceTest, AnInvalidObjectKeepsItsLastGoodVersion) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red", ", org_id: one")));
  Follow({"a.yaml"});
  Write("a.yaml",
        absl::StrCat(kStore, TenantYaml("red", ", org_id: two, state: ODD"),
                     TenantYaml("blue")));
  EXPECT_TRUE(EventuallyHas("blue"));
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->tenant().org_id(), Eq("one"));
  EXPECT_TRUE(Eventually([this] { return Errors() == 1; }));
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red", ", org_id: two")));
  EXPECT_TRUE(Eventually([this] {
    const auto red = Get(v1::KIND_TENANT, "red");
    return red.ok() && red->tenant().org_id() == "two";
  }));
  EXPECT_TRUE(Eventually([this] { return Errors() == 0; }));
}

TEST_F(FileSourceTest, ABadReferenceIsRefusedAloneAndTriedAgain) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red"),
                               "kind: Tenant\nid: lost\n"
                               "spec: {limits_id: small}\n---\n",
                               TenantYaml("blue")));
  Follow({"a.yaml"}, 20, absl::Milliseconds(50));
  EXPECT_TRUE(Has("red"));
  EXPECT_TRUE(Has("blue"));
  EXPECT_FALSE(Has("lost"));
  EXPECT_THAT(Errors(), Eq(1));
  // Somebody else makes what it lacks.
  v1::Object limits;
  limits.mutable_meta()->set_kind(v1::KIND_LIMITS);
  limits.mutable_meta()->set_id("small");
  limits.mutable_limits();
  ASSERT_THAT(Apply({Put(limits)}), IsOk());
  EXPECT_TRUE(EventuallyHas("lost"));
  EXPECT_TRUE(Eventually([this] { return Errors() == 0; }));
}

TEST_F(FileSourceTest, AFileThatCannotBeReadKeepsItsObjects) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red")));
  Follow({"a.yaml"});
  Write("a.yaml", "kind: [");
  EXPECT_TRUE(Eventually([this] { return Errors() == 1; }));
  EXPECT_TRUE(Has("red"));
  std::filesystem::remove(Path("a.yaml"));
  Write("b.yaml", "");  // So that the directory changes once more.
  EXPECT_TRUE(Eventually([this] { return Errors() == 1; }));
  EXPECT_TRUE(Has("red"));
  Write("a.yaml", kStore);
  EXPECT_TRUE(EventuallyLacks("red"));
  EXPECT_TRUE(Eventually([this] { return Errors() == 0; }));
}

TEST_F(FileSourceTest, AMissingFileDoesNotKeepTheServiceUnready) {
  Write("a.yaml", kStore);
  Follow({"missing.yaml", "a.yaml"});
  EXPECT_THAT(Get(v1::KIND_UPSTREAM, "store"), IsOk());
  EXPECT_THAT(Errors(), Eq(1));
}

TEST_F(FileSourceTest, ADocumentOfUnknownObjectStopsDeletions) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red")));
  Follow({"a.yaml"});
  // Is this red, with a mistyped kind? Better keep it.
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("blue"),
                               "kind: Tenat\nid: red\nspec: {}\n"));
  EXPECT_TRUE(EventuallyHas("blue"));
  EXPECT_TRUE(Eventually([this] { return Errors() == 1; }));
  EXPECT_TRUE(Has("red"));
}

TEST_F(FileSourceTest, ASuspiciouslyLargeDropIsHeld) {
  std::string many = kStore;
  for (int i = 0; i < 40; ++i) many += TenantYaml(absl::StrCat("t", i));
  std::string fewer = kStore;
  for (int i = 0; i < 20; ++i) fewer += TenantYaml(absl::StrCat("t", i));
  Write("a.yaml", many);
  Follow({"a.yaml"});
  ASSERT_TRUE(Has("t39"));
  Write("a.yaml", fewer + TenantYaml("new"));
  EXPECT_TRUE(EventuallyHas("new"));
  EXPECT_TRUE(Eventually([this] {
    return registry_->metrics().source_held_deletions.Value() == 20;
  }));
  EXPECT_TRUE(Has("t39"));
  // The operator means it.
  Follow({"a.yaml"}, 100);
  EXPECT_TRUE(EventuallyLacks("t39"));
  EXPECT_THAT(Status().objects_by_kind().at("Tenant"), Eq(21));
}

TEST_F(FileSourceTest, AFewDeletionsAreNotHeld) {
  std::string text = kStore;
  for (int i = 0; i < 10; ++i) text += TenantYaml(absl::StrCat("t", i));
  Write("a.yaml", text);
  Follow({"a.yaml"});
  Write("a.yaml", kStore);
  EXPECT_TRUE(EventuallyLacks("t9"));
  EXPECT_TRUE(EventuallyLacks("t0"));
}

TEST_F(FileSourceTest, ATokenMayMoveToARenamedBinding) {
  auto binding = [](absl::string_view id) {
    return absl::StrCat("kind: Binding\nid: ", id,
                        "\nspec:\n  token_sha256: ", std::string(64, 'a'),
                        "\n  every_tenant: true\n  roles: [READ]\n");
  };
  Write("a.yaml", binding("old"));
  Follow({"a.yaml"});
  ASSERT_THAT(Get(v1::KIND_BINDING, "old"), IsOk());
  Write("a.yaml", binding("new"));
  EXPECT_TRUE(Eventually([this] { return Get(v1::KIND_BINDING, "new").ok(); }));
  EXPECT_FALSE(Get(v1::KIND_BINDING, "old").ok());
}

TEST_F(FileSourceTest, AnObjectOfAnotherOwnerIsRefused) {
  ASSERT_THAT(Apply({Put(TenantObject("red"))}), IsOk());
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red"), TenantYaml("blue")));
  Follow({"a.yaml"});
  EXPECT_TRUE(Has("blue"));
  EXPECT_THAT(Get(v1::KIND_TENANT, "red")->meta().source(), Eq("api"));
  EXPECT_THAT(Errors(), Eq(1));
}

TEST_F(FileSourceTest, AnUnchangedFileMakesNoRevisionAtARestart) {
  Write("a.yaml", absl::StrCat(kStore, TenantYaml("red")));
  Follow({"a.yaml"});
  const int64_t revision = Status().revision();
  Follow({"a.yaml"});
  EXPECT_THAT(Status().revision(), Eq(revision));
}

TEST_F(FileSourceTest, ThousandsOfObjectsComeInChunks) {
  std::string text = kStore;
  for (int i = 0; i < 2000; ++i) text += TenantYaml(absl::StrCat("t", i));
  text += "kind: Tenant\nid: lost\nspec: {upstream_id: none}\n";
  Write("a.yaml", text);
  Follow({"a.yaml"});
  EXPECT_THAT(Status().objects_by_kind().at("Tenant"), Eq(2000));
  EXPECT_THAT(Errors(), Eq(1));
  EXPECT_THAT(Status().revision(), testing::Lt(100));
}

}  // namespace
}  // namespace insula::tenant_registry
