// Remote write 2.0 read as 1.0, and written as 2.0 again: by rules over the
// objects of another parser where that reads the request in the only way there
// is, and for whatever bytes what comes out is well-formed.

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "io/prometheus/write/v2/types.pb.h"
#include "libs/remote_write/v2_decode.h"
#include "libs/remote_write/v2_encode.h"
#include "prometheus/remote.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

namespace v2 = io::prometheus::write::v2;
using prometheus::WriteRequest;

// A request out of the choices of the input, mostly a good one.
v2::Request Make(fuzz::Input* bytes) {
  static const char* const kSymbols[] = {"",  "__name__", "up",    "up_count",
                                         "a", "b\xff",    "Help.", "b"};
  v2::Request request;
  const uint8_t symbols = bytes->Byte() % 9;
  for (int i = 0; i < symbols; ++i) request.add_symbols(kSymbols[i]);
  const auto ref = [bytes] { return bytes->Byte() % 9; };
  for (int count = bytes->Byte() % 6; count > 0; --count) {
    v2::TimeSeries* const series = request.add_timeseries();
    const uint8_t shape = bytes->Byte();
    for (int i = shape & 7; i > 0; --i) series->add_labels_refs(ref());
    if ((shape & 8) != 0) {
      v2::Sample* const sample = series->add_samples();
      sample->set_value(bytes->Byte());
      sample->set_start_timestamp(bytes->Byte());
    }
    if ((shape & 16) != 0) {
      v2::Histogram* const histogram = series->add_histograms();
      histogram->set_schema(static_cast<int8_t>(bytes->Byte()) / 8);
      const uint8_t kind = bytes->Byte();
      if ((kind & 1) != 0) histogram->set_count_int(kind >> 4);
      if ((kind & 1) == 0) histogram->set_count_float(kind >> 4);
      histogram->add_positive_spans()->set_length((kind >> 1) & 3);
      for (int i = (kind >> 3) & 3; i > 0; --i) {
        histogram->add_positive_deltas(static_cast<int8_t>(bytes->Byte()) / 32);
      }
    }
    if ((shape & 32) != 0) {
      v2::Exemplar* const exemplar = series->add_exemplars();
      for (int i = bytes->Byte() % 4; i > 0; --i) {
        exemplar->add_labels_refs(ref());
      }
    }
    if ((shape & 64) != 0) {
      series->mutable_metadata()->set_type(bytes->Byte() % 8);
      series->mutable_metadata()->set_help_ref(ref());
    }
  }
  return request;
}

// The rules, written as one would say them.
class Oracle {
 public:
  explicit Oracle(const v2::Request& request) : request_(request) {
    std::map<std::string, prometheus::TimeSeries*> by_labels;
    for (const v2::TimeSeries& series : request.timeseries()) {
      Place(series, &by_labels);
    }
    for (const auto& [labels, loose] : loose_) {
      const auto it = by_labels.find(labels);
      if (it == by_labels.end()) {
        refused["no_samples"] += loose.entries;
        continue;
      }
      it->second->mutable_exemplars()->MergeFrom(loose.series.exemplars());
    }
  }

  WriteRequest kept;
  std::map<std::string, int64_t> refused;  // Series; exemplars and metadata of
                                           // their own reasons.

 private:
  struct Loose {
    prometheus::TimeSeries series;
    int entries = 0;
  };

  template <typename Refs>
  bool AreGood(const Refs& refs) const {
    bool good = refs.size() % 2 == 0;
    for (const uint32_t ref : refs) {
      good = good && static_cast<int64_t>(ref) < request_.symbols_size();
    }
    return good;
  }

  template <typename Refs, typename Message>
  void AddLabels(const Refs& refs, Message* message) const {
    for (int i = 0; i < refs.size(); i += 2) {
      auto* const label = message->add_labels();
      label->set_name(request_.symbols(static_cast<int>(refs[i])));
      label->set_value(request_.symbols(static_cast<int>(refs[i + 1])));
    }
  }

