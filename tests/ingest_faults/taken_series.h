// What a store has taken, read.
#pragma once

#include <gtest/gtest.h>
#include <snappy.h>

#include <functional>
#include <string>
#include <vector>

#include "prometheus/remote.pb.h"
#include "tests/ingest_faults/moody_store.h"

namespace insula::ingest_faults {

// Calls `visit` for each series of the writes. Fails the test, and goes no
// further, if one is no write request.
inline void ForEachSeries(
    const std::vector<MoodyStore::Taken>& all,
    const std::function<void(const std::string& tenant,
                             const prometheus::TimeSeries& series)>& visit) {
  for (const MoodyStore::Taken& taken : all) {
    std::string message;
    prometheus::WriteRequest request;
    ASSERT_TRUE(
        snappy::Uncompress(taken.body.data(), taken.body.size(), &message));
    ASSERT_TRUE(request.ParseFromString(message));
    for (const auto& series : request.timeseries()) {
      visit(taken.tenant, series);
    }
  }
}

}  // namespace insula::ingest_faults
