// Checks that bytes are a well-formed message of a known shape.
//
// What is copied unread (samples, exemplars, histograms, metadata) is checked
// here, since one malformed series would have a store refuse the whole request
// that it travels in.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace insula::remote_write {

enum class FieldKind : uint8_t {
  kVarint,
  kFixed64,
  kBytes,
  kMessage,
  kVarints,   // Repeated; packed or not.
  kFixed64s,  // Repeated; packed or not.
};

struct Shape;

struct ShapeField {
  uint32_t number;
  FieldKind kind;
  const Shape* message = nullptr;  // Of kMessage.
};

struct Shape {
  absl::Span<const ShapeField> fields;
};

// Shapes of the remote write 1.0 messages.
const Shape& SampleShape();
const Shape& ExemplarShape();
const Shape& HistogramShape();
const Shape& MetadataShape();

// Shapes of the remote write 2.0 messages.
const Shape& V2SampleShape();
const Shape& V2ExemplarShape();
const Shape& V2HistogramShape();
const Shape& V2MetadataShape();

// Whether every field of `message` can be read, and the known ones have the
// right wire type, down to the last nested message. Fields that the shape does
// not know may hold anything.
bool HasShape(absl::string_view message, const Shape& shape);

}  // namespace insula::remote_write
