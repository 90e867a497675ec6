#include "libs/remote_write/rewrite.h"

#include <algorithm>

#include "libs/remote_write/wire.h"

namespace insula::remote_write {

Rewriter::Rewriter(absl::Span<const Label> enforced, bool remove_claim)
    : enforced_(enforced), remove_claim_(remove_claim) {
  for (const Label& label : enforced_) {
    std::string content;
    AppendBytesField(1, label.name, &content);
    AppendBytesField(2, label.value, &content);
    AppendBytesField(1, content, &encoded_.emplace_back());
  }
}

std::optional<absl::string_view> Rewriter::Prepare(const SeriesReader& series) {
  const bool empty_claim = series.names().claim >= 0 && series.claim().empty();
  const bool drop_claim = remove_claim_ || empty_claim;
  if (series.names().generation != generation_ || drop_claim != drops_claim_ ||
      empty_claim) {
    Plan(series, drop_claim);
    generation_ = empty_claim ? 0 : series.names().generation;
    drops_claim_ = drop_claim;
  }
  for (const Demand& demand : demands_) {
    if (series.labels()[demand.index].value != demand.label->value) {
      return demand.label->name;
    }
  }
  return std::nullopt;
}

void Rewriter::Plan(const SeriesReader& series, bool drop_claim) {
  edits_.clear();
  demands_.clear();
  const auto labels = series.labels();
  const bool has_claim = series.names().claim >= 0;
  const size_t claim =
      has_claim ? static_cast<size_t>(series.names().claim) : labels.size();
  const bool empty_claim = has_claim && series.claim().empty();
  size_t next = 0;  // The next of enforced_.
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i == claim && empty_claim) {  // As if it were not there.
      edits_.push_back({i, true, ""});
      continue;
    }
    while (next < enforced_.size() && enforced_[next].name < labels[i].name) {
      edits_.push_back({i, false, encoded_[next++]});
    }
    if (next < enforced_.size() && enforced_[next].name == labels[i].name) {
      demands_.push_back({i, &enforced_[next++]});
    } else if (i == claim && drop_claim) {
      edits_.push_back({i, true, ""});
    }
  }
  while (next < enforced_.size()) {
    edits_.push_back({labels.size(), false, encoded_[next++]});
  }
}

void Rewriter::Append(const SeriesReader& series, absl::string_view message,
                      std::string* out) const {
  const auto labels = series.labels();
  size_t size = message.size();
  for (const Edit& edit : edits_) {
    size += edit.insert.size();
    if (edit.drop) size -= labels[edit.index].raw.size();
  }
  AppendTag(1, WireType::kBytes, out);
  AppendVarint(size, out);
  const char* copied = message.data();
  for (const Edit& edit : edits_) {
    // What stands behind the last label, samples say, may stay there.
    const SeriesLabel& label = labels[std::min(edit.index, labels.size() - 1)];
    const char* const at = edit.index < labels.size()
                               ? label.position
                               : label.position + label.raw.size();
    out->append(copied, static_cast<size_t>(at - copied));
    copied = at;
    if (edit.drop) copied += label.raw.size();
    out->append(edit.insert.data(), edit.insert.size());
  }
  out->append(copied,
              static_cast<size_t>(message.data() + message.size() - copied));
}

}  // namespace insula::remote_write
