#include "services/ingest_gateway/losses.h"

#include <utility>

namespace insula::ingest_gateway {

using remote_write::Reason;

double LimitOf(Reason reason, const Recipient* recipient) {
  if (recipient == nullptr) return 0;
  switch (reason) {
    case Reason::kMaxLabelNamesPerSeries:
      return recipient->limits.max_label_names;
    case Reason::kLabelNameTooLong:
      return recipient->limits.max_label_name_bytes;
    case Reason::kLabelValueTooLong:
      return recipient->limits.max_label_value_bytes;
    case Reason::kPerUserSeriesLimit:
      return static_cast<double>(recipient->max_active_series);
    default:
      return 0;
  }
}

std::vector<Loss> LossesOf(const remote_write::SplitResult& split,
                           const auth::Caller& caller) {
  std::vector<Loss> losses;
  for (const remote_write::Refused& refused : split.refused) {
    const Recipient* const recipient =
        refused.destination ? &Recipient::Of(refused.destination) : nullptr;
    Loss loss{recipient ? recipient->name : "", refused.reason, refused.counts,
              LimitOf(refused.reason, recipient), refused.examples};
    if (recipient == nullptr && caller.tenant != nullptr) {
      loss.tenant = caller.tenant->id.value();
    }
    losses.push_back(std::move(loss));
  }
  return losses;
}

}  // namespace insula::ingest_gateway
