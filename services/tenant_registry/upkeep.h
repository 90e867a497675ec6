// Calls on the registry to do what falls due with time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "absl/time/time.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

// Calls Registry::Tick and, at first and with every 60th of these calls,
// Registry::Maintain, until it is destroyed. Thread-safe.
class Upkeep {
 public:
  Upkeep(std::shared_ptr<Registry> registry,
         boost::asio::any_io_executor executor,
         absl::Duration interval = absl::Seconds(1));
  // Waits for a call that is on its way. Blocks.
  ~Upkeep();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::tenant_registry
