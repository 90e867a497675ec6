#include "libs/remote_write/histogram.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

constexpr int32_t kCustomBuckets = -53;

int64_t ZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

double ReadDouble(const char* p) {
  uint64_t bits = 0;
  for (int i = 7; i >= 0; --i) bits = bits << 8 | static_cast<uint8_t>(p[i]);
  return std::bit_cast<double>(bits);
}

// Calls `take(uint64_t)` for each value of a repeated varint field, packed or
// not.
template <typename Take>
void ForEachVarint(const WireField& field, Take take) {
  if (field.type == WireType::kVarint) return take(field.varint);
  const char* p = field.bytes.data();
  const char* const end = p + field.bytes.size();
  uint64_t value;
  while (p != end && ReadVarint(&p, end, &value)) take(value);
}

template <typename Take>
void ForEachDouble(const WireField& field, Take take) {
  for (size_t i = 0; i + 8 <= field.bytes.size(); i += 8) {
    take(ReadDouble(field.bytes.data() + i));
  }
}

// The positive or the negative half.
struct Side {
  void Span(absl::string_view message) {
    int32_t offset = 0;
    uint32_t length = 0;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 1) {
        offset =
            static_cast<int32_t>(ZigZag(static_cast<uint32_t>(field.varint)));
      } else if (field.number == 2) {
        length = static_cast<uint32_t>(field.varint);
      }
    }
    if (offset < 0) {
      if (spans > 0) ok = false;
      begins_below_zero = true;
    } else {
      reach += static_cast<uint32_t>(offset);
    }
    ++spans;
    covered += length;
    reach += length;
  }

  void Deltas(const WireField& field) {
    ForEachVarint(field, [this](uint64_t value) {
      ++deltas;
      ok =
          ok && !__builtin_add_overflow(bucket, ZigZag(value), &bucket) &&
          bucket >= 0 &&
          !__builtin_add_overflow(total, static_cast<uint64_t>(bucket), &total);
    });
  }

  void Counts(const WireField& field) {
    ForEachDouble(field, [this](double value) {
      ++counts;
      if (value < 0) ok = false;
    });
  }

  bool IsOk(bool is_float) const {
    return ok && covered == (is_float ? counts : deltas) &&
           (is_float ? deltas : counts) == 0;
  }
  bool empty() const { return spans == 0 && deltas == 0 && counts == 0; }

  bool ok = true;
  uint64_t spans = 0;
  bool begins_below_zero = false;
  uint64_t covered = 0;  // Buckets, by the spans.
  uint64_t reach = 0;    // Likewise, with those that are left out.
  uint64_t deltas = 0;   // How many there are.
  uint64_t counts = 0;
  int64_t bucket = 0;  // The last one, of integers.
  uint64_t total = 0;  // Of all buckets, of integers.
};

struct Histogram {
  void Read(absl::string_view message) {
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) ReadField(field);
  }

  void ReadField(const WireField& field) {
    switch (field.number) {
      case 1:
        is_float = false;
        count = field.varint;
        break;
      case 2:
        is_float = true;
        count_float = ReadDouble(field.bytes.data());
        break;
      case 3:
        sum = ReadDouble(field.bytes.data());
        break;
      case 4:
        schema =
            static_cast<int32_t>(ZigZag(static_cast<uint32_t>(field.varint)));
        break;
      case 5:
        zero_threshold = ReadDouble(field.bytes.data());
        break;
      case 6:
        zero_is_float = false;
        zero_count = field.varint;
        zero_count_float = 0;
        break;
      case 7:
        zero_is_float = true;
        zero_count_float = ReadDouble(field.bytes.data());
        zero_count = 0;
        break;
      case 8:
        negative.Span(field.bytes);
        break;
      case 9:
        negative.Deltas(field);
        break;
      case 10:
        negative.Counts(field);
        break;
      case 11:
        positive.Span(field.bytes);
        break;
      case 12:
        positive.Deltas(field);
        break;
      case 13:
        positive.Counts(field);
        break;
      case 16:
        ForEachDouble(field, [this](double bound) { Bound(bound); });
        break;
      default:
        break;
    }
  }

  void Bound(double bound) {
    if (!std::isfinite(bound) || (bounds > 0 && bound <= last_bound)) {
      bounds_ok = false;
    }
    ++bounds;
    last_bound = bound;
  }

  bool HasGoodCount() const {
    if (is_float) {
      return !(count_float < 0) && !(zero_count_float < 0) && zero_count == 0;
    }
    if (zero_is_float && zero_count_float != 0) return false;
    uint64_t all;
    if (__builtin_add_overflow(negative.total, positive.total, &all) ||
        __builtin_add_overflow(all, zero_count, &all)) {
      return false;
    }
    return std::isnan(sum) ? all <= count : all == count;
  }

  bool HasGoodBounds() const {
    if (schema != kCustomBuckets) return bounds == 0;
    // The last bucket ends at +Inf, which is not among the bounds.
    return bounds_ok && positive.reach <= bounds + 1 &&
           !positive.begins_below_zero && negative.empty() && zero_count == 0 &&
           zero_count_float == 0 && zero_threshold == 0;
  }

  bool is_float = false;
  bool zero_is_float = false;
  uint64_t count = 0;
  double count_float = 0;
  double sum = 0;
  int32_t schema = 0;
  double zero_threshold = 0;
  uint64_t zero_count = 0;
  double zero_count_float = 0;
  Side negative;
  Side positive;
  uint64_t bounds = 0;
  double last_bound = 0;
  bool bounds_ok = true;
};

}  // namespace

std::optional<Reason> FindHistogramFault(absl::string_view message) {
  Histogram histogram;
  histogram.Read(message);
  if (histogram.schema != kCustomBuckets &&
      (histogram.schema < -4 || histogram.schema > 8)) {
    return Reason::kHistogramSchemaInvalid;
  }
  if (!histogram.negative.IsOk(histogram.is_float) ||
      !histogram.positive.IsOk(histogram.is_float) ||
      !histogram.HasGoodCount() || !histogram.HasGoodBounds()) {
    return Reason::kHistogramInvalid;
  }
  return std::nullopt;
}

}  // namespace insula::remote_write
