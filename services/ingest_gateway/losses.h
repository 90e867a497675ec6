// What a split refuses, as the answers tell it.
#pragma once

#include <vector>

#include "libs/auth/auth.h"
#include "libs/remote_write/reason.h"
#include "libs/remote_write/splitter.h"
#include "services/ingest_gateway/answer.h"
#include "services/ingest_gateway/routing.h"

namespace insula::ingest_gateway {

// The limit that a series or part of `recipient`, which may be null, went over;
// 0 if the reason is no limit.
double LimitOf(remote_write::Reason reason, const Recipient* recipient);

// A loss for each reason and tenant that `split`, by a Routing of `caller`,
// refused series for.
std::vector<Loss> LossesOf(const remote_write::SplitResult& split,
                           const auth::Caller& caller);

}  // namespace insula::ingest_gateway
