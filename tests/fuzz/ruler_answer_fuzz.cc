// Answers of rulers: never an empty one out of a broken one.

#include "absl/status/status.h"
#include "libs/rules/ruler_answer.h"
#include "libs/rules/write.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

FUZZ_TARGET(ruler_answer) {
  const auto answer = rules::ParseRulerAnswer(
      input, {.max_bytes = 64 << 10, .max_nodes = 5000});
  if (!answer.ok()) {
    FUZZ_CHECK(answer.status().code() == absl::StatusCode::kInvalidArgument,
               answer.status().ToString());
    return;
  }
  // The braces at least.
  if (answer->empty()) {
    FUZZ_CHECK(input.find('{') != absl::string_view::npos, input);
  }
  for (const auto& [name, groups] : *answer) {
    for (const rules::Group& group : groups) {
      FUZZ_CHECK(!group.name.empty(), name);
      FUZZ_CHECK(rules::Digest(group).size() == 64, group.name);
    }
  }
}

}  // namespace
}  // namespace insula
