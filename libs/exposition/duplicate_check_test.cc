#include "libs/exposition/duplicate_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/exposition/recorder.h"
#include "libs/exposition/text_parser.h"
#include "libs/status/status_matchers.h"

namespace insula::exposition {
namespace {

using testing::HasSubstr;

absl::Status Check(absl::string_view text, size_t max_samples = 1000) {
  Recorder recorder;
  DuplicateCheck unique(max_samples, &recorder);
  TextParser parser({}, &unique);
  return parser.Feed(text);
}

TEST(DuplicateCheckTest, RefusesASeriesThatComesTwice) {
  for (const char* text : {
           "a 1\na 2\n",
           "a 1\nb 1\na{} 1\n",
           "a{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n",
           "a{b=\"1\",c=\"\"} 1\na{b=\"1\"} 1\n",
           "a 1 5\na 2 5\n",
       }) {
    EXPECT_THAT(Check(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a second sample of the same series")))
        << text;
  }
}

TEST(DuplicateCheckTest, PassesSeriesThatOnlyLookAlike) {
  EXPECT_THAT(Check("a 1\nb 1\n"
                    "a{b=\"1\"} 1\na{b=\"2\"} 1\na{c=\"1\"} 1\n"
                    "a{b=\"1\",c=\"2\"} 1\na{b=\"2\",c=\"1\"} 1\n"
                    "ab{c=\"d\"} 1\na{bc=\"d\"} 1\na{b=\"cd\"} 1\n"
                    "a 1 5\na 1 6\n"),
              IsOk());
}

TEST(DuplicateCheckTest, HandsOnWhatItTakes) {
  Recorder recorder;
  DuplicateCheck unique(1000, &recorder);
  TextParser parser({.format = Format::kOpenMetrics}, &unique);
  EXPECT_THAT(parser.Feed("# TYPE a_b gauge\n# HELP a_b c\n# UNIT a_b b\n"
                          "a_b 1\n# EOF\n"),
              IsOk());
  EXPECT_THAT(recorder.calls(),
              testing::ElementsAre("TYPE a_b gauge", "HELP a_b c", "UNIT a_b b",
                                   "a_b{} 3ff0000000000000"));
}

TEST(DuplicateCheckTest, BoundsItsMemory) {
  EXPECT_THAT(Check("a 1\nb 1\n", 2), IsOk());
  EXPECT_THAT(Check("a 1\nb 1\nc 1\n", 2),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "line 3: more samples than the limit of 2"));
}

}  // namespace
}  // namespace insula::exposition
