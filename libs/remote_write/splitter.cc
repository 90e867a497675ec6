#include "libs/remote_write/splitter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/metadata.h"
#include "libs/remote_write/shape.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_macros.h"

namespace insula::remote_write {
namespace {

// Buffers that are kept from one request to the next.
constexpr size_t kMaxBuffers = 32;
constexpr size_t kMaxBufferBytes = 1 << 20;

absl::Status Malformed(absl::string_view what, const char* at,
                       absl::string_view request) {
  return absl::InvalidArgumentError(
      absl::StrCat("body is not a remote write 1.0 request: ", what,
                   " at byte ", at - request.data()));
}

absl::Status TooMany(absl::string_view what, int64_t limit) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "request has more than ", limit, " ", what, "; send smaller requests"));
}

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  series += other.series;
  samples += other.samples;
  exemplars += other.exemplars;
  metadata += other.metadata;
  return *this;
}

// The split of one request.
class Splitter::Run {
 public:
  Run(Splitter* splitter, absl::string_view request, const Plan* plan)
      : splitter_(*splitter),
        bounds_(splitter->bounds_),
        series_(splitter->series_),
        request_(request),
        plan_(*plan) {}

  absl::StatusOr<SplitResult> Do();

 private:
  struct Target {
    Target(const Destination* to, bool remove_claim)
        : destination(to), rewriter(to->enforced_labels, remove_claim) {}
    const Destination* destination;
    Rewriter rewriter;
    std::string body;
    Counts counts;
  };

  absl::Status Field(const WireField& field);
  absl::Status TimeSeries(const WireField& field);
  absl::Status Metadata(const WireField& field);
  void Place(const WireField& field, const Counts& counts);
  Route Find();
  Target* TargetOf(const Destination* destination);
  void Refuse(const Destination* destination, Reason reason,
              absl::string_view example, const Counts& counts);
  // Adds received bytes to a target; neighbours are copied at once.
  void Copy(Target* target, absl::string_view raw);
  void Flush();
  absl::Status PlaceMetadata();
  void AddMetadata(Target* target, absl::string_view raw);
  absl::Status CheckOutput() const;
  SplitResult Finish();

  Splitter& splitter_;
  const Bounds& bounds_;
  SeriesReader& series_;
  const absl::string_view request_;
  const Plan& plan_;

  SplitResult result_;
  int64_t labels_ = 0;
  size_t output_ = 0;
  std::vector<std::unique_ptr<Target>> targets_;
  absl::flat_hash_map<const Destination*, Target*> target_of_;
  Target* last_target_ = nullptr;
  absl::flat_hash_map<absl::string_view, Route> route_of_;
  std::optional<absl::string_view> last_claim_;
  Route last_route_;
  std::vector<absl::string_view> metadata_;  // Whole fields.
  absl::flat_hash_map<std::pair<const Destination*, Reason>, size_t>
      refused_at_;  // Index in result_.refused.

  // Received bytes that belong to `copy_target_` and are not copied yet.
  Target* copy_target_ = nullptr;
  absl::string_view copy_;
};

absl::StatusOr<SplitResult> Splitter::Run::Do() {
  series_.Start(plan_.name_scheme, plan_.claim_label);
  WireReader reader(request_);
  WireField field;
  while (reader.Next(&field)) RETURN_IF_ERROR(Field(field));
  if (!reader.ok()) {
    return Malformed("broken field", reader.position(), request_);
  }
  RETURN_IF_ERROR(PlaceMetadata());
  return Finish();
}

absl::Status Splitter::Run::Field(const WireField& field) {
  switch (field.number) {
    case 1:
      return TimeSeries(field);
    case 3:
      return Metadata(field);
    case 4:
    case 5:
      return absl::InvalidArgumentError(
          "body is a remote write 2.0 request; send it as such, or set "
          "`protobuf_message: prometheus.WriteRequest` at the sender");
    default:
      // Not part of the protocol, so nobody can say which tenant it belongs to.
      ++result_.dropped_fields;
      return absl::OkStatus();
  }
}

