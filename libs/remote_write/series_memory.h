// What was found out about a series, kept for when it is sent again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/series.h"

namespace insula::remote_write {

// How much memory all SeriesMemory together may take. Thread-safe; outlives
// them.
class SeriesMemoryBudget {
 public:
  // 0: nothing is remembered.
  explicit SeriesMemoryBudget(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes `bytes`, or gives them back if they are negative. False, and nothing
  // is taken, if that is too much.
  bool Take(int64_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= max_bytes_ || bytes <= 0) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const int64_t max_bytes_;
  std::atomic<int64_t> used_ = 0;
};

// Senders send the same series again and again, with other samples. What is
// known of one follows from the bytes of its labels alone; so it is found by a
// hash of those (HashOfBlock()), and neither read nor checked again. Only
// series without any fault are remembered, whose labels come first and are
// followed by one sample of the usual form, and nothing else.
//
// What a tenant may send, its limits and its destinations are not remembered:
// they follow from these facts, at each request.
//
// They are kept in the order in which they came, as they mostly come in the
// same order again: then the one behind the last is the next, and memory is
// read from its begin to its end, which is what makes this fast.
//
// Takes what the budget leaves, in a list of series and an index, which begin
// small and double; and lists of label names and combinations of values, up to
// kMaxInternedBytes. When there is no room left, one in kTurn new series takes
// the place of another; and after kPatience series that were all new only one
// in kTurn is looked up until one is known again, so that who sends nothing but
// new series is not served slower for it. When the lists are full nothing new
// is learned, and nothing of more than kMaxPlans plans, until all is forgotten,
// which is done at most once in kSeriesBetweenResets series. Not thread-safe.
//
//   memory.Start(scheme, deciding, removed);
//   if (const auto* known = memory.Find(message)) { ... }
//   else if (series.Read(message) && ...) memory.Remember(series, values);
class SeriesMemory {
 public:
  static constexpr size_t kMaxSeries = (1 << 21) - 1;
  static constexpr size_t kMaxInternedBytes = 4 << 20;
  static constexpr size_t kMaxNames = 8192;          // Lists, of all plans.
  static constexpr size_t kMaxCombinations = 16384;  // Of all plans.
  static constexpr size_t kMaxPlans = 32;
  static constexpr int64_t kSeriesBetweenResets = 1 << 24;
  static constexpr uint32_t kTurn = 8;
  static constexpr uint32_t kPatience = 64;

  // A list of label names, sorted, without duplicates, all valid.
  struct Names {
    std::vector<std::string> names;
    std::vector<size_t> removed;  // Indexes of those to remove, ascending.
    size_t longest = 0;
  };

  // What is known of a series.
  struct alignas(32) Series {
    absl::uint128 key = 0;       // Of the label fields.
    uint64_t hash = 0;           // SeriesReader::hash().
    uint16_t end = 0;            // Where the labels end; 0: there is no series.
    uint16_t names = 0;          // See names().
    uint16_t combination = 0;    // See combination().
    uint16_t longest_value = 0;  // Bytes.
  };

  // Without a budget nothing is remembered.
  explicit SeriesMemory(SeriesMemoryBudget* budget) : budget_(budget) {}
  ~SeriesMemory();
  SeriesMemory(const SeriesMemory&) = delete;
  SeriesMemory& operator=(const SeriesMemory&) = delete;

  // Before a request: what series are looked at with, as in
  // SeriesReader::Start(). Another plan has a memory of its own.
  void Start(NameScheme scheme, absl::Span<const std::string> deciding,
             absl::Span<const std::string> removed);

  // What is known of the series of a TimeSeries message, null if nothing. Good
  // until the next call.
  const Series* Find(absl::string_view message);

  // Remembers the series that Find() was asked for last, and which `reader` has
  // read and found without fault; `values` are those of the deciding labels.
  void Remember(const SeriesReader& reader,
                absl::Span<const absl::string_view> values);

  // Good until Start().
  const Names& names(uint16_t id) const { return *plan_->names[id]; }
  absl::Span<const std::string> combination(uint16_t id) const {
    return plan_->combinations[id];
  }

  // Of the series and the index.
  size_t bytes() const { return room_ * kBytesOfSeries; }

 private:
  // What holds for one choice of scheme, deciding and removed labels.
  struct Plan {
    NameScheme scheme;
    std::vector<std::string> deciding;
    std::vector<std::string> removed;
    absl::uint128 salt;  // Added to keys, so that no other plan's are found.
    std::vector<std::unique_ptr<const Names>> names;
    std::deque<std::vector<std::string>> combinations;
    absl::flat_hash_map<std::string, uint16_t> names_ids;
    absl::flat_hash_map<std::string, uint16_t> combination_ids;
  };

