#include "libs/registry_client/watch_state.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::SnapshotBuilder;

constexpr size_t kMaxEpochBytes = 64;
// An Ack names at most so many; rejections() and its metric have all.
constexpr size_t kMaxRejectionsOfAnAck = 100;

WatchState::Key KeyOf(const v1::Object& object) {
  return {object.meta().kind(), object.meta().id()};
}

// Compares what has been sent, usable or not, with what should have been.
// `held` is a Snapshot or the builder of one.
template <typename Held>
WatchState::Result CheckSet(const v1::WatchResponse& message, const Held& held,
                            const WatchState::Rejections& rejections) {
  if (!message.has_set()) return {};
  tenancy::SetDigest digest = held.digest();
  // Of these the old copy is held, if any.
  for (const auto& [key, rejection] : rejections) {
    const auto kind = static_cast<v1::Kind>(key.first);
    const int64_t old = held.RevisionOf(kind, key.second);
    if (old >= 0) digest.Remove(kind, key.second, old);
    digest.Add(kind, key.second, rejection.mod_revision);
  }
  std::map<v1::Kind, tenancy::SetDigest::Sum> expected;
  for (const v1::KindDigest& kind : message.set().kinds()) {
    expected[kind.kind()] = {kind.count(), kind.sum()};
  }
  for (int number = v1::Kind_MIN; number <= v1::Kind_MAX; ++number) {
    const auto kind = static_cast<v1::Kind>(number);
    // Kinds that are not known are skipped.
    if (tenancy::KindName(kind).empty()) continue;
    const tenancy::SetDigest::Sum sum = digest.OfKind(kind);
    if (sum == expected[kind]) continue;
    return {
        .refusal = WatchState::Refusal::kDiverged,
        .message = absl::StrCat(
            "at revision ", message.revision(), " the copy has ", sum.count,
            " objects of kind ", tenancy::KindName(kind), " that are not the ",
            expected[kind].count, " of the registry; all are asked for again")};
  }
  return {};
}

}  // namespace

absl::string_view WatchState::Name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kOlderRevision:
      return "older_revision";
    case Refusal::kOtherEpoch:
      return "other_epoch";
    case Refusal::kEmpty:
      return "empty";
    case Refusal::kIncomplete:
      return "incomplete";
    case Refusal::kOutOfOrder:
      return "out_of_order";
    case Refusal::kDiverged:
      return "diverged";
  }
  return "unknown";
}

WatchState::Result WatchState::Take(const v1::WatchResponse& message) {
  if (message.epoch().empty() || message.epoch().size() > kMaxEpochBytes ||
      message.revision() < 0) {
    return {.refusal = Refusal::kOutOfOrder,
            .message = "a message without an epoch or revision"};
  }
  switch (message.phase()) {
    case v1::WatchResponse::PHASE_RESET:
      return Reset(message);
    case v1::WatchResponse::PHASE_SNAPSHOT:
      return SnapshotPart(message);
    case v1::WatchResponse::PHASE_SNAPSHOT_END:
      return SnapshotEnd(message);
    case v1::WatchResponse::PHASE_DELTA:
    case v1::WatchResponse::PHASE_PROGRESS:
      return Delta(message);
    default:
      return {.refusal = Refusal::kOutOfOrder,
              .message = absl::StrCat("a message of an unknown phase, ",
                                      static_cast<int>(message.phase()))};
  }
}

WatchState::Result WatchState::CheckFollows(absl::string_view other_epoch,
                                            int64_t other_revision) const {
  if (!holds_something()) return {};
  if (other_epoch != epoch()) {
    if (accept_new_epoch_) return {};
    return {.refusal = Refusal::kOtherEpoch,
            .message = absl::StrCat(
                "the registry is of epoch ", other_epoch, ", the copy held of ",
                epoch(), " at revision ", revision(),
                ": point to the right registry, or start once with "
                "accept_new_epoch to take this one over")};
  }
  if (other_revision < revision()) {
    return {.refusal = Refusal::kOlderRevision,
            .message = absl::StrCat(
                "the registry is at revision ", other_revision,
                ", the copy held at ", revision(),
                " of the same epoch: its store was rolled back; restore it, or "
                "give it a new epoch and accept that")};
  }
  return {};
}

WatchState::Result WatchState::Reset(const v1::WatchResponse& message) {
  Result result = CheckFollows(message.epoch(), message.revision());
  if (result.refusal != Refusal::kNone) return result;
  incoming_ = std::make_unique<Incoming>();
  incoming_->epoch = message.epoch();
  incoming_->revision = message.revision();
  return result;
}

WatchState::Result WatchState::SnapshotPart(const v1::WatchResponse& message) {
  if (incoming_ == nullptr || message.epoch() != incoming_->epoch) {
    return {.refusal = Refusal::kOutOfOrder,
            .message = "a part of a snapshot that was not begun"};
  }
  for (const v1::Object& object : message.puts()) {
    ++incoming_->objects;
    const absl::Status status = incoming_->builder.Put(object);
    if (status.ok()) continue;
    incoming_->rejections[KeyOf(object)] = {std::string(status.message()),
                                            object.meta().mod_revision()};
  }
  return {};
}

