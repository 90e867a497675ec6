#include "libs/limits/deletion_brake.h"

namespace insula::limits {
namespace {

constexpr size_t kFewDeletions = 10;

}  // namespace

bool TooManyDeletions(size_t vanished, size_t present, int max_percent) {
  return vanished > kFewDeletions &&
         vanished * 100 > present * static_cast<size_t>(max_percent);
}

}  // namespace insula::limits