  void Place(const v2::TimeSeries& series,
             std::map<std::string, prometheus::TimeSeries*>* by_labels) {
    if (!AreGood(series.labels_refs())) {
      ++refused["label_refs_invalid"];
      return;
    }
    if (series.samples_size() > 0 && series.histograms_size() > 0) {
      ++refused["samples_and_histograms"];
      return;
    }
    const bool loose =
        series.samples_size() == 0 && series.histograms_size() == 0;
    if (loose && series.exemplars_size() == 0) {
      ++refused["no_samples"];
      return;
    }
    for (const v2::Histogram& histogram : series.histograms()) {
      if (const std::string fault = Fault(histogram); !fault.empty()) {
        ++refused[fault];
        return;
      }
    }
    prometheus::TimeSeries out;
    AddLabels(series.labels_refs(), &out);
    const std::string labels = out.SerializeAsString();
    for (const v2::Exemplar& exemplar : series.exemplars()) {
      if (!AreGood(exemplar.labels_refs())) {
        ++refused["exemplar_invalid"];
        continue;
      }
      prometheus::Exemplar* const added = out.add_exemplars();
      AddLabels(exemplar.labels_refs(), added);
      added->set_value(exemplar.value());
      added->set_timestamp(exemplar.timestamp());
    }
    if (loose) {
      Loose& held = loose_[labels];
      ++held.entries;
      held.series.mutable_exemplars()->MergeFrom(out.exemplars());
      return;
    }
    for (const v2::Sample& sample : series.samples()) {
      FUZZ_CHECK(out.add_samples()->ParseFromString(sample.SerializeAsString()),
                 "");
    }
    for (const v2::Histogram& histogram : series.histograms()) {
      FUZZ_CHECK(
          out.add_histograms()->ParseFromString(histogram.SerializeAsString()),
          "");
    }
    AddMetadata(series);
    *kept.add_timeseries() = out;
    by_labels->try_emplace(labels,
                           kept.mutable_timeseries(kept.timeseries_size() - 1));
  }

  void AddMetadata(const v2::TimeSeries& series) {
    if (!series.has_metadata()) return;
    const v2::Metadata& metadata = series.metadata();
    const auto symbols = static_cast<uint32_t>(request_.symbols_size());
    if (metadata.help_ref() >= symbols || metadata.unit_ref() >= symbols) {
      ++refused["metadata_invalid"];
      return;
    }
    std::string name;
    const auto& refs = series.labels_refs();
    for (int i = refs.size() - 2; i >= 0; i -= 2) {
      if (request_.symbols(static_cast<int>(refs[i])) == "__name__") {
        name = request_.symbols(static_cast<int>(refs[i + 1]));
      }
    }
    const std::string& help =
        request_.symbols(static_cast<int>(metadata.help_ref()));
    const std::string& unit =
        request_.symbols(static_cast<int>(metadata.unit_ref()));
    if (metadata.type() == 0 && help.empty() && unit.empty()) return;
    std::vector<std::string> suffixes;
    if (metadata.type() == 3) suffixes = {"_count", "_sum", "_bucket"};
    if (metadata.type() == 5) suffixes = {"_count", "_sum"};
    for (const std::string& suffix : suffixes) {
      if (name.size() > suffix.size() && name.ends_with(suffix)) {
        name.resize(name.size() - suffix.size());
        break;
      }
    }
    if (name.empty() || !families_.insert(name).second) return;
    prometheus::MetricMetadata* const added = kept.add_metadata();
    added->set_type(metadata.type());
    added->set_metric_family_name(name);
    added->set_help(help);
    added->set_unit(unit);
  }

  template <typename Spans>
  static bool FitsSpans(const Spans& spans, int buckets) {
    uint64_t covered = 0;
    for (int i = 0; i < spans.size(); ++i) {
      if (i > 0 && spans[i].offset() < 0) return false;
      covered += spans[i].length();
    }
    return covered == static_cast<uint64_t>(buckets);
  }

  // Adds up buckets; false if one is below zero.
  template <typename Deltas>
  static bool Sum(const Deltas& deltas, __int128* sum) {
    __int128 bucket = 0;
    for (const int64_t delta : deltas) {
      bucket += delta;
      if (bucket < 0 || bucket > INT64_MAX) return false;
      *sum += bucket;
    }
    return true;
  }

  static std::string Fault(const v2::Histogram& h) {
    const bool custom = h.schema() == -53;
    if (!custom && (h.schema() < -4 || h.schema() > 8)) {
      return "native_histogram_invalid_schema";
    }
    const bool is_float = h.has_count_float();
    const int positive =
        is_float ? h.positive_counts_size() : h.positive_deltas_size();
    const int negative =
        is_float ? h.negative_counts_size() : h.negative_deltas_size();
    const int others = h.positive_counts_size() + h.positive_deltas_size() +
                       h.negative_counts_size() + h.negative_deltas_size() -
                       positive - negative;
    bool good = others == 0 && FitsSpans(h.positive_spans(), positive) &&
                FitsSpans(h.negative_spans(), negative);
    if (is_float) {
      good = good && !(h.count_float() < 0) && !(h.zero_count_float() < 0) &&
             h.zero_count_int() == 0;
      for (const double c : h.positive_counts()) good = good && !(c < 0);
      for (const double c : h.negative_counts()) good = good && !(c < 0);
    } else {
      // Half an integer histogram that has too many counts for 64 bits is bad
      // in itself.
      __int128 left = 0;
      __int128 right = 0;
      good = good && Sum(h.negative_deltas(), &left) &&
             Sum(h.positive_deltas(), &right);
      const __int128 all = left + right + h.zero_count_int();
      good = good && (std::isnan(h.sum()) ? all <= h.count_int()
                                          : all == h.count_int());
      good = good && !(h.zero_count_float() != 0);
    }
    good = good && (custom ? HasGoodBounds(h) : h.custom_values_size() == 0);
    return good ? "" : "native_histogram_invalid";
  }

