#include "libs/remote_write/series_memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "libs/remote_write/series_hash.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

// An entry of the index: bits of the key, and one more than the number of the
// series.
constexpr uint32_t kNumberMask = SeriesMemory::kMaxSeries;

// How many bytes at the end of the labels are not part of the key: none, but
// for the fault that tools/fuzz --planted must find.
#ifdef INSULA_PLANT_OFF_BY_ONE
constexpr size_t kUnkeyed = 1;
#else
constexpr size_t kUnkeyed = 0;
#endif

// The sizes of a sample with a time of six bytes, of which the last five have
// the high bit: with a value, and without one, which is how 0 is sent.
constexpr size_t kSampleBytes = 18;
constexpr size_t kZeroSampleBytes = 9;

uint64_t Load64(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// Where the labels of a series end if it is labels and then one sample; that it
// begins with labels up to there is not looked at. 0: it is something else.
size_t EndOfLabels(absl::string_view message) {
  if (std::endian::native != std::endian::little) return 0;
  const size_t size = message.size();
  if (size < kMinBlockBytes + kUnkeyed + kSampleBytes) return 0;
  const char* const end = message.data() + size;
  // `10 <varint>`.
  if ((Load64(end - 8) & 0x808080808080ff00) != 0x0080808080801000) return 0;
  // `12 10 09 <8 bytes>` before it, or `12 07`.
  if ((Load64(end - kSampleBytes) & 0xffffff) == 0x091012) {
    return size - kSampleBytes;
  }
  if ((Load64(end - kZeroSampleBytes) & 0xffff) == 0x0712) {
    return size - kZeroSampleBytes;
  }
  return 0;
}

void AppendAll(absl::Span<const absl::string_view> texts, std::string* out) {
  for (const absl::string_view text : texts) AppendBytesField(1, text, out);
}

bool AreEqual(absl::Span<const std::string> a,
              absl::Span<const std::string> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

SeriesMemory::~SeriesMemory() {
  if (budget_ != nullptr) budget_->Take(-static_cast<int64_t>(bytes()));
}

void SeriesMemory::Start(NameScheme scheme,
                         absl::Span<const std::string> deciding,
                         absl::Span<const std::string> removed) {
  generation_ = 0;
  any_combination_ = false;
  end_ = 0;
  plan_ = nullptr;
  if (budget_ == nullptr) return;
  if ((full_ || plans_left_out_) && looked_up_ >= kSeriesBetweenResets) Reset();
  for (Plan& plan : plans_) {
    if (plan.scheme == scheme && AreEqual(plan.deciding, deciding) &&
        AreEqual(plan.removed, removed)) {
      plan_ = &plan;
      return;
    }
  }
  if (plans_.size() == kMaxPlans) {
    plans_left_out_ = true;
    return;
  }
  plan_ = &plans_.emplace_back();
  plan_->scheme = scheme;
  plan_->deciding.assign(deciding.begin(), deciding.end());
  plan_->removed.assign(removed.begin(), removed.end());
  plan_->salt = RandomSalt();
}

const SeriesMemory::Series* SeriesMemory::Find(absl::string_view message) {
  end_ = 0;
  if (plan_ == nullptr) return nullptr;
  const size_t end = EndOfLabels(message);
  if (end == 0 || end > kMaxBlockBytes) return nullptr;
  if (is_hopeless() && ++turn_ % kTurn != 0) return nullptr;
  ++looked_up_;
  end_ = end;
  key_ = HashOfBlock(message.substr(0, end - kUnkeyed)) + plan_->salt;
  if (next_ < series_.size() && series_[next_].key == key_ &&
      series_[next_].end == end) {
    misses_ = 0;
    return &series_[next_++];
  }
  const Series* const found = LookUp();
  misses_ = found == nullptr ? misses_ + 1 : 0;
  return found;
}

const SeriesMemory::Series* SeriesMemory::LookUp() {
  if (series_.empty()) return nullptr;
  const Place place = PlaceOf(key_);
  for (size_t i = 0; i < kWindow; ++i) {
    const uint32_t entry = place.slots[i];
    if (entry == 0 || (entry & ~kNumberMask) != place.tag) continue;
    const size_t at = (entry & kNumberMask) - 1;
    if (series_[at].key != key_ || series_[at].end != end_) continue;
    next_ = at + 1;
    return &series_[at];
  }
  return nullptr;
}

SeriesMemory::Place SeriesMemory::PlaceOf(const absl::uint128& key) {
  const uint64_t mixed = (absl::Uint128Low64(key) ^ absl::Uint128High64(key)) *
                         0x9e3779b97f4a7c15u;
  const uint64_t slots = index_.size() - kWindow + 1;
  return {&index_[absl::Uint128High64(absl::uint128(mixed) * slots)],
          static_cast<uint32_t>(mixed) & ~kNumberMask};
}

void SeriesMemory::Remember(const SeriesReader& reader,
                            absl::Span<const absl::string_view> values) {
  // What looks like a sample may be part of a label.
  if (end_ == 0 || reader.block_size() != end_) return;
  size_t at;
  if (!MakeRoom(&at)) return;
  Series& series = series_[at];
  series.end = 0;  // Known by no message, until all is there.
  if (!InternNames(reader, &series.names) ||
      !InternCombination(values, &series.combination)) {
    return;
  }
  series.key = key_;
  series.hash = reader.hash();
  series.end = static_cast<uint16_t>(end_);
  size_t longest = 0;
  for (const SeriesLabel& label : reader.labels()) {
    longest = std::max(longest, label.value.size());
  }
  series.longest_value = static_cast<uint16_t>(longest);
  AddToIndex(at);
}

bool SeriesMemory::MakeRoom(size_t* at) {
  if (full_) return false;
  if (series_.size() < room_ || Grow()) {
    *at = series_.size();
    series_.emplace_back();
    return true;
  }
  no_room_ = true;
  if (room_ == 0 || (!is_hopeless() && ++turn_ % kTurn != 0)) return false;
  *at = hand_;
  hand_ = (hand_ + 1) % room_;
  uint32_t* const slots = PlaceOf(series_[*at].key).slots;
  for (size_t i = 0; i < kWindow; ++i) {
    if ((slots[i] & kNumberMask) == *at + 1) slots[i] = 0;
  }
  return true;
}

void SeriesMemory::AddToIndex(size_t at) {
  const Place place = PlaceOf(series_[at].key);
  uint32_t* slot = std::find(place.slots, place.slots + kWindow, 0u);
  // Another one is not found any more, unless it is the one expected.
  if (slot == place.slots + kWindow) slot = &place.slots[at % kWindow];
  *slot = place.tag | static_cast<uint32_t>(at + 1);
}

bool SeriesMemory::Grow() {
  const size_t room = std::max(kFewest, 2 * room_);
  if (room > kMaxSeries ||
      !budget_->Take(static_cast<int64_t>((room - room_) * kBytesOfSeries))) {
    return false;
  }
  room_ = room;
  series_.reserve(room);
  index_.assign(room * kSlotsOfSeries, 0);
  for (size_t i = 0; i < series_.size(); ++i) AddToIndex(i);
  return true;
}

void SeriesMemory::Reset() {
  budget_->Take(-static_cast<int64_t>(bytes()));
  series_ = {};
  index_ = {};
  room_ = 0;
  next_ = 0;
  hand_ = 0;
  looked_up_ = 0;
  misses_ = 0;
  no_room_ = false;
  plans_.clear();
  names_ = 0;
  combinations_ = 0;
  interned_bytes_ = 0;
  full_ = false;
  plans_left_out_ = false;
}

bool SeriesMemory::TakeInterned(size_t bytes) {
  if (interned_bytes_ + bytes > kMaxInternedBytes) {
    full_ = true;
    return false;
  }
  interned_bytes_ += bytes;
  return true;
}

bool SeriesMemory::InternNames(const SeriesReader& reader, uint16_t* id) {
  // Neighbours mostly have the same names.
  const SeriesNames& found = reader.names();
  if (generation_ != found.generation) {
    std::string key;
    for (const SeriesLabel& label : reader.labels()) {
      AppendBytesField(1, label.name, &key);
    }
    auto it = plan_->names_ids.find(key);
    if (it == plan_->names_ids.end()) {
      constexpr size_t kBytesOfName = sizeof(std::string);
      if (names_ == kMaxNames) full_ = true;
      if (full_ || !TakeInterned(2 * key.size() + sizeof(Names) +
                                 kBytesOfName * reader.labels().size())) {
        return false;
      }
      auto names = std::make_unique<Names>();
      for (const SeriesLabel& label : reader.labels()) {
        names->names.emplace_back(label.name);
      }
      names->removed = found.removed;
      names->longest = found.longest;
      plan_->names.push_back(std::move(names));
      ++names_;
      it = plan_->names_ids
               .emplace(std::move(key),
                        static_cast<uint16_t>(plan_->names.size() - 1))
               .first;
    }
    generation_ = found.generation;
    names_id_ = it->second;
  }
  *id = names_id_;
  return true;
}

bool SeriesMemory::InternCombination(absl::Span<const absl::string_view> values,
                                     uint16_t* id) {
  const auto is_last = [&] {
    const auto last = combination(combination_id_);
    return std::equal(last.begin(), last.end(), values.begin(), values.end());
  };
  if (!any_combination_ || !is_last()) {
    std::string key;
    AppendAll(values, &key);
    auto it = plan_->combination_ids.find(key);
    if (it == plan_->combination_ids.end()) {
      if (combinations_ == kMaxCombinations) full_ = true;
      if (full_ || !TakeInterned(2 * key.size() +
                                 sizeof(std::string) * (1 + values.size()))) {
        return false;
      }
      plan_->combinations.emplace_back(values.begin(), values.end());
      ++combinations_;
      it = plan_->combination_ids
               .emplace(std::move(key),
                        static_cast<uint16_t>(plan_->combinations.size() - 1))
               .first;
    }
    combination_id_ = it->second;
    any_combination_ = true;
  }
  *id = combination_id_;
  return true;
}

uint64_t KnownSeries::hash_of(size_t i) const { return HashOfLabel(raw(i)); }

size_t KnownSeries::LongField() const {
  const char* const begin = message_.data() + begin_;
  const char* const end = message_.data() + facts_->end;
  const char* p = begin + 1;
  uint64_t size = 0;
  if (!ReadVarint(&p, end, &size) || size > facts_->end) return facts_->end;
  return static_cast<size_t>(p - begin) + size;
}

}  // namespace insula::remote_write
