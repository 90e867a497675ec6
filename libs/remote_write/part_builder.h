// Collects what a split sends to one destination.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/remote_write/buffer.h"
#include "libs/remote_write/checks.h"
#include "libs/remote_write/rewrite.h"
#include "libs/remote_write/series.h"
#include "libs/remote_write/splitter.h"
#include "libs/remote_write/wire.h"

namespace insula::remote_write {

// A part in the making. What it is given are views of one request, which
// outlives it. Not thread-safe.
class PartBuilder {
 public:
  // Memory that is used again; both are empty, with capacity.
  struct Memory {
    Buffer body;
    std::vector<uint64_t> hashes;
  };

  PartBuilder(const Destination* destination, Memory memory);

  const Destination* destination() const { return destination_; }
  const Counts& counts() const { return counts_; }

  // Adds a series without fault, `field` of the request, as the destination
  // gets it, and says by how much the part has grown. Nullopt: it has an
  // enforced label with another value, which foreign_label() names, and is not
  // added.
  std::optional<size_t> AddSeries(const SeriesReader& series,
                                  const WireField& field, const Counts& counts);
  absl::string_view foreign_label() const { return foreign_label_; }

  // The same for a series that is known, which counts as one sample. Only if it
  // is known to fit: if not, let it be read. Says so without adding it, and
  // AddKnown() is called right after.
  bool FitsKnown(const KnownSeries& series) {
    return IsClean(series, destination_->limits) &&
           rewriter_.PrepareKnown(series);
  }
  size_t AddKnown(const KnownSeries& series, const WireField& field) {
    ++counts_.series;
    ++counts_.samples;
    return Add(series, field);
  }

  // Adds a metadata field of the request.
  void AddMetadata(absl::string_view field);

  // Notes that the series are active. Takes those out again that are new where
  // too many are, and tells `refuse` of each, with its metric's name.
  void LimitSeries(NameScheme scheme,
                   const std::function<void(absl::string_view metric,
                                            const Counts&)>& refuse);

  // Whether it is `request`, one run of received bytes, as it came.
  bool Is(absl::string_view request) const {
    return !request.empty() && pending_.size() == request.size();
  }

  // What was added, as a WriteRequest.
  absl::string_view body() {
    Flush();
    return memory_.body.view();
  }

  // Ends it.
  Memory Release() {
    Flush();
    return std::move(memory_);
  }

 private:
  // Notes a series for which the rewriter was prepared. Returns by how much the
  // part grows.
  template <typename Series>
  size_t Add(const Series& series, const WireField& field) {
    if (destination_->active_series != nullptr) {
      memory_.hashes.push_back(rewriter_.HashOf(series));
    }
    if (!rewriter_.changes()) {
      Copy(field.raw);
      return field.raw.size();
    }
    Flush();
    const size_t before = memory_.body.size();
    rewriter_.Append(series, field.bytes, &memory_.body);
    return memory_.body.size() - before;
  }
  // Neighbours in the request are copied at once.
  void Copy(absl::string_view raw) {
    if (pending_.empty() || pending_.data() + pending_.size() != raw.data()) {
      Flush();
      pending_ = raw;
      return;
    }
    pending_ = absl::string_view(pending_.data(), pending_.size() + raw.size());
  }
  void Flush() {
    memory_.body.Append(pending_);
    pending_ = {};
  }

  const Destination* const destination_;
  Rewriter rewriter_;
  Memory memory_;
  // Received bytes that come next in the body and are not copied yet.
  absl::string_view pending_;
  Counts counts_;
  absl::string_view foreign_label_;
};

}  // namespace insula::remote_write
