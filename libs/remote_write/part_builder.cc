#include "libs/remote_write/part_builder.h"

#include <utility>

namespace insula::remote_write {

PartBuilder::PartBuilder(const Destination* destination, Memory memory)
    : destination_(destination),
      rewriter_(destination->enforced_labels),
      memory_(std::move(memory)) {}

std::optional<size_t> PartBuilder::AddSeries(const SeriesReader& series,
                                             const WireField& field,
                                             const Counts& counts) {
  if (const auto foreign = rewriter_.Prepare(series)) {
    foreign_label_ = *foreign;
    return std::nullopt;
  }
  counts_ += counts;
  return Add(series, field);
}

void PartBuilder::AddMetadata(absl::string_view field) {
  ++counts_.metadata;
  Copy(field);
}

void PartBuilder::LimitSeries(
    NameScheme scheme,
    const std::function<void(absl::string_view metric, const Counts&)>&
        refuse) {
  if (memory_.hashes.empty()) return;
  std::vector<size_t> indexes;
  destination_->active_series->Touch(memory_.hashes,
                                     destination_->max_active_series, &indexes);
  memory_.hashes.clear();
  if (indexes.empty()) return;

  Flush();
  Buffer kept;
  kept.Reserve(memory_.body.size());
  absl::Span<const size_t> refused = indexes;  // Of series; ascending.
  size_t index = 0;
  SeriesReader reader;
  reader.Start(scheme, {}, {});
  WireReader fields(memory_.body.view());
  WireField field;
  while (fields.Next(&field)) {
    if (field.number != 1 || refused.empty() || index++ != refused[0]) {
      kept.Append(field.raw);
      continue;
    }
    refused.remove_prefix(1);
    reader.Read(field.bytes);
    const Counts counts = {.series = 1,
                           .samples = reader.samples(),
                           .histograms = reader.histograms(),
                           .exemplars = reader.exemplars()};
    counts_ -= counts;
    const int metric = reader.names().metric;
    refuse(metric < 0 ? "" : reader.labels()[static_cast<size_t>(metric)].value,
           counts);
  }
  memory_.body = std::move(kept);
}

}  // namespace insula::remote_write
