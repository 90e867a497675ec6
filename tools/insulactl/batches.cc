#include "tools/insulactl/batches.h"

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/references.h"

namespace insula::insulactl {
namespace {

using resources::ObjectKey;
using resources::Resource;

constexpr int kMaxOperations = 50;
constexpr size_t kMaxBytes = 900 << 10;  // The registry takes 1 MiB.
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

// Fills requests one after the other.
class Packer {
 public:
  // Operations that may not be parted.
  void Add(const std::vector<v1::Operation>& operations) {
    size_t bytes = 0;
    for (const v1::Operation& operation : operations) {
      bytes += operation.ByteSizeLong() + 8;
    }
    if (requests_.empty() || !Fits(operations.size(), bytes)) {
      requests_.emplace_back();
      bytes_ = 0;
    }
    for (const v1::Operation& operation : operations) {
      *requests_.back().add_operations() = operation;
    }
    bytes_ += bytes;
  }
  std::vector<v1::ApplyRequest> Take() { return std::move(requests_); }

 private:
  bool Fits(size_t count, size_t bytes) const {
    return static_cast<size_t>(requests_.back().operations_size()) + count <=
               kMaxOperations &&
           bytes_ + bytes <= kMaxBytes;
  }

  std::vector<v1::ApplyRequest> requests_;
  size_t bytes_ = 0;
};

v1::Operation PutOf(const v1::Object& object) {
  v1::Operation operation;
  *operation.mutable_put() = object;
  return operation;
}

std::vector<const Resource*> InOrder(const std::vector<Resource>& resources) {
  std::vector<const Resource*> ordered;
  for (const Resource& resource : resources) ordered.push_back(&resource);
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Resource* a, const Resource* b) {
                     return resources::ReferenceRank(a->object.meta().kind()) <
                            resources::ReferenceRank(b->object.meta().kind());
                   });
  return ordered;
}

// Finds what an object names, and what that names.
class Closures {
 public:
  explicit Closures(const std::vector<Resource>& resources) {
    for (const Resource& resource : resources) {
      by_key_.emplace(resources::KeyOf(resource.object), &resource.object);
    }
  }

  // With the object itself; those that others name come first.
  std::vector<const v1::Object*> Of(const v1::Object& object) const {
    std::vector<const v1::Object*> found;
    std::set<const v1::Object*> seen;
    Visit(object, &seen, &found);
    return found;
  }

 private:
  // References only go down the ranks, so this ends.
  void Visit(const v1::Object& object, std::set<const v1::Object*>* seen,
             std::vector<const v1::Object*>* found) const {
    if (!seen->insert(&object).second) return;
    resources::ForEachReference(
        object, [&](const resources::Reference& reference) {
          const auto it = by_key_.find(reference.target());
          if (it != by_key_.end()) Visit(*it->second, seen, found);
        });
    found->push_back(&object);
  }

  absl::flat_hash_map<ObjectKey, const v1::Object*> by_key_;
};

// Whether to send again what got this answer: it was lost, or came at a bad
// moment.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

absl::StatusOr<v1::ApplyResponse> SendOne(const v1::ApplyRequest& request,
                                          const SendOptions& options,
                                          bool* told) {
  const absl::Time deadline = absl::Now() + options.timeout;
  absl::Duration pause = kFirstPause;
  while (true) {
    absl::StatusOr<v1::ApplyResponse> answer = options.send(request, deadline);
    if (answer.ok() || !IsPassing(answer.status())) return answer;
    if (absl::Now() + pause >= deadline) return answer;
    if (!std::exchange(*told, true)) options.retrying(answer.status());
    if (!options.wait(pause)) return absl::CancelledError("interrupted");
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace

std::vector<v1::ApplyRequest> PutBatches(
    const std::vector<Resource>& resources) {
  Packer packer;
  for (const Resource* resource : InOrder(resources)) {
    packer.Add({PutOf(resource->object)});
  }
  return packer.Take();
}

std::vector<v1::ApplyRequest> DeleteBatches(std::vector<ObjectKey> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const ObjectKey& a, const ObjectKey& b) {
                     return resources::ReferenceRank(a.kind) >
                            resources::ReferenceRank(b.kind);
                   });
  Packer packer;
  for (const ObjectKey& key : keys) {
    v1::Operation operation;
    *operation.mutable_delete_() = resources::RefOf(key);
    packer.Add({operation});
  }
  return packer.Take();
}

CheckBatches MakeCheckBatches(const std::vector<Resource>& resources) {
  const Closures closures(resources);
  CheckBatches batches;
  std::set<const v1::Object*> covered;
  std::set<const v1::Object*> in_request;
  std::vector<v1::ApplyRequest>& requests = batches.requests;
  size_t bytes = 0;
  std::vector<const Resource*> ordered = InOrder(resources);
  // From the top, so that most of the others are covered on the way.
  std::reverse(ordered.begin(), ordered.end());
  for (const Resource* resource : ordered) {
    if (covered.contains(&resource->object)) continue;
    const auto closure = closures.Of(resource->object);
    size_t closure_bytes = 0;
    for (const v1::Object* one : closure) {
      closure_bytes += one->ByteSizeLong() + 16;
    }
    if (closure.size() > kMaxOperations || closure_bytes > kMaxBytes) {
      batches.too_large.push_back(
          resources::Name(resources::KeyOf(resource->object)));
      continue;
    }
    const auto fresh = static_cast<size_t>(std::count_if(
        closure.begin(), closure.end(),
        [&](const auto* one) { return !in_request.contains(one); }));
    if (requests.empty() || in_request.size() + fresh > kMaxOperations ||
        bytes + closure_bytes > kMaxBytes) {
      requests.emplace_back();
      in_request.clear();
      bytes = 0;
    }
    for (const v1::Object* one : closure) {
      covered.insert(one);
      if (!in_request.insert(one).second) continue;
      *requests.back().add_operations() = PutOf(*one);
      bytes += one->ByteSizeLong() + 16;
    }
  }
  for (v1::ApplyRequest& request : requests) request.set_validate_only(true);
  return batches;
}

SendResult Send(std::vector<v1::ApplyRequest> requests,
                const SendOptions& options) {
  SendResult result;
  bool told = false;
  size_t answered = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    // Nothing is remembered of a check.
    if (requests[i].validate_only()) continue;
    requests[i].set_request_id(absl::StrCat("insulactl-", options.id, "-", i));
  }
  bool progress = true;
  while (progress && !requests.empty()) {
    progress = false;
    result.refused.clear();
    std::vector<v1::ApplyRequest> later;
    for (v1::ApplyRequest& request : requests) {
      const absl::StatusOr<v1::ApplyResponse> answer =
          options.wait(absl::ZeroDuration())
              ? SendOne(request, options, &told)
              : absl::CancelledError("interrupted");
      if (answer.ok()) {
        progress = true;
        ++result.requests;
        result.operations += static_cast<size_t>(request.operations_size());
        result.revision = answer->revision();
        options.progress(++answered);
        continue;
      }
      if (IsPassing(answer.status()) || absl::IsCancelled(answer.status())) {
        result.failure = answer.status();
        return result;
      }
      result.refused.push_back(answer.status());
      later.push_back(std::move(request));
    }
    // A check changes nothing that would make the next one another.
    if (!later.empty() && later.front().validate_only()) break;
    requests = std::move(later);
  }
  return result;
}

std::string RandomId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppendFormat(&id, "%08x", random());
  return id;
}

}  // namespace insula::insulactl
