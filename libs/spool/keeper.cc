// The part of a Spool that keeps it well.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/spool/salvage.h"
#include "libs/spool/spool_impl.h"
#include "libs/status/status_macros.h"

namespace insula::spool {
namespace {

constexpr auto kTendInterval = std::chrono::seconds(1);
constexpr uint64_t kMinReclaim = 64 << 20;
constexpr uint64_t kTakeOverBytes = 4 << 20;  // Of one write.

}  // namespace

absl::Status Spool::Impl::Start() {
  metrics_.quarantined.Increment(
      static_cast<double>(directory_->quarantined()));
  CheckSpace();
  absl::Status status;
  {
    const std::unique_lock<std::shared_mutex> store_lock(store_mutex_);
    status = OpenStore();
  }
  if (absl::IsFailedPrecondition(status)) return status;
  if (!status.ok()) NoteFailure(status);
  committer_ = std::thread([this] { RunCommitter(); });
  keeper_ = std::thread([this] { RunKeeper(); });
  return absl::OkStatus();
}

absl::Status Spool::Impl::OpenStore() {
  store_.reset();
  QueueIndex index;
  uint64_t last_sequence = 0;
  RETURN_IF_ERROR(OpenSoundStore(&index, &last_sequence));
  Store::Batch removals;
  {
    sync::MutexLock lock(&mutex_);
    for (const auto& [uid, until] : removed_) {
      const uint64_t through = until;
      for (const Place& place :
           index.TakeWhile(uid, [through](const Place& candidate) {
             return candidate.sequence <= through;
           })) {
        removals.removed_keys.push_back(RecordKey(uid, place.sequence));
      }
    }
    index.TakeReservations(index_);
    index_ = std::move(index);
    // Numbers are not used twice, also not those of removed records.
    next_sequence_ =
        std::max({next_sequence_, last_sequence + 1,
                  static_cast<uint64_t>(absl::ToUnixMicros(clock_->Now()))});
  }
  RETURN_IF_ERROR(store_->Probe());
  if (!removals.removed_keys.empty()) {
    RETURN_IF_ERROR(store_->Write(removals, true));
  }
  // Nobody adds to it meanwhile: that takes store_mutex_.
  sync::MutexLock lock(&mutex_);
  removed_.clear();
  failure_ = absl::OkStatus();
  return absl::OkStatus();
}

absl::Status Spool::Impl::OpenSoundStore(QueueIndex* index,
                                         uint64_t* last_sequence) {
  const auto open = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(store_, Store::Open(directory_->store_path()));
    return LoadIndex(index, last_sequence);
  };
  const absl::Status status = open();
  if (!absl::IsDataLoss(status)) return status;
  store_.reset();
  *index = QueueIndex();
  // The new store takes the place of the damaged one when it has all: who is
  // killed meanwhile begins again.
  ASSIGN_OR_RETURN(const std::string next, directory_->BeginStore());
  ASSIGN_OR_RETURN(store_, Store::Open(next));
  RETURN_IF_ERROR(TakeOver(directory_->store_path()));
  store_.reset();
  ASSIGN_OR_RETURN(const std::string where,
                   directory_->ReplaceStore(clock_->Now()));
  metrics_.quarantined.Increment();
  logging::Error("the queue on disk is damaged and was set aside",
                 {{"path", where}, {"err", status}});
  return open();
}

absl::Status Spool::Impl::TakeOver(const std::string& damaged) {
  Store::Batch batch;
  uint64_t bytes = 0;
  int64_t records = 0;
  const auto found = [&](absl::string_view key, absl::string_view value,
                         const Record& record) {
    const IndexEntry entry{value.size(), record.samples, record.enqueued};
    batch.puts.push_back(
        {std::string(key), std::string(value), EncodeIndexEntry(key, entry)});
    ++records;
    bytes += value.size();
    if (bytes < kTakeOverBytes) return absl::OkStatus();
    bytes = 0;
    return store_->Write(std::exchange(batch, {}), true);
  };
  RETURN_IF_ERROR(Salvage(damaged, found));
  RETURN_IF_ERROR(store_->Write(batch, true));
  logging::Warn("took over the sound records of the damaged queue",
                {{"path", damaged}, {"records", records}});
  return absl::OkStatus();
}

