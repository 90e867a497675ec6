#include "libs/remote_write/v2_encode.h"

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/metadata.h"
#include "libs/remote_write/shape.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_macros.h"

namespace insula::remote_write {
namespace {

absl::Status NoPlace(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("remote write 2.0 has no place for ", what));
}

absl::Status Malformed() {
  return absl::InvalidArgumentError("not a remote write 1.0 request");
}

// What is copied is looked at, too: else the store would refuse all of it.
bool IsMessage(const WireField& field, const Shape& shape) {
  return field.type == WireType::kBytes && HasShape(field.bytes, shape);
}

void AppendRefs(const std::vector<uint32_t>& refs, std::string* out) {
  std::string packed;
  for (const uint32_t ref : refs) AppendVarint(ref, &packed);
  AppendBytesField(1, packed, out);
}

void AppendNumber(uint32_t number, uint64_t value, std::string* out) {
  if (value == 0) return;
  AppendTag(number, WireType::kVarint, out);
  AppendVarint(value, out);
}

class Encoder {
 public:
  absl::StatusOr<std::string> Encode(absl::string_view body) {
    Symbol("");
    RETURN_IF_ERROR(ReadMetadata(body));
    WireReader reader(body);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 3) continue;
      if (field.number != 1) return NoPlace("unknown fields");
      if (field.type != WireType::kBytes) return Malformed();
      RETURN_IF_ERROR(Series(field.bytes));
    }
    if (!reader.ok()) return Malformed();
    for (const auto& [family, metadata] : metadata_) {
      if (!metadata.used) return NoPlace("metadata without a series");
    }
    std::string request;
    request.reserve(series_.size() + symbol_bytes_ + 6 * symbols_.size());
    for (const absl::string_view symbol : symbols_) {
      AppendBytesField(4, symbol, &request);
    }
    return request + series_;
  }

 private:
  struct Metadata {
    uint64_t type = 0;
    absl::string_view help = "";
    absl::string_view unit = "";
    bool used = false;
  };

  uint32_t Symbol(absl::string_view text) {
    const auto [it, added] =
        refs_.try_emplace(text, static_cast<uint32_t>(symbols_.size()));
    if (added) {
      symbols_.push_back(text);
      symbol_bytes_ += text.size();
    }
    return it->second;
  }

  absl::Status ReadMetadata(absl::string_view body) {
    WireReader reader(body);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number != 3) continue;
      if (!IsMessage(field, MetadataShape())) return Malformed();
      absl::string_view family;
      Metadata metadata;
      WireReader message(field.bytes);
      WireField part;
      while (message.Next(&part)) {
        switch (part.number) {
          case 1:
            metadata.type = part.varint;
            break;
          case 2:
            family = part.bytes;
            break;
          case 4:
            metadata.help = part.bytes;
            break;
          case 5:
            metadata.unit = part.bytes;
            break;
          default:
            return NoPlace("unknown fields of metadata");
        }
      }
      if (!message.ok()) return Malformed();
      metadata_.try_emplace(family, metadata);
    }
    return reader.ok() ? absl::OkStatus() : Malformed();
  }

  // Adds the references of a Label message.
  absl::Status Label(absl::string_view message, std::vector<uint32_t>* refs,
                     absl::string_view* metric) {
    absl::string_view name;
    absl::string_view value;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number != 1 && field.number != 2) {
        return NoPlace("unknown fields of a label");
      }
      if (field.type != WireType::kBytes) return Malformed();
      (field.number == 1 ? name : value) = field.bytes;
    }
    if (!reader.ok()) return Malformed();
    refs->push_back(Symbol(name));
    refs->push_back(Symbol(value));
    if (metric != nullptr && name == "__name__") *metric = value;
    return absl::OkStatus();
  }

  absl::Status Exemplar(absl::string_view message, std::string* out) {
    std::vector<uint32_t> refs;
    std::string rest;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      if (field.number == 1) {
        RETURN_IF_ERROR(Label(field.bytes, &refs, nullptr));
      } else {
        rest.append(field.raw.data(), field.raw.size());
      }
    }
    if (!reader.ok()) return Malformed();
    std::string exemplar;
    AppendRefs(refs, &exemplar);
    AppendBytesField(4, exemplar + rest, out);
    return absl::OkStatus();
  }

  absl::Status Series(absl::string_view message) {
    std::vector<uint32_t> refs;
    absl::string_view metric;
    std::string samples;
    std::string histograms;
    std::string exemplars;
    WireReader reader(message);
    WireField field;
    while (reader.Next(&field)) {
      switch (field.number) {
        case 1:
          if (field.type != WireType::kBytes) return Malformed();
          RETURN_IF_ERROR(Label(field.bytes, &refs, &metric));
          break;
        case 2:
          if (!IsMessage(field, V2SampleShape())) return Malformed();
          samples.append(field.raw.data(), field.raw.size());
          break;
        case 3:
          if (!IsMessage(field, ExemplarShape())) return Malformed();
          RETURN_IF_ERROR(Exemplar(field.bytes, &exemplars));
          break;
        case 4:
          if (!IsMessage(field, V2HistogramShape())) return Malformed();
          AppendBytesField(3, field.bytes, &histograms);
          break;
        default:
          return NoPlace("unknown fields of a series");
      }
    }
    if (!reader.ok()) return Malformed();
    if (samples.empty() && histograms.empty()) {
      return NoPlace("series without samples");
    }
    const std::string metadata = MetadataOf(metric);
    for (const std::string* data : {&samples, &histograms}) {
      if (data->empty()) continue;
      std::string series;
      AppendRefs(refs, &series);
      series += *data;
      series += exemplars;
      exemplars.clear();  // Once.
      series += metadata;
      AppendBytesField(5, series, &series_);
    }
    return absl::OkStatus();
  }

  // A whole field of a series; empty if there is no metadata of the metric.
  std::string MetadataOf(absl::string_view metric) {
    for (const absl::string_view family : FamiliesOf(metric)) {
      const auto it = metadata_.find(family);
      if (it == metadata_.end()) continue;
      Metadata& metadata = it->second;
      metadata.used = true;
      std::string message;
      AppendNumber(1, metadata.type, &message);
      AppendNumber(3, Symbol(metadata.help), &message);
      AppendNumber(4, Symbol(metadata.unit), &message);
      std::string field;
      AppendBytesField(5, message, &field);
      return field;
    }
    return "";
  }

  std::vector<absl::string_view> symbols_;
  size_t symbol_bytes_ = 0;
  absl::flat_hash_map<absl::string_view, uint32_t> refs_;
  absl::flat_hash_map<absl::string_view, Metadata> metadata_;
  std::string series_;
};

}  // namespace

absl::StatusOr<std::string> EncodeV2(absl::string_view body) {
  return Encoder().Encode(body);
}

}  // namespace insula::remote_write