  static bool HasGoodBounds(const v2::Histogram& h) {
    double last = -INFINITY;
    for (const double bound : h.custom_values()) {
      if (!std::isfinite(bound) || bound <= last) return false;
      last = bound;
    }
    int64_t reach = 0;
    for (const v2::BucketSpan& span : h.positive_spans()) {
      if (span.offset() < 0) return false;
      reach += static_cast<int64_t>(span.offset()) + span.length();
    }
    return reach <= h.custom_values_size() + 1 &&
           h.negative_spans_size() == 0 && h.zero_count_int() == 0 &&
           h.zero_count_float() == 0 && h.zero_threshold() == 0;
  }

  const v2::Request& request_;
  std::map<std::string, Loose> loose_;
  std::set<std::string> families_;
};

bool IsCanonical(absl::string_view wire, const v2::Request& request) {
  v2::Request known = request;
  known.DiscardUnknownFields();
  return known.SerializeAsString() == wire;
}

WriteRequest Parse(absl::string_view body) {
  WriteRequest parsed;
  FUZZ_CHECK(parsed.ParseFromArray(body.data(), static_cast<int>(body.size())),
             body);
  return parsed;
}

// What is encoded again parses, and names no symbol that is not there.
void CheckEncoded(absl::string_view body) {
  const auto wire = remote_write::EncodeV2(body);
  if (!wire.ok()) return;
  v2::Request request;
  FUZZ_CHECK(request.ParseFromString(*wire), body);
  FUZZ_CHECK(request.symbols_size() > 0 && request.symbols(0).empty(), body);
  for (const v2::TimeSeries& series : request.timeseries()) {
    FUZZ_CHECK(series.labels_refs_size() % 2 == 0, body);
    for (const uint32_t ref : series.labels_refs()) {
      FUZZ_CHECK(static_cast<int64_t>(ref) < request.symbols_size(), body);
    }
  }
  remote_write::V2Decoder decoder{remote_write::Bounds()};
  const auto again = decoder.Decode(*wire);
  FUZZ_CHECK(again.ok(), again.status().ToString());
  const WriteRequest before = Parse(body);
  const WriteRequest after = Parse(again->body);
  int mixed = 0;
  for (const auto& series : before.timeseries()) {
    mixed += series.samples_size() > 0 && series.histograms_size() > 0;
  }
  int refused = 0;
  for (const auto& each : again->refused) {
    refused += static_cast<int>(each.counts.series);
  }
  FUZZ_CHECK(
      after.timeseries_size() + refused == before.timeseries_size() + mixed,
      body);
}

FUZZ_TARGET(remote_write_v2) {
  fuzz::Input bytes(input);
  std::string made;
  if ((bytes.Byte() & 1) != 0) made = Make(&bytes).SerializeAsString();
  const absl::string_view source = made.empty() ? bytes.rest() : made;
  // A copy of its own, so that ASan guards its end.
  const std::vector<char> copy(source.begin(), source.end());
  const absl::string_view wire(copy.data(), copy.size());

  remote_write::V2Decoder decoder{remote_write::Bounds()};
  const auto decoded = decoder.Decode(wire);
  v2::Request request;
  const bool canonical =
      request.ParseFromArray(wire.data(), static_cast<int>(wire.size())) &&
      IsCanonical(wire, request);
  if (!decoded.ok()) {
    const bool first_symbol = request.symbols_size() > 0 &&
                              !request.symbols(0).empty() &&
                              request.timeseries_size() > 0;
    FUZZ_CHECK(!canonical || first_symbol, decoded.status().ToString());
    CheckEncoded(wire);
    return;
  }
  const WriteRequest kept = Parse(decoded->body);
  CheckEncoded(decoded->body);
  if (!canonical) return;

  const Oracle oracle(request);
  FUZZ_CHECK(kept.SerializeAsString() == oracle.kept.SerializeAsString(),
             request.ShortDebugString());
  std::map<std::string, int64_t> refused;
  for (const remote_write::Refused& each : decoded->refused) {
    const int64_t count = each.counts.series > 0
                              ? each.counts.series
                              : each.counts.exemplars + each.counts.metadata;
    refused[std::string(ReasonName(each.reason))] += count;
  }
  FUZZ_CHECK(refused == oracle.refused, request.ShortDebugString());
}

}  // namespace
}  // namespace insula