absl::Status Spool::Impl::LoadIndex(QueueIndex* index,
                                    uint64_t* last_sequence) {
  absl::Status unreadable;
  Store::Batch damaged;
  RETURN_IF_ERROR(
      store_->ScanIndex([&](absl::string_view key, absl::string_view value) {
        const auto entry = DecodeIndexEntry(key, value);
        if (absl::IsFailedPrecondition(entry.status())) {
          unreadable = entry.status();
        } else if (!entry.ok()) {
          damaged.removed_keys.emplace_back(key);
        } else {
          uint64_t sequence = 0;
          for (const char c : key.substr(kTenantUidBytes)) {
            sequence = sequence << 8 | static_cast<unsigned char>(c);
          }
          *last_sequence = std::max(*last_sequence, sequence);
          index->Add(key.substr(0, kTenantUidBytes),
                     {sequence, entry->bytes, entry->samples,
                      std::min(entry->enqueued, Now())});
        }
      }));
  RETURN_IF_ERROR(unreadable);
  if (damaged.removed_keys.empty()) return absl::OkStatus();
  metrics_.DroppedRecords(Drop::kDamaged)
      .Increment(static_cast<double>(damaged.removed_keys.size()));
  logging::Error("queued parts are damaged and were left out",
                 {{"records", damaged.removed_keys.size()}});
  return store_->Write(damaged, false);
}

void Spool::Impl::RunKeeper() {
  while (true) {
    {
      std::unique_lock<sync::Mutex> lock(mutex_);
      if (!stopping_) to_tend_.wait_for(lock, kTendInterval);
      if (stopping_) return;
    }
    Tend();
  }
}

void Spool::Impl::Tend() {
  sync::MutexLock lock(&tend_mutex_);
  CheckSpace();
  absl::Status failure;
  bool empty;
  {
    sync::MutexLock state(&mutex_);
    failure = failure_;
    empty = index_.stored_records() == 0;
    // A store that can't be opened now could still be read until then.
    if (!failure.ok() && !space_.ok() && !empty) return;
  }
  if (!failure.ok()) {
    const std::unique_lock<std::shared_mutex> store_lock(store_mutex_);
    const bool was_open = store_ != nullptr;
    store_.reset();
    if (empty && was_open) {
      // Its space may be what is missing.
      std::error_code ignored;
      std::filesystem::remove_all(directory_->store_path(), ignored);
    }
    const absl::Status status = OpenStore();
    if (!status.ok()) return NoteFailure(status);
    metrics_.reopened.Increment();
    logging::Info("the queue on disk can be written again");
  }
  DropOld();
  ReclaimIfWorth();
}

void Spool::Impl::CheckSpace() {
  const auto free = directory_->FreeBytes();
  absl::Status space;
  if (!free.ok()) {
    space = free.status();
  } else if (*free < options_.min_free_bytes) {
    space = absl::UnavailableError(
        absl::StrCat("spool: only ", *free, " bytes are free on the disk of ",
                     options_.directory, ", and ", options_.min_free_bytes,
                     " must be: make room"));
  }
  sync::MutexLock lock(&mutex_);
  if (space.ok() != space_.ok()) {
    logging::Log(space.ok() ? logging::Level::kInfo : logging::Level::kError,
                 space.ok() ? "the disk of the queue has room again"
                            : "the disk of the queue is full",
                 {{"path", options_.directory}});
  }
  space_ = space;
}

