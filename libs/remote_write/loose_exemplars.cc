#include "libs/remote_write/loose_exemplars.h"

#include "libs/remote_write/wire.h"

namespace insula::remote_write {
namespace {

constexpr size_t kKeepBytes = 8 << 20;
constexpr size_t kKeepEntries = 64 << 10;

// How many bytes the labels at the start of a series have.
size_t LabelBytes(absl::string_view series) {
  size_t bytes = 0;
  WireReader reader(series);
  WireField field;
  while (reader.Next(&field) && field.number == 1) bytes += field.raw.size();
  return bytes;
}

}  // namespace

void LooseExemplars::Add(absl::string_view labels, absl::string_view exemplars,
                         const Counts& counts, absl::string_view metric) {
  bytes_ += labels.size() + exemplars.size();
  Held& held = held_[labels];
  held.exemplars.append(exemplars.data(), exemplars.size());
  held.counts += counts;
  if (held.metric.empty()) {
    held.metric = std::string(metric.substr(0, Refused::kMaxExampleBytes));
  }
}

int64_t LooseExemplars::Join(std::string* body) {
  int64_t count = 0;
  joined_.clear();
  WireReader reader(*body);
  WireField field;
  while (reader.Next(&field)) {
    const auto it = held_.find(field.bytes.substr(0, LabelBytes(field.bytes)));
    if (it == held_.end() || it->second.joined) {
      joined_.append(field.raw.data(), field.raw.size());
      continue;
    }
    it->second.joined = true;
    count += it->second.counts.exemplars;
    series_.assign(field.bytes.data(), field.bytes.size());
    series_ += it->second.exemplars;
    AppendBytesField(1, series_, &joined_);
  }
  body->swap(joined_);
  return count;
}

void LooseExemplars::ForEachLeft(
    const std::function<void(const Counts&, absl::string_view metric)>& take)
    const {
  for (const auto& [labels, held] : held_) {
    if (!held.joined) take(held.counts, held.metric);
  }
}

void LooseExemplars::Clear() {
  held_.clear();
  bytes_ = 0;
}

void LooseExemplars::Shrink() {
  if (held_.capacity() > kKeepEntries) {
    absl::flat_hash_map<std::string, Held>().swap(held_);
  }
  for (std::string* text : {&joined_, &series_}) {
    if (text->capacity() > kKeepBytes) std::string().swap(*text);
  }
}

}  // namespace insula::remote_write
