// Against a registry that keeps one change in 17 from those who watch: the test
// of watch_property_test finds it.
#include <iostream>

#include "services/tenant_registry/watch_property.h"

namespace insula::tenant_registry {
namespace {

using ::testing::HasSubstr;

TEST(WatchPropertyBrokenTest, AChangeThatIsNotPublishedIsFound) {
  auto as_it_is = [](std::unique_ptr<Store> store) { return store; };
  const WatchSteps steps = MakeSteps(1, 150);
  const absl::Status status = RunSteps(steps, as_it_is);
  ASSERT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is missing"));
  std::cout << status.message() << "\n";
}

}  // namespace
}  // namespace insula::tenant_registry
