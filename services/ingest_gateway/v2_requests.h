// Makes remote write 2.0 requests, for tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/prometheus/write/v2/types.pb.h"

namespace insula::ingest_gateway {

// A request with its symbols.
class V2Builder {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  V2Builder() { request.add_symbols(""); }

  uint32_t Symbol(const std::string& text) {
    const auto [it, added] =
        refs_.try_emplace(text, static_cast<uint32_t>(request.symbols_size()));
    if (added) request.add_symbols(text);
    return it->second;
  }

  io::prometheus::write::v2::TimeSeries* Add(const Labels& labels) {
    auto* const series = request.add_timeseries();
    for (const auto& [name, value] : labels) {
      series->add_labels_refs(Symbol(name));
      series->add_labels_refs(Symbol(value));
    }
    return series;
  }

  io::prometheus::write::v2::TimeSeries* AddSample(const Labels& labels) {
    auto* const series = Add(labels);
    series->add_samples()->set_value(1);
    series->mutable_samples(0)->set_timestamp(1000);
    return series;
  }

  io::prometheus::write::v2::Request request;

 private:
  std::map<std::string, uint32_t> refs_ = {{"", 0}};
};

}  // namespace insula::ingest_gateway