  static constexpr size_t kFewest = 64;
  // In the index a series is in one of kWindow slots; half of all are free.
  static constexpr size_t kSlotsOfSeries = 2;
  static constexpr size_t kWindow = 8;
  static constexpr size_t kBytesOfSeries =
      sizeof(Series) + kSlotsOfSeries * sizeof(uint32_t);

  // The slots of a key, and what the entry of a series there is.
  struct Place {
    uint32_t* slots;
    uint32_t tag;
  };
  Place PlaceOf(const absl::uint128& key);
  const Series* LookUp();
  bool is_hopeless() const { return no_room_ && misses_ >= kPatience; }
  void AddToIndex(size_t at);
  // Where a new series goes in series_; false: nowhere.
  bool MakeRoom(size_t* at);
  bool Grow();
  void Reset();
  bool InternNames(const SeriesReader& reader, uint16_t* id);
  bool InternCombination(absl::Span<const absl::string_view> values,
                         uint16_t* id);
  bool TakeInterned(size_t bytes);

  SeriesMemoryBudget* const budget_;
  std::vector<Series> series_;   // In the order they came.
  std::vector<uint32_t> index_;  // 0: a free slot.
  size_t room_ = 0;              // For series.
  size_t next_ = 0;              // The one that is expected.
  size_t hand_ = 0;              // The one that gives way next.
  uint32_t turn_ = 0;
  uint32_t misses_ = 0;  // In a row.
  bool no_room_ = false;
  int64_t looked_up_ = 0;  // Since the last reset.

  std::deque<Plan> plans_;
  Plan* plan_ = nullptr;  // Null: nothing can be remembered.
  size_t names_ = 0;      // Of all plans.
  size_t combinations_ = 0;
  size_t interned_bytes_ = 0;
  bool full_ = false;            // Of the lists one is.
  bool plans_left_out_ = false;  // There were more than kMaxPlans.

  // What Find() was asked for last.
  absl::uint128 key_ = 0;
  size_t end_ = 0;  // 0: it can't be remembered.
  // The last that was interned.
  uint64_t generation_ = 0;  // Of the reader's names.
  uint16_t names_id_ = 0;
  uint16_t combination_id_ = 0;
  bool any_combination_ = false;
};

// A series that is known: as SeriesReader of one that was read, as far as it
// goes. Where labels are is found out only when it is asked for.
class KnownSeries {
 public:
  // All of them outlive it.
  void Set(absl::string_view message, const SeriesMemory::Series* facts,
           const SeriesMemory::Names* names) {
    message_ = message;
    facts_ = facts;
    names_ = names;
    index_ = 0;
    begin_ = 0;
  }

  const SeriesMemory::Series& facts() const { return *facts_; }
  const SeriesMemory::Names& names() const { return *names_; }
  size_t label_count() const { return names_->names.size(); }
  uint64_t hash() const { return facts_->hash; }
  size_t begin_of(size_t i) const {
    if (i < index_) index_ = begin_ = 0;
    while (index_ < i) Pass();
    return begin_;
  }
  size_t end_of(size_t i) const {
    return i + 1 == label_count() ? facts_->end : begin_of(i + 1);
  }
  // The whole field of a label.
  absl::string_view raw(size_t i) const {
    const size_t begin = begin_of(i);
    return message_.substr(begin, end_of(i) - begin);
  }
  uint64_t hash_of(size_t i) const;

 private:
  // Goes on to the next label: each was read before, and so is
  // `0a <size> <bytes>`, one behind the other. Something else is there only if
  // hashes collide: not even then is there a read beyond the labels.
  void Pass() const {
    ++index_;
    const size_t left = facts_->end - begin_;
    if (left < 2) return;
    const auto size = static_cast<uint8_t>(message_[begin_ + 1]);
    begin_ += std::min(left, size < 0x80 ? size + size_t{2} : LongField());
  }
  // The size of the field at begin_.
  size_t LongField() const;

  absl::string_view message_;
  const SeriesMemory::Series* facts_ = nullptr;
  const SeriesMemory::Names* names_ = nullptr;
  // The label that was looked at last, and where it begins: mostly the next one
  // that is asked for stands behind it.
  mutable size_t index_ = 0;
  mutable size_t begin_ = 0;
};

}  // namespace insula::remote_write
