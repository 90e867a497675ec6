#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/kube/cluster.h"
#include "libs/status/status_matchers.h"

namespace insula::kube {
namespace {

using testing::HasSubstr;

class ClusterTest : public testing::Test {
 protected:
  ClusterTest() {
    std::string pattern = testing::TempDir() + "insula-kube-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~ClusterTest() override {
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    std::filesystem::remove_all(directory_);
  }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  // A kubeconfig with these lines of its cluster and of its user.
  absl::StatusOr<Cluster> Read(const std::string& cluster,
                               const std::string& user,
                               const std::string& context = "") {
    return ReadKubeconfig(
        Write("config", absl::StrCat("apiVersion: v1\nkind: Config\n"
                                     "current-context: one\ncontexts:\n"
                                     "- name: one\n  context: {cluster: c, "
                                     "user: u, namespace: home}\n"
                                     "- name: two\n  context: {cluster: c}\n"
                                     "- name: bad\n  context: {cluster: no}\n"
                                     "clusters:\n- name: c\n  cluster: {",
                                     cluster, "}\nusers:\n- name: u\n  user: {",
                                     user, "}\n")),
        context);
  }

  std::string directory_;
};

constexpr char kServer[] = "server: 'https://k8s.example:6443'";

TEST_F(ClusterTest, ReadsTheCurrentContextOfAKubeconfig) {
  const auto cluster = Read(
      absl::StrCat(kServer, ", certificate-authority: ca.pem, ",
                   "tls-server-name: other"),
      "tokenFile: /run/token, client-certificate: a.pem, client-key: /b.pem");
  ASSERT_THAT(cluster, IsOk());
  EXPECT_EQ(cluster->server.ToString(), "https://k8s.example:6443/");
  EXPECT_EQ(cluster->tls.ca_file, directory_ + "/ca.pem");
  EXPECT_EQ(cluster->tls.server_name, "other");
  EXPECT_EQ(cluster->tls.cert_file, directory_ + "/a.pem");
  EXPECT_EQ(cluster->tls.key_file, "/b.pem");
  EXPECT_EQ(cluster->token_file, "/run/token");
  EXPECT_EQ(cluster->namespace_name, "home");
}

TEST_F(ClusterTest, ReadsDataThatStandsInAKubeconfig) {
  const auto cluster = Read(
      absl::StrCat(kServer,
                   ", certificate-authority-data: ", absl::Base64Escape("CA")),
      absl::StrCat(
          "token: t, client-certificate-data: ", absl::Base64Escape("C"),
          ", client-key-data: ", absl::Base64Escape("K")));
  ASSERT_THAT(cluster, IsOk());
  EXPECT_EQ(cluster->tls.ca_pem, "CA");
  EXPECT_EQ(cluster->tls.cert_pem, "C");
  EXPECT_EQ(cluster->tls.key_pem, "K");
  EXPECT_EQ(cluster->token, "t");
}

TEST_F(ClusterTest, TakesAContextByName) {
  const auto cluster = Read(kServer, "exec: {command: x}", "two");
  ASSERT_THAT(cluster, IsOk());
  EXPECT_EQ(cluster->token, "");
  EXPECT_EQ(cluster->namespace_name, "default");
  EXPECT_THAT(Read(kServer, "", "three"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("contexts: none is called 'three'")));
  EXPECT_THAT(Read(kServer, "", "bad"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("clusters: none is called 'no'")));
}

TEST_F(ClusterTest, RefusesWhatItDoesNotDo) {
  const std::string server = kServer;
  const struct {
    std::string cluster, user;
    absl::StatusCode code;
    std::string message;
  } table[] = {
      {server + ", insecure-skip-tls-verify: true", "",
       absl::StatusCode::kUnimplemented, "insecure-skip-tls-verify"},
      {server + ", proxy-url: 'http://p'", "", absl::StatusCode::kUnimplemented,
       "proxy-url"},
      {server, "exec: {command: x}", absl::StatusCode::kUnimplemented, "exec"},
      {server, "auth-provider: {name: x}", absl::StatusCode::kUnimplemented,
       "auth-provider"},
      {server, "username: a, password: b", absl::StatusCode::kUnimplemented,
       "username"},
      {server, "token: t, as: admin", absl::StatusCode::kUnimplemented,
       "user 'u': as is not"},
      {server, "client-certificate: a.pem", absl::StatusCode::kInvalidArgument,
       "client-key"},
      {server + ", certificate-authority-data: '%%%'", "",
       absl::StatusCode::kInvalidArgument, "not base64"},
      {"server: 'k8s:6443'", "", absl::StatusCode::kInvalidArgument, "server"},
      {"", "", absl::StatusCode::kInvalidArgument, "server"},
      {"server: 'http://10.1.1.1'", "token: t",
       absl::StatusCode::kInvalidArgument, "in the clear"},
  };
  for (const auto& row : table) {
    EXPECT_THAT(Read(row.cluster, row.user),
                StatusIs(row.code, HasSubstr(row.message)))
        << row.cluster << " " << row.user;
  }
  EXPECT_THAT(Read(server + ", insecure-skip-tls-verify: false", ""), IsOk());
  EXPECT_THAT(Read("server: 'http://127.0.0.1:8001'", "token: t"), IsOk());
}

TEST_F(ClusterTest, SaysWhatIsWrongWithAFile) {
  for (const char* text : {"", "[1, 2]", "{a", "- : :\n\t", "contexts: 7"}) {
    EXPECT_THAT(ReadKubeconfig(Write("config", text)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(directory_ + "/config: ")))
        << text;
  }
  EXPECT_THAT(ReadKubeconfig(directory_ + "/none"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClusterTest, FindsTheClusterOfAPod) {
  EXPECT_THAT(InCluster(directory_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("kubeconfig")));
  setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
  Write("ca.crt", "CA");
  Write("namespace", "home\n");
  EXPECT_THAT(InCluster(directory_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/token")));
  Write("token", "t");
  const auto cluster = InCluster(directory_);
  ASSERT_THAT(cluster, IsOk());
  EXPECT_EQ(cluster->server.ToString(), "https://[fd00::1]:6443/");
  EXPECT_EQ(cluster->token_file, directory_ + "/token");
  EXPECT_EQ(cluster->tls.ca_file, directory_ + "/ca.crt");
  EXPECT_EQ(cluster->namespace_name, "home");
}

}  // namespace
}  // namespace insula::kube