absl::Status Splitter::Run::TimeSeries(const WireField& field) {
  if (field.type != WireType::kBytes || !series_.Read(field.bytes)) {
    return Malformed("broken series", field.raw.data(), request_);
  }
  const Counts counts = {.series = 1,
                         .samples = series_.samples(),
                         .exemplars = series_.exemplars()};
  result_.received += counts;
  labels_ += static_cast<int64_t>(series_.label_count());
  if (result_.received.series > bounds_.max_series) {
    return TooMany("series", bounds_.max_series);
  }
  if (labels_ > bounds_.max_labels) {
    return TooMany("labels", bounds_.max_labels);
  }
  if (result_.received.samples > bounds_.max_samples) {
    return TooMany("samples", bounds_.max_samples);
  }
  Place(field, counts);
  return CheckOutput();
}

void Splitter::Run::Place(const WireField& field, const Counts& counts) {
  // Without these two there is no telling whose series it is.
  if (!series_.has_all_labels()) {
    return Refuse(nullptr, Reason::kMaxLabelNamesPerSeries, "", counts);
  }
  if (series_.names().claim_repeated) {
    return Refuse(nullptr, Reason::kDuplicateLabelNames, plan_.claim_label,
                  counts);
  }
  const Route route = Find();
  if (route.destination == nullptr) {
    return Refuse(nullptr, route.reason, series_.claim(), counts);
  }
  ++result_.routed_series;
  const Destination* const destination = route.destination;
  if (const auto fault = FindFault(series_, destination->limits)) {
    return Refuse(destination, fault->reason, fault->what, counts);
  }
  Target* const target = TargetOf(destination);
  if (const auto foreign = target->rewriter.Prepare(series_)) {
    return Refuse(destination, Reason::kForeignLabel, *foreign, counts);
  }
  target->counts += counts;
  if (!target->rewriter.changes()) return Copy(target, field.raw);
  Flush();
  const size_t before = target->body.size();
  target->rewriter.Append(series_, field.bytes, &target->body);
  output_ += target->body.size() - before;
}

Route Splitter::Run::Find() {
  if (series_.claim().empty()) return plan_.otherwise;
  if (last_claim_ == series_.claim()) return last_route_;
  auto [it, added] = route_of_.try_emplace(series_.claim());
  if (added) it->second = plan_.find(series_.claim());
  last_claim_ = series_.claim();
  last_route_ = it->second;
  return last_route_;
}

Splitter::Run::Target* Splitter::Run::TargetOf(const Destination* destination) {
  if (last_target_ && last_target_->destination == destination) {
    return last_target_;
  }
  Target*& target = target_of_[destination];
  if (target == nullptr) {
    targets_.push_back(
        std::make_unique<Target>(destination, plan_.remove_claim_label));
    target = targets_.back().get();
    if (!splitter_.buffers_.empty()) {
      target->body = std::move(splitter_.buffers_.back());
      splitter_.buffers_.pop_back();
    }
  }
  last_target_ = target;
  return target;
}

void Splitter::Run::Refuse(const Destination* destination, Reason reason,
                           absl::string_view example, const Counts& counts) {
  const auto [entry, added] =
      refused_at_.try_emplace({destination, reason}, result_.refused.size());
  if (added) result_.refused.push_back({destination, reason, {}, {}});
  Refused* const it = &result_.refused[entry->second];
  it->counts += counts;
  if (example.empty() || it->examples.size() == Refused::kMaxExamples) return;
  const std::string text(example.substr(0, Refused::kMaxExampleBytes));
  if (std::find(it->examples.begin(), it->examples.end(), text) ==
      it->examples.end()) {
    it->examples.push_back(text);
  }
}

void Splitter::Run::Copy(Target* target, absl::string_view raw) {
  output_ += raw.size();
  if (target == copy_target_ && copy_.data() + copy_.size() == raw.data()) {
    copy_ = absl::string_view(copy_.data(), copy_.size() + raw.size());
    return;
  }
  Flush();
  copy_target_ = target;
  copy_ = raw;
}

