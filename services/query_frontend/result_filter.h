// The envelope of a result that is too long to be held, while it passes.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::query_frontend {

// Finds the end of an answer's data, lets everything before it pass, and holds
// back what comes behind: the upstream's warnings, of which ReadAnswer() says
// what may be shown. Knows nothing of the data but its brackets and strings.
//
//   if (ResultFilter::CanPass(beginning, range_query)) {
//     ResultFilter filter;
//     Send(*filter.Pass(beginning)); ... Send(*filter.Pass(end));
//     Send(filter.Finish()->text);
class ResultFilter {
 public:
  // The most that may come behind the data.
  static constexpr size_t kMaxTailBytes = size_t{64} << 10;

  // Whether an answer that begins so, as a Prometheus' does, is the result of a
  // query, or of a range query. Others must be read as a whole.
  static bool CanPass(absl::string_view beginning, bool range_query);

  // What of the next bytes can be sent: a part of `piece`, perhaps none.
  // INTERNAL if more than kMaxTailBytes come behind the data.
  absl::StatusOr<absl::string_view> Pass(absl::string_view piece);

  struct Ending {
    std::string text;      // What is still to be sent.
    std::string withheld;  // See Answer.
  };
  // After the upstream's last byte. INTERNAL if its data has no end, or what
  // comes behind is no end of an answer.
  absl::StatusOr<Ending> Finish() const;

 private:
  size_t seen_ = 0;  // Of the bytes before the data.
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool ended_ = false;  // The data has.
  std::string tail_;
};

}  // namespace insula::query_frontend
