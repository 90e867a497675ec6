#include "libs/limits/active_series.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace insula::limits {
namespace {

constexpr size_t kFewestLines = 4;
// So many look-ups ahead a line is fetched.
constexpr size_t kAhead = 8;

// The lowest bit is not part of the hash, and 0 is no entry.
uint64_t EntryOf(uint64_t hash) {
  const uint64_t entry = hash & ~uint64_t{1};
  return entry == 0 ? 2 : entry;
}

}  // namespace

ActiveSeries::ActiveSeries(std::atomic<int64_t>* bytes, int64_t max_bytes)
    : bytes_(bytes), max_bytes_(max_bytes) {}

ActiveSeries::~ActiveSeries() {
  sync::MutexLock lock(&mutex_);
  bytes_->fetch_sub(static_cast<int64_t>(lines_.size() * sizeof(Line)));
}

void ActiveSeries::Touch(absl::Span<const uint64_t> hashes, uint64_t limit,
                         std::vector<size_t>* refused) {
  sync::MutexLock lock(&mutex_);
  if (lines_.empty() && !Resize(kFewestLines)) {
    uncounted_ += hashes.size();
    return;
  }
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (i + kAhead < hashes.size()) {
      __builtin_prefetch(&lines_[LineOf(EntryOf(hashes[i + kAhead]))], 1);
    }
    const uint64_t entry = EntryOf(hashes[i]);
    uint64_t* slot = Find(entry);
    if (*slot != 0) {
      // Only written if it changes: what is only read stays in the caches of
      // all processors.
      if ((*slot & 1) == 0) *slot |= 1;
      continue;
    }
    if (limit > 0 && count_ >= limit) {
      refused->push_back(i);
      continue;
    }
    if (!MakeRoom()) {
      ++uncounted_;
      continue;
    }
    slot = Find(entry);
    *slot = entry | 1;
    ++count_;
  }
}

void ActiveSeries::Rotate() {
  sync::MutexLock lock(&mutex_);
  uint64_t seen = 0;
  for (Line& line : lines_) {
    for (uint64_t& slot : line.slots) {
      // Those that were not seen lose their place only below: what stands
      // behind a full line is found by its being full.
      seen += slot & 1;
    }
  }
  if (seen == count_) {
    for (Line& line : lines_) {
      for (uint64_t& slot : line.slots) slot &= ~uint64_t{1};
    }
    return;
  }
  std::vector<Line> old = std::move(lines_);
  bytes_->fetch_sub(static_cast<int64_t>(old.size() * sizeof(Line)));
  lines_ = {};
  count_ = 0;
  if (seen == 0) return;
  // Never more than there was, so it fits, unless other tenants take the memory
  // at the same moment: then this one begins anew.
  size_t lines = old.size();
  while (lines > kFewestLines && seen * 2 <= lines / 2 * kSlots) lines /= 2;
  if (!Resize(lines)) return;
  for (const Line& line : old) {
    for (const uint64_t slot : line.slots) {
      if ((slot & 1) == 0) continue;
      const uint64_t entry = slot & ~uint64_t{1};
      *Find(entry) = entry;
      ++count_;
    }
  }
}

uint64_t ActiveSeries::count() const {
  sync::MutexLock lock(&mutex_);
  return count_;
}

uint64_t ActiveSeries::uncounted() const {
  sync::MutexLock lock(&mutex_);
  return uncounted_;
}

uint64_t* ActiveSeries::Find(uint64_t entry) {
  const size_t own = entry >> 1 & (kSlots - 1);
  for (size_t at = LineOf(entry);; at = (at + 1) & (lines_.size() - 1)) {
    uint64_t* const slots = lines_[at].slots;
    // Mostly it is in a slot of its own.
    if ((slots[own] | 1) == (entry | 1)) return &slots[own];
    // All eight are looked at, without a jump for each: nobody can foretell
    // which one it is.
    unsigned found = 0;
    unsigned empty = 0;
#pragma GCC unroll 8
    for (size_t i = 0; i < kSlots; ++i) {
      found |= static_cast<unsigned>((slots[i] | 1) == (entry | 1)) << i;
      empty |= static_cast<unsigned>(slots[i] == 0) << i;
    }
    if (found != 0) return &slots[std::countr_zero(found)];
    if ((empty >> own & 1) != 0) return &slots[own];
    if (empty != 0) return &slots[std::countr_zero(empty)];
  }
}

