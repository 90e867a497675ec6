#include "services/tenant_registry/watch_encoder.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <map>
#include <utility>

namespace insula::tenant_registry {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// What is kept of a snapshot at most, and of deltas. What is more is made again
// for each.
constexpr size_t kMaxSnapshotBytes = 64 << 20;
constexpr size_t kMaxDeltaBytes = 8 << 20;
constexpr size_t kMaxDeltas = 32;

constexpr uint32_t kPutsTag =
    WireFormatLite::MakeTag(v1::WatchResponse::kPutsFieldNumber,
                            WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

bool Wants(const std::set<v1::Kind>& kinds, v1::Kind kind) {
  return kinds.empty() || kinds.contains(kind);
}

// The size of an object as an element of `puts`.
size_t PutSize(const v1::Object& object) {
  const size_t size = object.ByteSizeLong();
  return CodedOutputStream::VarintSize32(kPutsTag) +
         CodedOutputStream::VarintSize64(size) + size;
}

// After PutSize, which leaves the sizes behind.
uint8_t* WritePut(const v1::Object& object, uint8_t* to) {
  to = CodedOutputStream::WriteVarint32ToArray(kPutsTag, to);
  to = CodedOutputStream::WriteVarint32ToArray(
      static_cast<uint32_t>(object.GetCachedSize()), to);
  return object.SerializeWithCachedSizesToArray(to);
}

}  // namespace

grpc::ByteBuffer Encode(const v1::WatchResponse& response) {
  grpc::Slice slice(response.ByteSizeLong());
  response.SerializeWithCachedSizesToArray(
      const_cast<uint8_t*>(slice.begin()));  // Nobody else has it yet.
  return {&slice, 1};
}

void SetSet(const tenancy::SetDigest& digest, const std::set<v1::Kind>& kinds,
            v1::WatchResponse* response) {
  v1::SetDigest* const set = response->mutable_set();
  for (const auto& [kind, sum] : digest.kinds()) {
    if (!Wants(kinds, kind)) continue;
    v1::KindDigest* const of_kind = set->add_kinds();
    of_kind->set_kind(kind);
    of_kind->set_count(sum.count);
    of_kind->set_sum(sum.sum);
  }
}

EncodedSnapshot::EncodedSnapshot(std::shared_ptr<const Registry::View> view,
                                 std::set<v1::Kind> kinds,
                                 const std::string& epoch,
                                 size_t max_message_bytes, Kept kept)
    : view_(std::move(view)),
      kinds_(std::move(kinds)),
      max_message_bytes_(max_message_bytes),
      all_kept_(std::move(kept)) {
  head_.set_phase(v1::WatchResponse::PHASE_SNAPSHOT);
  head_.set_revision(view_->revision);
  head_.set_epoch(epoch);
}

EncodedSnapshot::Message EncodedSnapshot::Get(size_t index) {
  Part part;
  {
    sync::MutexLock lock(&mutex_);
    while (parts_.size() <= index) {
      Part next = NextPart(parts_.empty() ? 0 : parts_.back().end);
      if (next.objects == 0) return {};
      parts_.push_back(std::move(next));
    }
    part = parts_[index];
  }
  if (part.is_kept) return {part.objects, std::move(part.message)};
  Message message{part.objects, EncodePart(part)};
  sync::MutexLock lock(&mutex_);
  Part& kept = parts_[index];
  if (kept.is_kept) return message;
  if ((*all_kept_ += part.bytes) > kMaxSnapshotBytes) {
    *all_kept_ -= part.bytes;
    return message;
  }
  kept_bytes_ += part.bytes;
  kept.message = message.bytes;
  kept.is_kept = true;
  return message;
}

bool EncodedSnapshot::Wants(size_t index) const {
  return tenant_registry::Wants(kinds_, view_->objects[index]->meta().kind());
}

EncodedSnapshot::Part EncodedSnapshot::NextPart(size_t begin) const {
  const size_t head_bytes = head_.ByteSizeLong();
  Part part;
  part.begin = begin;
  for (part.end = begin; part.end < view_->objects.size(); ++part.end) {
    if (!Wants(part.end)) continue;
    const size_t size = PutSize(*view_->objects[part.end]);
    if (part.objects > 0 && head_bytes + part.bytes + size > max_message_bytes_)
      break;
    part.bytes += size;
    ++part.objects;
  }
  return part;
}

grpc::ByteBuffer EncodedSnapshot::EncodePart(const Part& part) const {
  grpc::Slice slice(head_.ByteSizeLong() + part.bytes);
  uint8_t* at = const_cast<uint8_t*>(slice.begin());  // Nobody else has it yet.
  at = head_.SerializeWithCachedSizesToArray(at);
  for (size_t i = part.begin; i < part.end; ++i) {
    if (Wants(i)) at = WritePut(*view_->objects[i], at);
  }
  return {&slice, 1};
}

std::shared_ptr<EncodedSnapshot> WatchEncoder::Snapshot(
    const std::shared_ptr<const Registry::View>& view,
    const std::set<v1::Kind>& kinds, const std::string& epoch) {
  sync::MutexLock lock(&mutex_);
  std::erase_if(snapshots_, [&view](const auto& weak) {
    const std::shared_ptr<EncodedSnapshot> snapshot = weak.lock();
    return snapshot == nullptr || &snapshot->view() != view.get();
  });
  for (const std::weak_ptr<EncodedSnapshot>& weak : snapshots_) {
    std::shared_ptr<EncodedSnapshot> snapshot = weak.lock();
    if (snapshot != nullptr && snapshot->kinds() == kinds) return snapshot;
  }
  auto snapshot = std::make_shared<EncodedSnapshot>(
      view, kinds, epoch, max_message_bytes_, kept_of_snapshots_);
  snapshots_.push_back(snapshot);
  return snapshot;
}

WatchEncoder::Messages WatchEncoder::Deltas(
    const std::vector<ChangePtr>& changes, const std::set<v1::Kind>& kinds,
    const tenancy::SetDigest* digest, const std::string& epoch) {
  const int64_t first = changes.front()->revision;
  const int64_t last = changes.back()->revision;
  // Without a digest it is what one client has missed.
  if (digest != nullptr) {
    if (Messages messages = Find(first, last, kinds)) return messages;
  }
  auto wants = [&kinds](v1::Kind kind) { return Wants(kinds, kind); };
  std::vector<v1::WatchResponse> deltas =
      MergeChanges(changes, wants, max_message_bytes_);
  auto messages = std::make_shared<std::vector<grpc::ByteBuffer>>();
  size_t bytes = 0;
  for (size_t i = 0; i < deltas.size(); ++i) {
    v1::WatchResponse& delta = deltas[i];
    delta.set_epoch(epoch);
    if (digest != nullptr && i + 1 == deltas.size()) {
      SetSet(*digest, kinds, &delta);
    }
    messages->push_back(Encode(delta));
    bytes += messages->back().Length();
  }
  if (digest != nullptr) Keep({first, last, kinds, bytes, messages});
  return messages;
}

WatchEncoder::Messages WatchEncoder::Find(int64_t first, int64_t last,
                                          const std::set<v1::Kind>& kinds) {
  sync::MutexLock lock(&mutex_);
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
    if (kept->first == first && kept->last == last && kept->kinds == kinds) {
      return kept->messages;
    }
  }
  return nullptr;
}

