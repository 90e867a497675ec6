// What splitting costs at least.
#pragma once

#include "tools/loadgen/corpus.h"

namespace insula::bench {

// CPU time of what no splitter can do without: to uncompress each request of a
// pass, copy each series to its tenant's bytes, and compress those. In seconds
// for a million series. Two threads do it at once, and it is the mean of both:
// a gateway has no machine to itself either, the sender and the store work
// beside it, and share caches and perhaps cores with it.
double RooflineSeconds(const loadgen::Corpus& corpus);

}  // namespace insula::bench
