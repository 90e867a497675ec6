// Reads by a client.
#pragma once

#include "tools/insulactl/client.h"
#include "tools/insulactl/fetch.h"

namespace insula::insulactl {

// `client` outlives them.
inline Reads ReadsOf(Client* client) {
  return {[client](const v1::GetRequest& r) { return client->Get(r); },
          [client](const v1::ListRequest& r) { return client->List(r); }};
}

}  // namespace insula::insulactl
