#include "libs/remote_write/rewrite.h"

#include <cstring>

#include "libs/remote_write/series_hash.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

constexpr char kSeriesTag = '\x0a';  // Field 1 of a WriteRequest, of bytes.

}  // namespace

Rewriter::Rewriter(absl::Span<const Label> enforced) : enforced_(enforced) {
  for (const Label& label : enforced_) {
    std::string content;
    AppendBytesField(1, label.name, &content);
    AppendBytesField(2, label.value, &content);
    Encoded& encoded = encoded_.emplace_back();
    AppendBytesField(1, content, &encoded.field);
    encoded.hash = HashOfLabel(encoded.field);
  }
}

std::optional<absl::string_view> Rewriter::Prepare(const SeriesReader& series) {
  // What is absent has an empty value, and that is no good one.
  const bool some_absent = series.has_faulty_value();
  if (series.names().generation != generation_ || some_absent) {
    Plan(series);
    generation_ = some_absent ? 0 : series.names().generation;
  }
  for (const Demand& demand : demands_) {
    if (series.labels()[demand.index].value != demand.label->value) {
      return demand.label->name;
    }
  }
  return std::nullopt;
}

void Rewriter::Plan(const SeriesReader& series) {
  edits_.clear();
  demands_.clear();
  const auto labels = series.labels();
  const std::vector<size_t>& removed = series.names().removed;
  size_t next_removed = 0;
  size_t next = 0;  // The next of enforced_.
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool remove =
        next_removed < removed.size() && removed[next_removed] == i;
    if (remove) ++next_removed;
    if (series.IsAbsent(i)) {
      edits_.push_back({i, true, "", 0});
      continue;
    }
    while (next < enforced_.size() && enforced_[next].name < labels[i].name) {
      edits_.push_back(Insertion(i, next++));
    }
    if (next < enforced_.size() && enforced_[next].name == labels[i].name) {
      demands_.push_back({i, &enforced_[next++]});
    } else if (remove) {
      edits_.push_back({i, true, "", 0});
    }
  }
  while (next < enforced_.size()) {
    edits_.push_back(Insertion(labels.size(), next++));
  }
}

void Rewriter::Append(const SeriesReader& series, absl::string_view message,
                      Buffer* out) const {
  const auto labels = series.labels();
  size_t size = message.size();
  for (const Edit& edit : edits_) {
    size += edit.insert.size();
    if (edit.drop) size -= labels[edit.index].raw.size();
  }
  char* to = out->Extend(1 + VarintSize(size) + size);
  const auto put = [&to](const char* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    to += bytes;
  };
  *to++ = kSeriesTag;
  to = WriteVarint(size, to);
  size_t copied = 0;
  for (const Edit& edit : edits_) {
    // What stands behind the last label, samples say, may stay there.
    const size_t at = edit.index < labels.size()
                          ? series.begin_of(edit.index)
                          : series.end_of(labels.size() - 1);
    put(message.data() + copied, at - copied);
    copied = edit.drop ? series.end_of(edit.index) : at;
    put(edit.insert.data(), edit.insert.size());
  }
  put(message.data() + copied, message.size() - copied);
}

uint64_t Rewriter::HashOf(const SeriesReader& series) const {
  uint64_t hash = series.hash();
  for (const Edit& edit : edits_) {
    hash += edit.hash;
    if (edit.drop) hash -= series.labels()[edit.index].hash;
  }
  return hash;
}

}  // namespace insula::remote_write