void Splitter::Run::Flush() {
  if (copy_target_ == nullptr) return;
  copy_target_->body.append(copy_.data(), copy_.size());
  copy_target_ = nullptr;
  copy_ = {};
}

absl::Status Splitter::Run::Metadata(const WireField& field) {
  if (field.type != WireType::kBytes ||
      !HasShape(field.bytes, MetadataShape())) {
    return Malformed("broken metadata", field.raw.data(), request_);
  }
  if (++result_.received.metadata > bounds_.max_metadata) {
    return TooMany("metadata entries", bounds_.max_metadata);
  }
  if (!IsUsableMetadata(field.bytes)) {
    ++result_.dropped_metadata;
  } else if (!plan_.claim_label.empty()) {
    metadata_.push_back(field.raw);  // Once all series are known.
  } else if (plan_.otherwise.destination == nullptr) {
    ++result_.dropped_metadata;
  } else {
    AddMetadata(TargetOf(plan_.otherwise.destination), field.raw);
  }
  return CheckOutput();
}

absl::Status Splitter::Run::PlaceMetadata() {
  if (metadata_.empty()) return absl::OkStatus();
  Flush();
  MetricIndex index;
  for (size_t i = 0; i < targets_.size(); ++i) index.Add(targets_[i]->body, i);
  // All look-ups come first: the index shows bodies, which then grow.
  std::vector<std::vector<size_t>> owners;
  owners.reserve(metadata_.size());
  for (const absl::string_view raw : metadata_) {
    owners.push_back(index.Find(raw));
  }
  for (size_t i = 0; i < metadata_.size(); ++i) {
    for (const size_t owner : owners[i]) {
      AddMetadata(targets_[owner].get(), metadata_[i]);
      RETURN_IF_ERROR(CheckOutput());
    }
    if (!owners[i].empty()) continue;
    if (plan_.otherwise.destination == nullptr) {
      ++result_.dropped_metadata;
      continue;
    }
    AddMetadata(TargetOf(plan_.otherwise.destination), metadata_[i]);
    RETURN_IF_ERROR(CheckOutput());
  }
  return absl::OkStatus();
}

void Splitter::Run::AddMetadata(Target* target, absl::string_view raw) {
  ++target->counts.metadata;
  Copy(target, raw);
}

absl::Status Splitter::Run::CheckOutput() const {
  if (output_ <= bounds_.max_output_bytes) return absl::OkStatus();
  return TooMany("bytes once it is split", bounds_.max_output_bytes);
}

SplitResult Splitter::Run::Finish() {
  // One run of received bytes that is all there was: nothing was touched.
  result_.unchanged = copy_target_ != nullptr &&
                      copy_.data() == request_.data() &&
                      copy_.size() == request_.size();
  if (result_.unchanged) {
    result_.parts.push_back(
        {copy_target_->destination, request_, copy_target_->counts});
    return std::move(result_);
  }
  Flush();
  splitter_.bodies_.reserve(targets_.size());  // Views stay good.
  for (const auto& target : targets_) {
    if (target->body.empty()) continue;  // All of it was refused.
    splitter_.bodies_.push_back(std::move(target->body));
    result_.parts.push_back(
        {target->destination, splitter_.bodies_.back(), target->counts});
  }
  return std::move(result_);
}

Splitter::Splitter(Bounds bounds) : bounds_(bounds) {}
Splitter::~Splitter() = default;

absl::StatusOr<SplitResult> Splitter::Split(absl::string_view request,
                                            const Plan& plan) {
  for (std::string& body : bodies_) {
    if (buffers_.size() == kMaxBuffers) break;
    if (body.capacity() > kMaxBufferBytes) continue;
    body.clear();
    buffers_.push_back(std::move(body));
  }
  bodies_.clear();
  return Run(this, request, &plan).Do();
}

}  // namespace insula::remote_write
