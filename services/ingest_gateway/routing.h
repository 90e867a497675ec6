// Which tenants a caller's series can be given to.
#pragma once

#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/auth/auth.h"
#include "libs/http/url.h"
#include "libs/remote_write/splitter.h"
#include "libs/tenancy/snapshot.h"

namespace insula::ingest_gateway {

// A tenant that may be written, and where to.
struct Recipient : remote_write::Destination {
  const tenancy::Tenant* tenant = nullptr;
  const tenancy::Upstream* upstream = nullptr;
  const tenancy::v1::Limits* tenant_limits = nullptr;
  http::Url url;
  absl::Duration timeout;

  // Every destination that a Routing hands out is a Recipient.
  static const Recipient& Of(const remote_write::Destination* destination) {
    return *static_cast<const Recipient*>(destination);
  }
};

// Routes by one snapshot, for one request. Not thread-safe.
class Routing {
 public:
  Routing(auth::Caller caller, remote_write::NameScheme name_scheme);
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  // For the splitter. The plan and its destinations live as long as this.
  const remote_write::Plan& plan() const { return plan_; }

  const auth::Caller& caller() const { return caller_; }

 private:
  remote_write::Route Find(absl::string_view tenant_id);
  remote_write::Route Make(const tenancy::Tenant* tenant);

  const auth::Caller caller_;
  remote_write::Plan plan_;
  absl::flat_hash_map<const tenancy::Tenant*, std::unique_ptr<Recipient>>
      recipients_;
};

}  // namespace insula::ingest_gateway
