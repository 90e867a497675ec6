#include "libs/remote_write/shape.h"

#include <iterator>

#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

// Depth is that of the tables below, three at most, whatever the input.
constexpr ShapeField kLabelFields[] = {{1, FieldKind::kBytes},
                                       {2, FieldKind::kBytes}};
constexpr Shape kLabel = {kLabelFields};

constexpr ShapeField kSampleFields[] = {{1, FieldKind::kFixed64},
                                        {2, FieldKind::kVarint}};
constexpr Shape kSample = {kSampleFields};

constexpr ShapeField kExemplarFields[] = {{1, FieldKind::kMessage, &kLabel},
                                          {2, FieldKind::kFixed64},
                                          {3, FieldKind::kVarint}};
constexpr Shape kExemplar = {kExemplarFields};

constexpr ShapeField kSpanFields[] = {{1, FieldKind::kVarint},
                                      {2, FieldKind::kVarint}};
constexpr Shape kSpan = {kSpanFields};

constexpr ShapeField kHistogramFields[] = {
    {1, FieldKind::kVarint},            // count_int
    {2, FieldKind::kFixed64},           // count_float
    {3, FieldKind::kFixed64},           // sum
    {4, FieldKind::kVarint},            // schema
    {5, FieldKind::kFixed64},           // zero_threshold
    {6, FieldKind::kVarint},            // zero_count_int
    {7, FieldKind::kFixed64},           // zero_count_float
    {8, FieldKind::kMessage, &kSpan},   // negative_spans
    {9, FieldKind::kVarints},           // negative_deltas
    {10, FieldKind::kFixed64s},         // negative_counts
    {11, FieldKind::kMessage, &kSpan},  // positive_spans
    {12, FieldKind::kVarints},          // positive_deltas
    {13, FieldKind::kFixed64s},         // positive_counts
    {14, FieldKind::kVarint},           // reset_hint
    {15, FieldKind::kVarint},           // timestamp
    {16, FieldKind::kFixed64s},         // custom_values
    {17, FieldKind::kVarint},           // start_timestamp, of 2.0 alone
};
constexpr Shape kV2Histogram = {kHistogramFields};
constexpr Shape kHistogram = {
    absl::MakeConstSpan(kHistogramFields, std::size(kHistogramFields) - 1)};

constexpr ShapeField kMetadataFields[] = {
    {1, FieldKind::kVarint},  // type
    {2, FieldKind::kBytes},   // metric_family_name
    {4, FieldKind::kBytes},   // help
    {5, FieldKind::kBytes},   // unit
};
constexpr Shape kMetadata = {kMetadataFields};

constexpr ShapeField kV2SampleFields[] = {
    {1, FieldKind::kFixed64}, {2, FieldKind::kVarint}, {3, FieldKind::kVarint}};
constexpr Shape kV2Sample = {kV2SampleFields};

constexpr ShapeField kV2ExemplarFields[] = {{1, FieldKind::kVarints},
                                            {2, FieldKind::kFixed64},
                                            {3, FieldKind::kVarint}};
constexpr Shape kV2Exemplar = {kV2ExemplarFields};

constexpr ShapeField kV2MetadataFields[] = {
    {1, FieldKind::kVarint}, {3, FieldKind::kVarint}, {4, FieldKind::kVarint}};
constexpr Shape kV2Metadata = {kV2MetadataFields};

bool AreVarints(absl::string_view packed) {
  const char* p = packed.data();
  const char* const end = p + packed.size();
  uint64_t value;
  while (p != end) {
    if (!ReadVarint(&p, end, &value)) return false;
  }
  return true;
}

bool FitsField(const WireField& field, const ShapeField& expected) {
  switch (expected.kind) {
    case FieldKind::kVarint:
      return field.type == WireType::kVarint;
    case FieldKind::kFixed64:
      return field.type == WireType::kFixed64;
    case FieldKind::kBytes:
      return field.type == WireType::kBytes;
    case FieldKind::kMessage:
      return field.type == WireType::kBytes &&
             HasShape(field.bytes, *expected.message);
    case FieldKind::kVarints:
      return field.type == WireType::kVarint ||
             (field.type == WireType::kBytes && AreVarints(field.bytes));
    case FieldKind::kFixed64s:
      return field.type == WireType::kFixed64 ||
             (field.type == WireType::kBytes && field.bytes.size() % 8 == 0);
  }
  return false;
}

}  // namespace

const Shape& SampleShape() { return kSample; }
const Shape& ExemplarShape() { return kExemplar; }
const Shape& HistogramShape() { return kHistogram; }
const Shape& MetadataShape() { return kMetadata; }
const Shape& V2SampleShape() { return kV2Sample; }
const Shape& V2ExemplarShape() { return kV2Exemplar; }
const Shape& V2HistogramShape() { return kV2Histogram; }
const Shape& V2MetadataShape() { return kV2Metadata; }

bool HasShape(absl::string_view message, const Shape& shape) {
  WireReader reader(message);
  WireField field;
  while (reader.Next(&field)) {
    for (const ShapeField& expected : shape.fields) {
      if (expected.number != field.number) continue;
      if (!FitsField(field, expected)) return false;
      break;
    }
  }
  return reader.ok();
}

}  // namespace insula::remote_write
