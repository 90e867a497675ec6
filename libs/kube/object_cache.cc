#include "libs/kube/object_cache.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace insula::kube {
namespace {

std::string Uid(const Object& object) {
  return StringAt(*object, {"metadata", "uid"});
}

std::string Version(const Object& object) {
  return StringAt(*object, {"metadata", "resourceVersion"});
}

// What it means that `before` is now `after`; one may be null.
void AppendChange(const std::string& key, const Object& before,
                  const Object& after, std::vector<Change>* changes) {
  if (before != nullptr && after != nullptr && Uid(before) != Uid(after)) {
    changes->push_back({key, before, nullptr});
    changes->push_back({key, nullptr, after});
  } else {
    changes->push_back({key, before, after});
  }
}

}  // namespace

std::string KeyOf(const Json& object) {
  const std::string home = StringAt(object, {"metadata", "namespace"});
  const std::string name = StringAt(object, {"metadata", "name"});
  return home.empty() ? name : absl::StrCat(home, "/", name);
}

absl::Status ObjectCache::Put(Json object, size_t bytes,
                              std::vector<Change>* changes) {
  const std::string key = KeyOf(object);
  for (const absl::string_view field : {"name", "uid", "resourceVersion"}) {
    if (StringAt(object, {"metadata", field}).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("object '", key, "' has no metadata.", field));
    }
  }
  const auto found = entries_.find(key);
  const bool known = found != entries_.end();
  const size_t freed = known ? found->second.bytes : 0;
  if ((!known && entries_.size() >= limits_.max_objects) ||
      bytes_ - freed + bytes > limits_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are more than ", limits_.max_objects,
                     " objects, or they have more than ", limits_.max_bytes,
                     " bytes; raise the limit or select fewer"));
  }
  object["metadata"].erase("managedFields");
  Entry& entry = known ? found->second : entries_[key];
  const Object before = entry.object;
  Object after = std::make_shared<const Json>(std::move(object));
  bytes_ += bytes - freed;
  entry.bytes = bytes;
  entry.object = after;
  if (before == nullptr || Version(before) != Version(after)) {
    AppendChange(key, before, after, changes);
  }
  return absl::OkStatus();
}

void ObjectCache::Remove(const Json& object, std::vector<Change>* changes) {
  const auto found = entries_.find(KeyOf(object));
  if (found == entries_.end()) return;
  changes->push_back({found->first, found->second.object, nullptr});
  bytes_ -= found->second.bytes;
  entries_.erase(found);
}

void ObjectCache::Replace(ObjectCache newer, std::vector<Change>* changes) {
  std::swap(entries_, newer.entries_);
  std::swap(bytes_, newer.bytes_);
  const auto& before = newer.entries_;
  for (const auto& [key, entry] : before) {
    if (!entries_.contains(key)) {
      changes->push_back({key, entry.object, nullptr});
    }
  }
  for (auto& [key, entry] : entries_) {
    const auto old = before.find(key);
    const bool known = old != before.end();
    if (known && Version(old->second.object) == Version(entry.object)) {
      entry.object = old->second.object;
    } else {
      AppendChange(key, known ? old->second.object : nullptr, entry.object,
                   changes);
    }
  }
}

Object ObjectCache::Find(absl::string_view key) const {
  const auto found = entries_.find(std::string(key));
  return found == entries_.end() ? nullptr : found->second.object;
}

std::vector<Object> ObjectCache::All() const {
  std::vector<Object> all;
  all.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) all.push_back(entry.object);
  return all;
}

}  // namespace insula::kube
