#include "libs/remote_write/refusal_list.h"

#include <algorithm>
#include <string>

namespace insula::remote_write {

void RefusalList::Add(const Destination* destination, Reason reason,
                      absl::string_view example, const Counts& counts) {
  const auto [at, added] =
      index_of_.try_emplace({destination, reason}, entries_.size());
  if (added) entries_.push_back({destination, reason, {}, {}});
  Refused& entry = entries_[at->second];
  entry.counts += counts;
  if (example.empty() || entry.examples.size() == Refused::kMaxExamples) return;
  const absl::string_view text = example.substr(0, Refused::kMaxExampleBytes);
  if (std::find(entry.examples.begin(), entry.examples.end(), text) ==
      entry.examples.end()) {
    entry.examples.emplace_back(text);
  }
}

}  // namespace insula::remote_write
