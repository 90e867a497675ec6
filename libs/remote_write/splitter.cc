#include "libs/remote_write/splitter.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/remote_write/metadata.h"
#include "libs/remote_write/part_builder.h"
#include "libs/remote_write/part_set.h"
#include "libs/remote_write/part_stock.h"
#include "libs/remote_write/refusal_list.h"
#include "libs/remote_write/shape.h"
#include "libs/remote_write/wire.h"
#include "libs/status/status_macros.h"

namespace insula::remote_write {
namespace {

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

// The split of one request.
class Splitter::Run {
 public:
  Run(Splitter* splitter, absl::string_view request, const Plan* plan)
      : stock_(*splitter->stock_),
        bounds_(splitter->bounds_),
        series_(splitter->series_),
        memory_(splitter->memory_),
        request_(request),
        plan_(*plan) {}

  absl::StatusOr<SplitResult> Do();

 private:
  using Values = absl::InlinedVector<absl::string_view, 2>;

  // Where series of a known combination of values go.
  struct Way {
    const Routes* routes = nullptr;
    PartBuilder* only_part = nullptr;  // If it is that alone.
  };

  absl::Status Field(const WireField& field);
  absl::Status TimeSeries(const WireField& field);
  absl::Status Metadata(const WireField& field);
  void Place(const WireField& field, const Counts& counts);
  // False: it is refused there.
  bool PlaceAt(const Destination* destination, const WireField& field,
               const Counts& counts);
  // Places a series that is known, and goes wherever it goes without a fault.
  // False: it is none, and is not placed.
  bool PlaceIfKnown(const WireField& field);
  // The same for one that does not go to one destination alone.
  bool PlaceKnownAt(const Routes& routes, const WireField& field);
  const Routes& Find();
  const Routes& RoutesOf(const Values& values);
  const Way& WayOf(uint16_t combination) {
    if (combination >= ways_.size() || ways_[combination].routes == nullptr) {
      FindWay(combination);
    }
    return ways_[combination];
  }
  void FindWay(uint16_t combination);
  // The deciding values, as an example; good until the next call.
  absl::string_view ExampleOfValues();
  absl::Status PlaceMetadata();
  void AddMetadata(PartBuilder* part, absl::string_view raw);
  // Of which there is no series.
  absl::Status AddMetadataOfNobody(const Routes& routes, absl::string_view raw);
  bool IsTooMuch() const {
    return result_.received.series > bounds_.max_series ||
           labels_ > bounds_.max_labels ||
           result_.received.samples > bounds_.max_samples || IsTooLarge();
  }
  absl::Status TooMuch() const;
  bool IsTooLarge() const { return output_ > bounds_.max_output_bytes; }
  absl::Status TooLarge() const {
    return TooMany("bytes once it is split", bounds_.max_output_bytes);
  }
  void LimitSeries(PartBuilder* part);
  SplitResult Finish();

  PartStock& stock_;
  const Bounds& bounds_;
  SeriesReader& series_;
  SeriesMemory& memory_;
  const absl::string_view request_;
  const Plan& plan_;

