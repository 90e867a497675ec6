// Remote write requests like those of a Prometheus that scrapes many pods.
//
//   const Corpus corpus({.tenants = 100});
//   RequestMaker maker(&corpus, Protocol::kV1);
//   for (int64_t n = 0; n < 10 * corpus.load().requests; ++n) {
//     Send(maker.Make(n, absl::Now()));
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/remote_write/block.h"

namespace insula::loadgen {

// What the requests are. The defaults are the corpus `runs`: neighbours share a
// target, and so most labels, as with a scraped histogram.
struct Load {
  int tenants = 10;   // By the label `namespace`: "team-0" and so on.
  int series = 2000;  // Of a request, of 12 labels, one sample each.
  int requests = 64;  // Different ones; all their series differ.
  // Neighbours that share a target, and so tenant and most labels. With 1, the
  // corpus `interleaved`, every series is of another tenant and pod than the
  // one before, and has 14 labels.
  int series_of_a_target = 20;
  // All series of request `n` are of tenant n % tenants.
  bool one_tenant_a_request = false;
};

// The requests of a load. A pass sends all of them; the next pass sends the
// same series with other values and times. Const methods may be called by many
// threads. Takes the memory of a pass, 380 to 450 bytes a series.
class Corpus {
 public:
  // Of the uncompressed bytes of a request.
  struct Series {
    size_t end;
    int tenant;
  };

  // Each number of `load` is at least 1.
  explicit Corpus(const Load& load);

  const Load& load() const { return load_; }

  // Request `n`, of pass n / requests, as an uncompressed WriteRequest. The
  // samples of a request are of `time`, which is between 1973 and 2109, and up
  // to series / 20 ms before.
  void Write(int64_t n, absl::Time time, std::string* message) const;

  // Where the series of request `n` end, and whose they are.
  absl::Span<const Series> SeriesOf(int64_t n) const;

 private:
  struct Message {
    std::string bytes;
    std::vector<Series> series;
  };
  const Message& Of(int64_t n) const;

  Load load_;
  std::vector<Message> messages_;
};

enum class Protocol { kV1, kV2 };

// The Content-Type of such a request, and its
// X-Prometheus-Remote-Write-Version.
absl::string_view ContentType(Protocol protocol);
absl::string_view Version(Protocol protocol);

// Makes bodies of requests. One for each thread.
class RequestMaker {
 public:
  // `corpus` outlives it.
  RequestMaker(const Corpus* corpus, Protocol protocol);

  // Request `n` of the corpus, compressed; see Corpus::Write().
  std::string Make(int64_t n, absl::Time time);

 private:
  const Corpus* corpus_;
  Protocol protocol_;
  std::string message_;
  remote_write::Arena arena_;
};

}  // namespace insula::loadgen
