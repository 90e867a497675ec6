#include "libs/labels/compiled_regexes.h"

#include <utility>

namespace insula::labels {

CompiledRegexes& CompiledRegexes::Global() {
  // Never freed: threads may match until the very end of the process.
  static auto& regexes = *new CompiledRegexes;
  return regexes;
}

CompiledRegexes::Compiled CompiledRegexes::Find(absl::string_view pattern) {
  sync::MutexLock lock(&mutex_);
  const auto found = kept_.find(pattern);
  return found == kept_.end() ? Compiled() : found->second;
}

void CompiledRegexes::Keep(absl::string_view pattern, Compiled compiled) {
  Compiled oldest;  // Freed without the lock.
  sync::MutexLock lock(&mutex_);
  const auto [kept, added] = kept_.try_emplace(pattern, std::move(compiled));
  if (!added) return;
  if (const auto old = kept_.find(patterns_[next_]);
      old != kept_.end() && old->first != pattern) {
    oldest = std::move(old->second);
    kept_.erase(old);
  }
  patterns_[next_] = std::string(pattern);
  next_ = (next_ + 1) % kMost;
}

}  // namespace insula::labels
