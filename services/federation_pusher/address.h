// Which addresses a source may have.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace insula::federation_pusher {

// Looks up `host` (a name or an address) and refuses it if one of its addresses
// lies in `refused_networks`: kSourceAddress of run.h. A host that can't be
// looked up by `deadline` is kSourceUnreachable or kSourceTimeout. The caller
// runs on a strand, and `refused_networks` outlives the call.
//
// The host is looked up again to connect to it. That whoever rules its name
// gives another answer then is not prevented here: it takes the network's own
// rules.
boost::asio::awaitable<absl::Status> CheckSourceAddress(
    std::string host, const std::vector<std::string>* refused_networks,
    absl::Time deadline);

}  // namespace insula::federation_pusher
