// Every small registry that decides differently about a tenant, for tests which
// hold a service against what Resolve() says of it.
#pragma once

#include <google/protobuf/text_format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/tenancy/resolve.h"
#include "libs/tenancy/snapshot.h"

namespace insula::tenancy {

struct TenantWorld {
  std::string what;                          // For messages.
  std::shared_ptr<const Snapshot> snapshot;  // Holds a tenant "red".

  const Tenant& red() const { return *snapshot->FindTenant("red"); }
  v1::ResolvedTenant Resolved() const {
    v1::ResolveRequest request;
    request.set_tenant_id("red");
    return Resolve(*snapshot, request, {})->tenants(0);
  }
};

// All states, stores, labels and read scopes, with and without an Access. Some
// could not be applied, but a follower of another version may hold them.
inline std::vector<TenantWorld> TenantWorlds() {
  const auto put = [](SnapshotBuilder* builder, absl::string_view text) {
    v1::Object object;
    if (google::protobuf::TextFormat::ParseFromString(std::string(text),
                                                      &object)) {
      builder->PutChecked(object);
    }
  };
  const std::vector<std::string> stores = {
      "",
      "write_url: 'http://s/w' query_url: 'http://s/q' isolation: "
      "ISOLATION_LABEL",
      "write_url: 'http://s/w' query_url: 'http://s/q' isolation: "
      "ISOLATION_HEADER",
      "write_url: 'http://s/w' query_url: 'http://s/q'",
      "write_url: 'http://s/w' isolation: ISOLATION_LABEL",
      "query_url: 'http://s/q' isolation: ISOLATION_HEADER",
  };
  std::vector<TenantWorld> worlds;
  for (const char* state :
       {"ACTIVE", "UNSPECIFIED", "READ_ONLY", "SUSPENDED", "DELETING"}) {
    for (const char* upstream : {"", "store"}) {
      for (const std::string& store : stores) {
        for (const char* labels :
             {"", "enforced_labels { key: 'ns' value: 'red' }"}) {
          for (const char* scope : {"OWN", "ACCESS"}) {
            for (const char* access :
                 {"", "source_tenant_ids: 'red'", "every_source: true"}) {
              SnapshotBuilder builder((Snapshot()));
              const std::string tenant = absl::StrCat(
                  "state: STATE_", state, " upstream_id: '", upstream, "' ",
                  labels, " read_scope: READ_SCOPE_", scope);
              put(&builder,
                  absl::StrCat("meta { kind: KIND_TENANT id: 'red' } tenant { ",
                               tenant, " }"));
              if (!store.empty()) {
                put(&builder,
                    absl::StrCat("meta { kind: KIND_UPSTREAM id: 'store' } "
                                 "upstream { ",
                                 store, " }"));
              }
              if (access[0] != '\0') {
                put(&builder,
                    absl::StrCat("meta { kind: KIND_ACCESS id: 'a' } access { "
                                 "tenant_id: 'red' selectors: 'up' ",
                                 access, " }"));
              }
              worlds.push_back({absl::StrCat(tenant, "; store: ", store,
                                             "; access: ", access),
                                std::move(builder).Build(1, "epoch")});
            }
          }
        }
      }
    }
  }
  return worlds;
}

}  // namespace insula::tenancy
