#include "libs/remote_write/encode.h"

#include <bit>

#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

void AppendDouble(uint32_t number, double value, std::string* out) {
  AppendTag(number, WireType::kFixed64, out);
  uint64_t bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i, bits >>= 8) {
    out->push_back(static_cast<char>(bits & 0xff));
  }
}

}  // namespace

void AppendLabel(absl::string_view name, absl::string_view value,
                 std::string* series) {
  // One tag of a byte each.
  const size_t size = 1 + VarintSize(name.size()) + name.size() + 1 +
                      VarintSize(value.size()) + value.size();
  AppendTag(1, WireType::kBytes, series);
  AppendVarint(size, series);
  AppendBytesField(1, name, series);
  AppendBytesField(2, value, series);
}

void AppendSample(double value, int64_t timestamp_ms, std::string* series) {
  std::string sample;
  AppendDouble(1, value, &sample);
  AppendTag(2, WireType::kVarint, &sample);
  AppendVarint(static_cast<uint64_t>(timestamp_ms), &sample);
  AppendBytesField(2, sample, series);
}

void AppendSeries(absl::string_view series, std::string* request) {
  AppendBytesField(1, series, request);
}

void AppendMetadata(int type, absl::string_view family, absl::string_view help,
                    std::string* request) {
  std::string metadata;
  AppendTag(1, WireType::kVarint, &metadata);
  AppendVarint(static_cast<uint64_t>(type), &metadata);
  AppendBytesField(2, family, &metadata);
  AppendBytesField(4, help, &metadata);
  AppendBytesField(3, metadata, request);
}

}  // namespace insula::remote_write
