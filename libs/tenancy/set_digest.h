// A fingerprint of a set of objects, the same whatever the order that they were
// added in. Adding and removing cost O(1), so that who changes objects one by
// one always knows it.
#pragma once

#include <cstdint>
#include <map>

#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "insula/registry/v1/registry.pb.h"

namespace insula::tenancy {

// As of the proto message of this name. Within an epoch, two sets that differ
// have the same digest with a probability of 2^-64. Not thread-safe.
class SetDigest {
 public:
  struct Sum {
    int64_t count = 0;
    uint64_t sum = 0;
    friend bool operator==(const Sum&, const Sum&) = default;
  };

  // An object is what its kind, id and mod_revision are.
  void Add(registry::v1::Kind kind, absl::string_view id, int64_t mod_revision);
  // Undoes an Add.
  void Remove(registry::v1::Kind kind, absl::string_view id,
              int64_t mod_revision);

  // Of the objects of one kind.
  Sum OfKind(registry::v1::Kind kind) const;

  // Only kinds of which there are objects.
  const std::map<registry::v1::Kind, Sum>& kinds() const { return kinds_; }

 private:
  std::map<registry::v1::Kind, Sum> kinds_;
};

}  // namespace insula::tenancy