  SplitResult result_;
  int64_t labels_ = 0;
  size_t output_ = 0;
  PartSet parts_{&stock_};
  RefusalList refusals_;
  absl::flat_hash_map<Values, const Routes*> routes_of_;
  Values values_;  // Of the deciding labels.
  std::string example_;
  const Routes* last_routes_ = nullptr;  // Of values_.
  KnownSeries known_;
  std::vector<Way> ways_;  // By combination; without routes: not asked.
  std::vector<absl::string_view> metadata_;  // Whole fields.
};

absl::StatusOr<SplitResult> Splitter::Run::Do() {
  series_.Start(plan_.name_scheme, plan_.deciding_labels, plan_.removed_labels);
  memory_.Start(plan_.name_scheme, plan_.deciding_labels, plan_.removed_labels);
  values_.resize(plan_.deciding_labels.size());
  WireReader reader(request_);
  WireField field;
  while (reader.Next(&field)) {
    if (!PlaceIfKnown(field)) RETURN_IF_ERROR(Field(field));
    if (IsTooMuch()) return TooMuch();
  }
  if (!reader.ok()) {
    return Malformed("broken field", reader.position(), request_);
  }
  RETURN_IF_ERROR(PlaceMetadata());
  for (const auto& part : parts_) LimitSeries(part.get());
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

absl::Status Splitter::Run::TooMuch() const {
  if (result_.received.series > bounds_.max_series) {
    return TooMany("series", bounds_.max_series);
  }
  if (labels_ > bounds_.max_labels) {
    return TooMany("labels", bounds_.max_labels);
  }
  if (result_.received.samples > bounds_.max_samples) {
    return TooMany("samples", bounds_.max_samples);
  }
  return TooLarge();
}

absl::Status Splitter::Run::TimeSeries(const WireField& field) {
  if (field.type != WireType::kBytes || !series_.Read(field.bytes)) {
    return Malformed("broken series", field.raw.data(), request_);
  }
  const Counts counts = {.series = 1,
                         .samples = series_.samples(),
                         .histograms = series_.histograms(),
                         .exemplars = series_.exemplars()};
  result_.received += counts;
  labels_ += static_cast<int64_t>(series_.label_count());
  if (!IsTooMuch()) Place(field, counts);
  return absl::OkStatus();
}

void Splitter::Run::Place(const WireField& field, const Counts& counts) {
  // Without these two there is no telling whose series it is.
  if (!series_.has_all_labels()) {
    return refusals_.Add(nullptr, Reason::kMaxLabelNamesPerSeries, "", counts);
  }
  if (const int repeated = series_.names().repeated; repeated >= 0) {
    return refusals_.Add(nullptr, Reason::kDuplicateLabelNames,
                         plan_.deciding_labels[static_cast<size_t>(repeated)],
                         counts);
  }
  const Routes& routes = Find();
  for (const Reason reason : routes.refused) {
    refusals_.Add(nullptr, reason, ExampleOfValues(), counts);
  }
  if (routes.destinations.empty()) {
    if (!routes.refused.empty()) return;
    return refusals_.Add(nullptr, Reason::kTenantMissing, "", counts);
  }
  ++result_.routed_series;
  bool refused = !routes.refused.empty();
  for (const Destination* const destination : routes.destinations) {
    refused |= !PlaceAt(destination, field, counts);
    if (IsTooLarge()) return;  // Do() says so.
  }
  if (!refused && series_.is_flawless()) memory_.Remember(series_, values_);
}

bool Splitter::Run::PlaceAt(const Destination* destination,
                            const WireField& field, const Counts& counts) {
  if (!IsClean(series_, destination->limits)) {
    if (const auto fault = FindFault(series_, destination->limits)) {
      refusals_.Add(destination, fault->reason, fault->what, counts);
      return false;
    }
  }
  PartBuilder* const part = parts_.Of(destination);
  const auto added = part->AddSeries(series_, field, counts);
  if (!added) {
    refusals_.Add(destination, Reason::kForeignLabel, part->foreign_label(),
                  counts);
    return false;
  }
  output_ += *added;
  return true;
}

bool Splitter::Run::PlaceIfKnown(const WireField& field) {
  if (field.number != 1 || field.type != WireType::kBytes) return false;
  const SeriesMemory::Series* const facts = memory_.Find(field.bytes);
  if (facts == nullptr) return false;
  known_.Set(field.bytes, facts, &memory_.names(facts->names));
  const Way& way = WayOf(facts->combination);
  if (way.only_part == nullptr) {
    if (!PlaceKnownAt(*way.routes, field)) return false;
  } else {
    if (!way.only_part->FitsKnown(known_)) return false;
    output_ += way.only_part->AddKnown(known_, field);
  }
  ++result_.received.series;
  ++result_.received.samples;
  labels_ += static_cast<int64_t>(known_.label_count());
  ++result_.routed_series;
  ++result_.known_series;
  return true;
}

bool Splitter::Run::PlaceKnownAt(const Routes& routes, const WireField& field) {
  if (routes.destinations.empty() || !routes.refused.empty()) return false;
  for (const Destination* const destination : routes.destinations) {
    if (!parts_.Of(destination)->FitsKnown(known_)) return false;
  }
  for (const Destination* const destination : routes.destinations) {
    output_ += parts_.Of(destination)->AddKnown(known_, field);
    if (IsTooLarge()) break;  // Do() says so.
  }
  return true;
}

void Splitter::Run::FindWay(uint16_t combination) {
  if (combination >= ways_.size()) ways_.resize(combination + size_t{1});
  const auto values = memory_.combination(combination);
  Way& way = ways_[combination];
  way.routes = &RoutesOf(Values(values.begin(), values.end()));
  if (way.routes->destinations.size() == 1 && way.routes->refused.empty()) {
    way.only_part = parts_.Of(way.routes->destinations[0]);
  }
}

const Routes& Splitter::Run::Find() {
  bool same = last_routes_ != nullptr;
  for (size_t i = 0; i < values_.size(); ++i) {
    const absl::string_view value = series_.deciding(i);
    // A label that was not read again still has its earlier bytes.
    if (value.data() == values_[i].data() &&
        value.size() == values_[i].size()) {
      continue;
    }
    same = same && value == values_[i];
    values_[i] = value;
  }
  if (same) return *last_routes_;
  last_routes_ = &RoutesOf(values_);
  return *last_routes_;
}

const Routes& Splitter::Run::RoutesOf(const Values& values) {
  if (routes_of_.size() == Plan::kMaxCombinations) routes_of_.clear();
  const auto [it, added] = routes_of_.try_emplace(values);
  if (added) it->second = &plan_.find(values);
  return *it->second;
}

absl::string_view Splitter::Run::ExampleOfValues() {
  if (values_.size() == 1) return values_[0];
  example_.clear();
  for (const absl::string_view value : values_) {
    if (value.empty() || example_.size() >= Refused::kMaxExampleBytes) continue;
    absl::StrAppend(&example_, example_.empty() ? "" : ", ",
                    value.substr(0, Refused::kMaxExampleBytes));
  }
  return example_;
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
  } else if (!plan_.deciding_labels.empty()) {
    metadata_.push_back(field.raw);  // Once all series are known.
  } else {
    return AddMetadataOfNobody(Find(), field.raw);
  }
  return absl::OkStatus();
}

absl::Status Splitter::Run::AddMetadataOfNobody(const Routes& routes,
                                                absl::string_view raw) {
  if (routes.destinations.empty()) ++result_.dropped_metadata;
  for (const Destination* const destination : routes.destinations) {
    AddMetadata(parts_.Of(destination), raw);
    if (IsTooLarge()) return TooLarge();
  }
  return absl::OkStatus();
}

absl::Status Splitter::Run::PlaceMetadata() {
  if (metadata_.empty()) return absl::OkStatus();
  MetricIndex index;
  for (size_t i = 0; i < parts_.size(); ++i) index.Add(parts_[i].body(), i);
  // All look-ups come first: the index shows bodies, which then grow.
  std::vector<std::vector<size_t>> owners;
  owners.reserve(metadata_.size());
  for (const absl::string_view raw : metadata_) {
    owners.push_back(index.Find(raw));
  }
  const Routes* nobodys = nullptr;
  for (size_t i = 0; i < metadata_.size(); ++i) {
    for (const size_t owner : owners[i]) {
      AddMetadata(&parts_[owner], metadata_[i]);
      if (IsTooLarge()) return TooLarge();
    }
    if (!owners[i].empty()) continue;
    if (plan_.find_family) {
      Routes known;
      known.destinations = plan_.find_family(MetadataFamily(metadata_[i]));
      if (!known.destinations.empty()) {
        RETURN_IF_ERROR(AddMetadataOfNobody(known, metadata_[i]));
        continue;
      }
    }
    if (nobodys == nullptr) nobodys = &plan_.find(Values(values_.size()));
    RETURN_IF_ERROR(AddMetadataOfNobody(*nobodys, metadata_[i]));
  }
  return absl::OkStatus();
}

void Splitter::Run::AddMetadata(PartBuilder* part, absl::string_view raw) {
  part->AddMetadata(raw);
  output_ += raw.size();
}

void Splitter::Run::LimitSeries(PartBuilder* part) {
  part->LimitSeries(plan_.name_scheme, [this, part](absl::string_view metric,
                                                    const Counts& counts) {
    refusals_.Add(part->destination(), Reason::kPerUserSeriesLimit, metric,
                  counts);
  });
}

SplitResult Splitter::Run::Finish() {
  result_.refused = refusals_.Release();
  for (const auto& part : parts_) {
    // Nothing was touched.
    if (part->Is(request_)) {
      result_.parts.push_back(
          {part->destination(), request_, part->counts(), true});
      continue;
    }
    const absl::string_view body = stock_.Show(part->Release());
    if (body.empty()) continue;  // All of it was refused.
    result_.parts.push_back({part->destination(), body, part->counts(), false});
  }
  result_.unchanged = result_.parts.size() == 1 && result_.parts[0].unchanged;
  return std::move(result_);
}

Splitter::Splitter(Bounds bounds, SeriesMemoryBudget* budget)
    : bounds_(bounds), memory_(budget), stock_(std::make_unique<PartStock>()) {}
Splitter::~Splitter() = default;

absl::StatusOr<SplitResult> Splitter::Split(absl::string_view request,
                                            const Plan& plan) {
  stock_->Reclaim();
  return Run(this, request, &plan).Do();
}

}  // namespace insula::remote_write
