#include "tools/insulactl/fetch.h"

#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "libs/status/status_macros.h"

namespace insula::insulactl {
namespace {

using resources::ObjectKey;

constexpr int kPageSize = 1000;
constexpr int kMostStarts = 10;
// More objects of a kind are listed rather than got one by one.
constexpr size_t kMostGets = 100;

absl::StatusOr<std::vector<v1::Object>> ListOnce(const Reads& reads,
                                                 v1::ListRequest request) {
  std::vector<v1::Object> objects;
  do {
    ASSIGN_OR_RETURN(v1::ListResponse page, reads.list(request));
    std::move(page.mutable_objects()->begin(), page.mutable_objects()->end(),
              std::back_inserter(objects));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return objects;
}

}  // namespace

absl::StatusOr<std::vector<v1::Object>> ListAll(const Reads& reads,
                                                v1::Kind kind,
                                                const std::string& prefix) {
  v1::ListRequest request;
  request.set_kind(kind);
  request.set_id_prefix(prefix);
  request.set_page_size(kPageSize);
  for (int i = 0; i < kMostStarts; ++i) {
    auto objects = ListOnce(reads, request);
    if (!absl::IsOutOfRange(objects.status())) return objects;
  }
  return absl::AbortedError(
      "the objects change faster than they can be listed; try again, or list "
      "fewer of them with --prefix");
}

absl::StatusOr<Objects> Fetch(const Reads& reads,
                              const std::vector<ObjectKey>& keys) {
  std::map<v1::Kind, std::set<std::string>> by_kind;
  for (const ObjectKey& key : keys) by_kind[key.kind].insert(key.id);
  Objects objects;
  for (const auto& [kind, ids] : by_kind) {
    if (ids.size() > kMostGets) {
      ASSIGN_OR_RETURN(std::vector<v1::Object> all, ListAll(reads, kind, ""));
      for (v1::Object& object : all) {
        if (!ids.contains(object.meta().id())) continue;
        const ObjectKey key = resources::KeyOf(object);
        objects[key] = std::move(object);
      }
      continue;
    }
    for (const std::string& id : ids) {
      const ObjectKey key{kind, id};
      v1::GetRequest request;
      *request.mutable_ref() = resources::RefOf(key);
      absl::StatusOr<v1::GetResponse> answer = reads.get(request);
      if (absl::IsNotFound(answer.status())) continue;
      if (!answer.ok()) return answer.status();
      objects[key] = std::move(*answer->mutable_object());
    }
  }
  return objects;
}

}  // namespace insula::insulactl