void Spool::Impl::DropOld() {
  const absl::Time before = Now() - options_.max_age;
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  std::vector<std::pair<std::string, std::vector<Place>>> dropped;
  {
    sync::MutexLock lock(&mutex_);
    std::vector<std::string> uids;
    for (const auto& [uid, queue] : index_.queues()) {
      if (!queue.places.empty() && queue.places.front().enqueued < before) {
        uids.push_back(uid);
      }
    }
    for (const std::string& uid : uids) {
      dropped.emplace_back(uid,
                           index_.TakeWhile(uid, [before](const Place& place) {
                             return place.enqueued < before;
                           }));
    }
  }
  for (const auto& [uid, places] : dropped) {
    CountDropped(Drop::kTooOld, places);
    if (!WriteRemoval(uid, places).ok()) return;
  }
}

void Spool::Impl::ReclaimIfWorth() {
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  if (store_ == nullptr) return;
  uint64_t dead;
  {
    sync::MutexLock lock(&mutex_);
    dead = dead_bytes_;
    const uint64_t live = index_.stored_bytes();
    if (dead < kMinReclaim || dead < live) return;
  }
  const absl::Status status = store_->Reclaim();
  sync::MutexLock lock(&mutex_);
  if (stopping_) return;
  if (status.ok()) {
    dead_bytes_ -= dead;
  } else {
    logging::Warn("the space of delivered parts was not given back",
                  {{"err", status}});
  }
}

void Spool::Impl::NoteFailure(const absl::Status& status) {
  sync::MutexLock lock(&mutex_);
  if (failure_.ok()) {
    logging::Error("the queue on disk can't be written",
                   {{"path", options_.directory}, {"err", status}});
  }
  failure_ = status;
}

void Spool::Impl::CountDropped(Drop reason, const std::vector<Place>& places) {
  if (places.empty()) return;
  int64_t samples = 0;
  for (const Place& place : places) samples += place.samples;
  metrics_.DroppedRecords(reason).Increment(static_cast<double>(places.size()));
  metrics_.DroppedSamples(reason).Increment(static_cast<double>(samples));
}

absl::Status Spool::Impl::Writable() const {
  sync::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  return space_;
}

bool Spool::Impl::HasBacklog(absl::string_view uid) const {
  sync::MutexLock lock(&mutex_);
  return index_.Find(uid) != nullptr;
}

std::optional<Spool::Backlog> Spool::Impl::BacklogOf(
    absl::string_view uid) const {
  sync::MutexLock lock(&mutex_);
  const QueueIndex::Queue* const queue = index_.Find(uid);
  if (queue == nullptr || queue->places.empty()) return std::nullopt;
  return Backlog{std::string(uid), queue->bytes,
                 static_cast<int64_t>(queue->places.size()),
                 queue->places.front().enqueued};
}

std::vector<Spool::Backlog> Spool::Impl::Backlogs() const {
  std::vector<Backlog> backlogs;
  sync::MutexLock lock(&mutex_);
  for (const auto& [uid, queue] : index_.queues()) {
    if (queue.places.empty()) continue;
    backlogs.push_back({uid, queue.bytes,
                        static_cast<int64_t>(queue.places.size()),
                        queue.places.front().enqueued});
  }
  return backlogs;
}

void Spool::Impl::UpdateGauges() {
  const absl::Time now = Now();
  {
    sync::MutexLock lock(&mutex_);
    absl::Time oldest = now;
    int64_t tenants = 0;
    for (const auto& [uid, queue] : index_.queues()) {
      if (queue.places.empty()) continue;
      ++tenants;
      oldest = std::min(oldest, queue.places.front().enqueued);
    }
    metrics_.bytes.Set(static_cast<double>(index_.stored_bytes()));
    metrics_.records.Set(static_cast<double>(index_.stored_records()));
    metrics_.tenants.Set(static_cast<double>(tenants));
    metrics_.oldest_seconds.Set(absl::ToDoubleSeconds(now - oldest));
    metrics_.writable.Set(failure_.ok() && space_.ok() ? 1 : 0);
  }
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_,
                                                       std::try_to_lock);
  if (store_lock.owns_lock() && store_ != nullptr) {
    metrics_.disk_bytes.Set(static_cast<double>(store_->DiskBytes()));
  }
}

}  // namespace insula::spool
