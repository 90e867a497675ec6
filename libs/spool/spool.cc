#include "libs/spool/spool.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/spool/spool_impl.h"
#include "libs/status/status_macros.h"

namespace insula::spool {
namespace {

// One sync is for at most so much.
constexpr uint64_t kMaxGroupBytes = 8 << 20;

// What a record takes, to the byte.
uint64_t SizeOf(const Record& record) {
  return 78 + record.tenant_id.size() + record.upstream_id.size() +
         record.body.size();
}

absl::Status CheckUid(absl::string_view uid) {
  if (uid.size() == kTenantUidBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("spool: the uid of a tenant has ", kTenantUidBytes,
                   " bytes, this one ", uid.size()));
}

std::vector<std::string> KeysOf(absl::string_view uid,
                                const std::vector<Place>& places) {
  std::vector<std::string> keys;
  for (const Place& place : places) {
    keys.push_back(RecordKey(uid, place.sequence));
  }
  return keys;
}

}  // namespace

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spool::~Spool() = default;

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(Options options,
                                                   const Clock* clock,
                                                   metrics::Registry* metrics) {
  ASSIGN_OR_RETURN(auto directory,
                   Directory::Open(options.directory, clock->Now()));
  auto impl = std::make_unique<Impl>(std::move(options), clock, metrics,
                                     std::move(directory));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Spool>(new Spool(std::move(impl)));
}

void Spool::Append(Record record, Quota quota,
                   std::function<void(absl::Status)> done) {
  impl_->Append(std::move(record), quota, std::move(done));
}
bool Spool::HasBacklog(absl::string_view tenant_uid) const {
  return impl_->HasBacklog(tenant_uid);
}
std::optional<Spool::Backlog> Spool::BacklogOf(
    absl::string_view tenant_uid) const {
  return impl_->BacklogOf(tenant_uid);
}
std::vector<Spool::Backlog> Spool::Backlogs() const {
  return impl_->Backlogs();
}
absl::StatusOr<std::vector<Spool::Stored>> Spool::Read(
    absl::string_view tenant_uid, uint64_t max_bytes) {
  return impl_->Read(tenant_uid, max_bytes);
}
absl::Status Spool::Remove(absl::string_view tenant_uid, uint64_t through) {
  return impl_->Remove(tenant_uid, through, nullptr);
}
absl::Status Spool::Discard(Drop reason, absl::string_view tenant_uid,
                            uint64_t through) {
  return impl_->Remove(tenant_uid, through, &reason);
}
absl::Status Spool::DropTenant(absl::string_view tenant_uid) {
  return impl_->DropTenant(tenant_uid);
}
absl::Status Spool::Writable() const { return impl_->Writable(); }
void Spool::Tend() { impl_->Tend(); }

Spool::Impl::Impl(Options options, const Clock* clock,
                  metrics::Registry* registry,
                  std::unique_ptr<Directory> directory)
    : options_(std::move(options)),
      clock_(clock),
      ahead_(clock->Now() - options_.steady_clock->Now()),
      metrics_(registry),
      directory_(std::move(directory)) {
  hook_ = registry->OnCollect([this] { UpdateGauges(); });
}

Spool::Impl::~Impl() {
  hook_ = metrics::CollectHook();
  {
    sync::MutexLock lock(&mutex_);
    stopping_ = true;
    to_commit_.notify_all();
    to_tend_.notify_all();
  }
  {
    const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
    if (store_ != nullptr) store_->Interrupt();
  }
  if (committer_.joinable()) committer_.join();
  if (keeper_.joinable()) keeper_.join();
}

void Spool::Impl::Append(Record record, Quota quota,
                         std::function<void(absl::Status)> done) {
  absl::Status status = CheckUid(record.tenant_uid);
  if (status.ok()) {
    Waiting waiting;
    waiting.bytes = SizeOf(record);
    waiting.record = std::move(record);
    waiting.record.enqueued = Now();
    sync::MutexLock lock(&mutex_);
    status = Refuse(waiting, quota, &waiting.removed_keys);
    if (status.ok()) {
      waiting.done = std::move(done);
      index_.Reserve(waiting.record.tenant_uid, waiting.bytes);
      waiting_bytes_ += waiting.bytes;
      waiting_.push_back(std::move(waiting));
      to_commit_.notify_one();
    }
  }
  if (!status.ok()) done(std::move(status));
}

absl::Status Spool::Impl::Refuse(const Waiting& waiting, Quota quota,
                                 std::vector<std::string>* removed_keys) {
  for (const absl::Status* trouble : {&failure_, &space_}) {
    if (trouble->ok()) continue;
    metrics_.refused_unwritable.Increment();
    return absl::UnavailableError(trouble->message());
  }
  if (stopping_) return absl::UnavailableError("spool: it is being closed");
  if (waiting_bytes_ + waiting.bytes > options_.max_waiting_bytes &&
      !waiting_.empty()) {
    metrics_.refused_busy.Increment();
    return absl::UnavailableError(
        absl::StrCat("spool: ", waiting_bytes_,
                     " bytes wait for the disk already; it is too slow"));
  }
  const absl::Status room =
      MakeRoom(waiting.record.tenant_uid, waiting.bytes, quota, removed_keys);
  if (!room.ok()) metrics_.refused_full.Increment();
  return room;
}

absl::Status Spool::Impl::MakeRoom(absl::string_view uid, uint64_t bytes,
                                   Quota quota,
                                   std::vector<std::string>* removed_keys) {
  const uint64_t quota_bytes =
      quota.max_bytes > 0 ? quota.max_bytes : options_.max_tenant_bytes;
  const QueueIndex::Queue* const queue = index_.Find(uid);
  const uint64_t held = queue == nullptr ? 0 : queue->bytes + queue->reserved;
  const uint64_t stored = queue == nullptr ? 0 : queue->bytes;
  if (bytes > std::min(quota_bytes, options_.max_bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("spool: a record of ", bytes,
                     " bytes is larger than the queue of ", quota_bytes));
  }
  const auto over = [bytes](uint64_t used, uint64_t limit) {
    return used + bytes > limit ? used + bytes - limit : 0;
  };
  const uint64_t tenant_over = over(held, quota_bytes);
  uint64_t missing =
      std::max(tenant_over, over(index_.bytes(), options_.max_bytes));
  const bool many = index_.records() >= options_.max_records;
  if (missing == 0 && !many) return absl::OkStatus();
  const bool can_drop = stored > 0 && stored >= missing;
  if (!quota.drop_oldest || !can_drop) {
    return absl::ResourceExhaustedError(
        tenant_over > 0
            ? absl::StrCat("the tenant's queue is full: ", held, " of ",
                           quota_bytes, " bytes wait")
            : absl::StrCat("the queue of all tenants is full: ", index_.bytes(),
                           " bytes and ", index_.records(), " records wait"));
  }
  bool first = true;
  const std::vector<Place> dropped =
      index_.TakeWhile(uid, [&](const Place& place) {
        if (missing == 0 && !(many && first)) return false;
        first = false;
        missing -= std::min(missing, place.bytes);
        return true;
      });
  for (const Place& place : dropped) dead_bytes_ += place.bytes;
  CountDropped(Drop::kFull, dropped);
  *removed_keys = KeysOf(uid, dropped);
  return absl::OkStatus();
}

void Spool::Impl::RunCommitter() {
  while (true) {
    std::vector<Waiting> group = AwaitGroup();
    if (group.empty()) return;
    const absl::Status status = Commit(group);
    for (Waiting& waiting : group) waiting.done(status);
  }
}

std::vector<Spool::Impl::Waiting> Spool::Impl::AwaitGroup() {
  std::vector<Waiting> group;
  sync::MutexLock lock(&mutex_);
  while (waiting_.empty() && !stopping_) to_commit_.wait(mutex_);
  uint64_t bytes = 0;
  while (!waiting_.empty() &&
         (group.empty() || bytes + waiting_.front().bytes <= kMaxGroupBytes)) {
    bytes += waiting_.front().bytes;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

absl::Status Spool::Impl::Commit(const std::vector<Waiting>& group) {
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  absl::Status status;
  uint64_t first;
  {
    sync::MutexLock lock(&mutex_);
    status = failure_;
    first = next_sequence_;
    next_sequence_ += group.size();
  }
  if (status.ok()) {
    Store::Batch batch;
    uint64_t sequence = first;
    for (const Waiting& waiting : group) {
      const Record& record = waiting.record;
      const std::string key = RecordKey(record.tenant_uid, sequence++);
      batch.removed_keys.insert(batch.removed_keys.end(),
                                waiting.removed_keys.begin(),
                                waiting.removed_keys.end());
      const IndexEntry entry{waiting.bytes, record.samples, record.enqueued};
      batch.puts.push_back(
          {key, EncodeRecord(key, record), EncodeIndexEntry(key, entry)});
    }
    const absl::Time start = SteadyClock::Get()->Now();
    status = store_->Write(batch, options_.sync);
    metrics_.commit_seconds.Observe(
        absl::ToDoubleSeconds(SteadyClock::Get()->Now() - start));
    if (!status.ok()) NoteFailure(status);
  }
  sync::MutexLock lock(&mutex_);
  for (const Waiting& waiting : group) {
    const Record& record = waiting.record;
    if (status.ok()) {
      index_.Add(record.tenant_uid,
                 {first++, waiting.bytes, record.samples, record.enqueued});
      metrics_.appended.Increment();
    }
    index_.Settle(record.tenant_uid, waiting.bytes);
    waiting_bytes_ -= waiting.bytes;
  }
  if (status.ok()) return status;
  metrics_.refused_unwritable.Increment(static_cast<double>(group.size()));
  return absl::UnavailableError(status.message());
}

absl::StatusOr<std::vector<Spool::Stored>> Spool::Impl::Read(
    absl::string_view uid, uint64_t max_bytes) {
  while (true) {
    std::vector<Stored> records;
    std::vector<uint64_t> damaged;
    {
      const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
      std::vector<uint64_t> sequences;
      {
        sync::MutexLock lock(&mutex_);
        const QueueIndex::Queue* const queue = index_.Find(uid);
        if (queue == nullptr || queue->places.empty()) {
          return absl::NotFoundError("spool: the tenant has no queue");
        }
        uint64_t bytes = 0;
        for (const Place& place : queue->places) {
          bytes += place.bytes;
          if (bytes > max_bytes && !sequences.empty()) break;
          sequences.push_back(place.sequence);
        }
      }
      if (store_ == nullptr) {
        return absl::UnavailableError("spool: the store is not open");
      }
      for (const uint64_t sequence : sequences) {
        const std::string key = RecordKey(uid, sequence);
        const auto value = store_->Read(key);
        if (absl::IsUnavailable(value.status())) {
          if (records.empty() && damaged.empty()) return value.status();
          break;
        }
        auto record = value.ok() ? DecodeRecord(key, *value)
                                 : absl::StatusOr<Record>(value.status());
        if (record.ok()) {
          records.push_back({sequence, *std::move(record)});
        } else {
          damaged.push_back(sequence);
        }
      }
    }
    // After a look at the index: what was removed meanwhile is not damaged.
    if (!damaged.empty()) DropDamaged(uid, damaged);
    if (!records.empty()) return records;
  }
}

void Spool::Impl::DropDamaged(absl::string_view uid,
                              const std::vector<uint64_t>& sequences) {
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  std::vector<Place> places;
  {
    sync::MutexLock lock(&mutex_);
    places = index_.Take(uid, sequences);
  }
  CountDropped(Drop::kDamaged, places);
  for (const Place& place : places) {
    logging::Error(
        "a queued part is damaged and was left out",
        {{"key", absl::BytesToHexString(RecordKey(uid, place.sequence))},
         {"samples", place.samples}});
  }
  // Should it fail, they are found to be damaged once more.
  WriteRemoval(uid, places).IgnoreError();
}

absl::Status Spool::Impl::Remove(absl::string_view uid, uint64_t through,
                                 const Drop* reason) {
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  std::vector<Place> places;
  {
    sync::MutexLock lock(&mutex_);
    places = index_.TakeWhile(uid, [through](const Place& place) {
      return place.sequence <= through;
    });
    if (!places.empty() && !failure_.ok()) {
      uint64_t& until = removed_[uid];
      until = std::max(until, places.back().sequence);
    }
  }
  if (reason != nullptr) CountDropped(*reason, places);
  return WriteRemoval(uid, places);
}

absl::Status Spool::Impl::WriteRemoval(absl::string_view uid,
                                       const std::vector<Place>& places) {
  if (places.empty()) return absl::OkStatus();
  {
    sync::MutexLock lock(&mutex_);
    for (const Place& place : places) dead_bytes_ += place.bytes;
    if (!failure_.ok()) return absl::UnavailableError(failure_.message());
  }
  Store::Batch batch;
  batch.removed_keys = KeysOf(uid, places);
  const absl::Status status = store_->Write(batch, false);
  if (status.ok()) return status;
  NoteFailure(status);
  sync::MutexLock lock(&mutex_);
  uint64_t& until = removed_[uid];
  until = std::max(until, places.back().sequence);
  return status;
}

absl::Status Spool::Impl::DropTenant(absl::string_view uid) {
  RETURN_IF_ERROR(CheckUid(uid));
  const std::shared_lock<std::shared_mutex> store_lock(store_mutex_);
  std::vector<Place> places;
  {
    sync::MutexLock lock(&mutex_);
    places = index_.TakeWhile(uid, [](const Place&) { return true; });
    CountDropped(Drop::kTenantGone, places);
    for (const Place& place : places) dead_bytes_ += place.bytes;
    if (!places.empty() && !failure_.ok()) {
      removed_[uid] = places.back().sequence;
      return absl::UnavailableError(failure_.message());
    }
  }
  if (places.empty()) return absl::OkStatus();
  const Store::Range range{RecordKey(uid, 0),
                           RecordKey(uid, places.back().sequence + 1)};
  // The other way round a dropped file could take the removal with it, and
  // leave what was removed in another one.
  store_->DropFiles(range);
  Store::Batch batch;
  batch.removed_ranges.push_back(range);
  const absl::Status status = store_->Write(batch, false);
  if (!status.ok()) NoteFailure(status);
  return status;
}

}  // namespace insula::spool
