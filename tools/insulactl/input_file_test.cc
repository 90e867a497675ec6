#include "tools/insulactl/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "libs/status/status_matchers.h"

namespace insula::insulactl {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

absl::StatusOr<std::string> Token(const std::string& text) {
  std::istringstream in(text);
  return ReadToken("-", &in);
}

TEST(ReadTokenTest, TakesWhatIsBetweenWhiteSpace) {
  const std::string longest(16 << 10, 't');
  EXPECT_EQ(Token("\n token-1 \r\n").value_or("refused"), "token-1");
  EXPECT_EQ(Token(longest).value_or("refused"), longest);
}

TEST(ReadTokenTest, RefusesWhatIsNotOneTokenWithoutShowingIt) {
  const std::string too_long((16 << 10) + 1, 't');
  for (const std::string& text :
       {std::string(), std::string(" \n"), std::string("secret words"),
        std::string("secret\nlines"), std::string("secret\0", 7),
        std::string("secr\xc3\xa9t"), too_long}) {
    EXPECT_THAT(Token(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("stdin: must hold one token"),
                               Not(HasSubstr("secr")))))
        << testing::PrintToString(text);
  }
}

TEST(ReadTokenTest, SaysWhyAFileCantBeOpened) {
  std::istringstream in;
  EXPECT_THAT(ReadToken("/no/such/token", &in),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/no/such/token: can't be opened")));
}

}  // namespace
}  // namespace insula::insulactl
