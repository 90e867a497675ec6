#include "services/federation_pusher/token_file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "services/federation_pusher/run.h"

namespace insula::federation_pusher {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TokenFileTest : public testing::Test {
 protected:
  TokenFileTest() {
    const int fd = mkstemp(path_);
    EXPECT_GE(fd, 0);
    close(fd);
  }
  ~TokenFileTest() override { unlink(path_); }

  absl::StatusOr<std::string> Read(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return ReadTokenFile(path_);
  }

  char path_[64] = "/tmp/insula-token-file-test.XXXXXX";
};

TEST_F(TokenFileTest, TakesWhiteSpaceOff) {
  EXPECT_EQ(Read("secret\n").value(), "secret");
  EXPECT_EQ(Read("  other \r\n").value(), "other");
}

TEST_F(TokenFileTest, RefusesWhatIsNoTokenWithoutShowingIt) {
  for (const std::string& text :
       {std::string(), std::string(" \n"), std::string("se cret"),
        std::string("secret\nsecret"), std::string("secr\xc3\xa9t"),
        std::string("secret\0", 7), std::string(17 << 10, 's')}) {
    const auto token = Read(text);
    EXPECT_EQ(ResultOf(token.status()), Result::kGatewayToken);
    EXPECT_THAT(std::string(token.status().message()),
                AllOf(HasSubstr(path_), Not(HasSubstr("secr"))));
  }
}

TEST_F(TokenFileTest, SaysWhatFileIsMissing) {
  const auto token = ReadTokenFile("/no/such/file");
  EXPECT_EQ(ResultOf(token.status()), Result::kGatewayToken);
  EXPECT_THAT(std::string(token.status().message()),
              AllOf(HasSubstr("gateway.token_file '/no/such/file'"),
                    HasSubstr("No such file")));
}

TEST_F(TokenFileTest, ADirectoryIsNoToken) {
  EXPECT_EQ(ResultOf(ReadTokenFile("/tmp").status()), Result::kGatewayToken);
}

}  // namespace
}  // namespace insula::federation_pusher
