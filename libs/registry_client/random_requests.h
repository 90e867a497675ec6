// Applies at random, out of one seed.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "absl/strings/string_view.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/registry_client/registry_history.h"

namespace insula::registry_client {

// What one writer asks for: puts and deletes of tenants, stores, limits and
// bindings that it shares with all other writers, some on condition. Many are
// refused: what they name is gone, or was changed by somebody else. One that is
// taken changes something. Not thread-safe.
class RandomRequests {
 public:
  // `writer` is unique, with a number of its own below 1000.
  RandomRequests(uint64_t seed, int writer) : random_(seed), writer_(writer) {}

  registry::v1::ApplyRequest Next();

  // The present request was answered with that revision; what later conditions
  // are made of.
  void Learn(int64_t revision, const registry::v1::ApplyRequest& request);

 private:
  int Below(int limit);
  bool Chance(int percent) { return Below(100) < percent; }
  std::string Unique();
  registry::v1::Object Object(registry::v1::Kind kind, const std::string& id);
  registry::v1::Object Tenant();
  void Add(registry::v1::Operation operation,
           registry::v1::ApplyRequest* request);
  void AddPut(registry::v1::ApplyRequest* request);
  void AddDelete(registry::v1::ApplyRequest* request);

  std::mt19937_64 random_;
  const int writer_;
  int64_t count_ = 0;
  std::map<History::Key, int64_t> known_;  // Revisions last seen.
};

}  // namespace insula::registry_client
