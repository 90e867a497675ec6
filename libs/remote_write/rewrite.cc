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
    const auto labels = series.labels();
    Plan({labels.size(), [&](size_t i) { return labels[i].name; },
          [&](size_t i) { return series.IsAbsent(i); },
          series.names().removed});
    generation_ = some_absent ? 0 : series.names().generation;
    known_ = nullptr;
  }
  for (const Demand& demand : demands_) {
    const Label& label = enforced_[demand.enforced];
    if (series.labels()[demand.index].value != label.value) return label.name;
  }
  return std::nullopt;
}

void Rewriter::PlanKnown(const SeriesMemory::Names& names) {
  Plan({names.names.size(),
        [&](size_t i) { return absl::string_view(names.names[i]); },
        [](size_t) { return false; }, names.removed});
  generation_ = 0;
  known_ = &names;
}

bool Rewriter::HasDemanded(const KnownSeries& series) const {
  for (const Demand& demand : demands_) {
    if (series.raw(demand.index) != encoded_[demand.enforced].field) {
      return false;
    }
  }
  return true;
}

void Rewriter::Plan(const Names& names) {
  edits_.clear();
  demands_.clear();
  size_t next_removed = 0;
  size_t next = 0;  // The next of enforced_.
  for (size_t i = 0; i < names.count; ++i) {
    const bool remove =
        next_removed < names.removed.size() && names.removed[next_removed] == i;
    if (remove) ++next_removed;
    if (names.is_absent(i)) {
      edits_.push_back({i, true, "", 0});
      continue;
    }
    const absl::string_view name = names.at(i);
    while (next < enforced_.size() && enforced_[next].name < name) {
      edits_.push_back(Insertion(i, next++));
    }
    if (next < enforced_.size() && enforced_[next].name == name) {
      demands_.push_back({i, next++});
    } else if (remove) {
      edits_.push_back({i, true, "", 0});
    }
  }
  while (next < enforced_.size()) {
    edits_.push_back(Insertion(names.count, next++));
  }
}

template <typename Series>
void Rewriter::Append(const Series& series, absl::string_view message,
                      Buffer* out) const {
  const size_t labels = series.label_count();
  size_t size = message.size();
  for (const Edit& edit : edits_) {
    size += edit.insert.size();
    if (edit.drop) {
      size += series.begin_of(edit.index);
      size -= series.end_of(edit.index);
    }
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
    const size_t at = edit.index < labels ? series.begin_of(edit.index)
                                          : series.end_of(labels - 1);
    put(message.data() + copied, at - copied);
    copied = edit.drop ? series.end_of(edit.index) : at;
    put(edit.insert.data(), edit.insert.size());
  }
  put(message.data() + copied, message.size() - copied);
}

template void Rewriter::Append(const SeriesReader&, absl::string_view,
                               Buffer*) const;
template void Rewriter::Append(const KnownSeries&, absl::string_view,
                               Buffer*) const;

}  // namespace insula::remote_write
