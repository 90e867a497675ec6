// Where stubs of the registry come from.
#pragma once

#include <functional>
#include <memory>

#include "insula/registry/v1/registry.grpc.pb.h"

namespace insula::registry_client {

// Asked for each call and each stream: its channel may be another one when the
// certificates have changed.
using StubSource =
    std::function<std::unique_ptr<registry::v1::TenantRegistry::Stub>()>;

}  // namespace insula::registry_client