void WatchEncoder::Keep(Kept kept) {
  if (kept.bytes > kMaxDeltaBytes / 2) return;
  sync::MutexLock lock(&mutex_);
  kept_bytes_ += kept.bytes;
  kept_.push_back(std::move(kept));
  while (kept_bytes_ > kMaxDeltaBytes || kept_.size() > kMaxDeltas) {
    kept_bytes_ -= kept_.front().bytes;
    kept_.pop_front();
  }
}

std::vector<v1::WatchResponse> MergeChanges(
    const std::vector<ChangePtr>& changes,
    const std::function<bool(v1::Kind)>& wants, size_t max_bytes) {
  std::vector<v1::WatchResponse> deltas;
  std::map<ObjectKey, ObjectPtr> last;
  int64_t revision = 0;
  size_t bytes = 0;
  auto flush = [&] {
    if (!last.empty()) {
      v1::WatchResponse& delta = deltas.emplace_back();
      delta.set_phase(v1::WatchResponse::PHASE_DELTA);
      delta.set_revision(revision);
      for (const auto& [key, object] : last) {
        if (object == nullptr) {
          *delta.add_deletes() = RefOf(key);
        } else {
          *delta.add_puts() = *object;
        }
      }
    }
    last.clear();
    bytes = 0;
  };
  for (const ChangePtr& change : changes) {
    size_t size = 0;
    for (const Change::Item& item : change->items) {
      size += item.key.id.size() + 16;
      if (item.object != nullptr) size += item.object->ByteSizeLong();
    }
    if (bytes + size > max_bytes) flush();
    for (const Change::Item& item : change->items) {
      if (wants(item.key.kind)) last[item.key] = item.object;
    }
    bytes += size;
    revision = change->revision;
  }
  flush();
  return deltas;
}

}  // namespace insula::tenant_registry