// Keeps a quarter empty.
bool ActiveSeries::MakeRoom() {
  if (count_ < lines_.size() * kSlots / 4 * 3) return true;
  return Resize(lines_.size() * 2);
}

bool ActiveSeries::Resize(size_t lines) {
  const int64_t more = static_cast<int64_t>(lines * sizeof(Line)) -
                       static_cast<int64_t>(lines_.size() * sizeof(Line));
  if (bytes_->fetch_add(more) + more > max_bytes_) {
    bytes_->fetch_sub(more);
    return false;
  }
  std::vector<Line> old(lines);
  old.swap(lines_);
  shift_ = 64 - std::countr_zero(lines);
  for (const Line& line : old) {
    for (const uint64_t slot : line.slots) {
      if (slot != 0) *Find(slot & ~uint64_t{1}) = slot;
    }
  }
  return true;
}

ActiveSeriesOfTenants::ActiveSeriesOfTenants(Options options)
    : options_(options) {}

std::shared_ptr<ActiveSeries> ActiveSeriesOfTenants::Get(absl::string_view uid,
                                                         absl::Time now) {
  sync::MutexLock lock(&mutex_);
  if (now >= swept_at_ + options_.window) Sweep(now);
  auto it = entries_.find(uid);
  if (it == entries_.end()) {
    it = entries_
             .emplace(std::string(uid), Entry{std::make_shared<ActiveSeries>(
                                                  &bytes_, options_.max_bytes),
                                              now})
             .first;
  }
  RotateIfDue(&it->second, now);
  return it->second.set;
}

uint64_t ActiveSeriesOfTenants::CountOf(absl::string_view uid, absl::Time now) {
  sync::MutexLock lock(&mutex_);
  const auto it = entries_.find(uid);
  if (it == entries_.end()) return 0;
  RotateIfDue(&it->second, now);
  return it->second.set->count();
}

std::map<std::string, uint64_t> ActiveSeriesOfTenants::Counts(absl::Time now) {
  std::map<std::string, uint64_t> counts;
  sync::MutexLock lock(&mutex_);
  Sweep(now);
  for (const auto& [uid, entry] : entries_) {
    const uint64_t count = entry.set->count();
    if (count > 0) counts[uid] = count;
  }
  return counts;
}

uint64_t ActiveSeriesOfTenants::uncounted() const {
  sync::MutexLock lock(&mutex_);
  uint64_t sum = uncounted_of_gone_;
  for (const auto& [uid, entry] : entries_) sum += entry.set->uncounted();
  return sum;
}

void ActiveSeriesOfTenants::RotateIfDue(Entry* entry, absl::Time now) const {
  // After the second rotation nothing is left to forget.
  for (int i = 0; i < 2 && now >= entry->rotated_at + options_.window; ++i) {
    entry->set->Rotate();
    entry->rotated_at += options_.window;
  }
  if (now >= entry->rotated_at + options_.window) entry->rotated_at = now;
}

// Tenants without active series are forgotten, unless a request is at work on
// them.
void ActiveSeriesOfTenants::Sweep(absl::Time now) {
  swept_at_ = now;
  for (auto it = entries_.begin(); it != entries_.end();) {
    RotateIfDue(&it->second, now);
    const std::shared_ptr<ActiveSeries>& set = it->second.set;
    if (set.use_count() > 1 || set->count() > 0) {
      ++it;
      continue;
    }
    uncounted_of_gone_ += set->uncounted();
    entries_.erase(it++);
  }
}

}  // namespace insula::limits
