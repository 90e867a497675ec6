// Remote write requests like those of a Prometheus that scrapes many pods.
#pragma once

#include <string>
#include <vector>

namespace insula::bench {

struct WriteLoad {
  int tenants = 10;             // By the label `namespace`: "team-0" and so on.
  int series = 2000;            // Of a request, of 12 labels, one sample each.
  int series_of_a_target = 20;  // Neighbours that share most labels.
};

// Makes `count` different requests, compressed, of different series.
std::vector<std::string> MakeRequests(const WriteLoad& load, int count);

}  // namespace insula::bench