WatchState::Result WatchState::SnapshotEnd(const v1::WatchResponse& message) {
  const std::unique_ptr<Incoming> incoming = std::move(incoming_);
  if (incoming == nullptr || message.epoch() != incoming->epoch ||
      message.revision() < incoming->revision) {
    return {.refusal = Refusal::kOutOfOrder,
            .message = "the end of a snapshot that was not begun"};
  }
  if (incoming->objects != message.object_count()) {
    return {.refusal = Refusal::kIncomplete,
            .message = absl::StrCat("a snapshot of ", incoming->objects,
                                    " objects that should have ",
                                    message.object_count())};
  }
  if (incoming->objects == 0 && held_->object_count() > 0 &&
      !accept_new_epoch_) {
    return {.refusal = Refusal::kEmpty,
            .message =
                absl::StrCat("the registry is empty, the copy held has ",
                             held_->object_count(),
                             " objects: restore its store, or start once with "
                             "accept_new_epoch to take the empty one over")};
  }
  Result set = CheckSet(message, incoming->builder, incoming->rejections);
  if (set.refusal != Refusal::kNone) return set;
  changes_ += incoming->objects;
  skipped_ += incoming->builder.skipped();
  // Objects that are not usable stay as they were, deltas included.
  if (!incoming->rejections.empty()) {
    if (pending_ != nullptr) Publish();
    for (const auto& [key, rejection] : incoming->rejections) {
      v1::ObjectRef ref;
      ref.set_kind(static_cast<v1::Kind>(key.first));
      ref.set_id(key.second);
      incoming->builder.Keep(*held_, ref);
    }
  }
  rejections_ = std::move(incoming->rejections);
  held_ =
      std::move(incoming->builder).Build(message.revision(), incoming->epoch);
  pending_ = nullptr;
  replaced_ = true;
  return {.replaced = true};
}

WatchState::Result WatchState::Delta(const v1::WatchResponse& message) {
  const bool is_delta = message.phase() == v1::WatchResponse::PHASE_DELTA;
  if (incoming_ != nullptr) {
    // A sign of life while a snapshot is on its way says nothing of it.
    if (!is_delta) return {};
    return {.refusal = Refusal::kOutOfOrder,
            .message = "a delta within a snapshot"};
  }
  if (!holds_something()) {
    return {.refusal = Refusal::kOutOfOrder,
            .message = "a delta before any snapshot"};
  }
  if (message.epoch() != epoch()) {
    return {.refusal = Refusal::kOtherEpoch,
            .message = absl::StrCat("a delta of epoch ", message.epoch(),
                                    " to a copy of ", epoch())};
  }
  if (message.revision() < revision() ||
      (is_delta && message.revision() == revision())) {
    return {.refusal = Refusal::kOlderRevision,
            .message = absl::StrCat("a delta of revision ", message.revision(),
                                    " to a copy at ", revision())};
  }
  if (pending_ == nullptr && message.revision() == revision()) {
    return CheckSet(message, *held_, rejections_);
  }
  if (pending_ == nullptr) pending_ = std::make_unique<SnapshotBuilder>(*held_);
  pending_revision_ = message.revision();

  const int64_t skipped_before = pending_->skipped();
  changes_ += message.puts_size() + message.deletes_size();
  for (const v1::ObjectRef& ref : message.deletes()) {
    pending_->Delete(ref);
    rejections_.erase({ref.kind(), ref.id()});
  }
  for (const v1::Object& object : message.puts()) {
    const absl::Status status = pending_->Put(object);
    if (status.ok()) {
      rejections_.erase(KeyOf(object));
    } else {
      rejections_[KeyOf(object)] = {std::string(status.message()),
                                    object.meta().mod_revision()};
    }
  }
  skipped_ += pending_->skipped() - skipped_before;
  return CheckSet(message, *pending_, rejections_);
}

std::shared_ptr<const tenancy::Snapshot> WatchState::Publish() {
  if (pending_ != nullptr) {
    held_ = std::move(*pending_).Build(pending_revision_, held_->epoch());
    pending_ = nullptr;
  }
  replaced_ = false;
  return held_;
}

v1::Ack WatchState::MakeAck() const {
  v1::Ack ack;
  ack.set_revision(revision());
  for (const auto& [key, rejected] : rejections_) {
    if (static_cast<size_t>(ack.rejections_size()) == kMaxRejectionsOfAnAck) {
      break;
    }
    v1::Rejection* rejection = ack.add_rejections();
    rejection->mutable_ref()->set_kind(static_cast<v1::Kind>(key.first));
    rejection->mutable_ref()->set_id(key.second);
    rejection->set_reason(rejected.reason);
  }
  return ack;
}

}  // namespace insula::registry_client
