#include "libs/status/status_macros.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "libs/status/annotate.h"
#include "libs/status/status_matchers.h"

namespace insula {
namespace {

absl::StatusOr<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(value / 2);
}

absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(value));
  ASSIGN_OR_RETURN(const std::unique_ptr<int> quarter, Half(*half));
  return *quarter;
}

absl::Status Check(int value) {
  RETURN_IF_ERROR(Quarter(value).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, PassValuesOnAndReturnTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "odd"));
  EXPECT_THAT(Check(8), IsOk());
  EXPECT_THAT(Check(7), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(AnnotateTest, PrefixesErrorsAndLeavesOkAlone) {
  EXPECT_EQ(Annotate(absl::NotFoundError("no file"), "loading acme"),
            absl::NotFoundError("loading acme: no file"));
  EXPECT_THAT(Annotate(absl::OkStatus(), "loading acme"), IsOk());
}

}  // namespace
}  // namespace insula
