#include "libs/spool/store.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"

namespace insula::spool {
namespace {

constexpr size_t kMiB = 1 << 20;

rocksdb::Slice ToSlice(absl::string_view text) {
  return rocksdb::Slice(text.data(), text.size());
}

absl::Status ToStatus(absl::string_view what, const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat(what, ": ", status.ToString());
  if (status.IsNotFound()) return absl::NotFoundError(text);
  // A file that is not there is damage as well.
  if (status.IsCorruption() || status.IsPathNotFound()) {
    return absl::DataLossError(text);
  }
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

// What RocksDB says of itself, among our own lines. A log file of its own would
// end the process when it can't grow: Debian's RocksDB asserts that nothing is
// written to a file after a failure.
class DebugLog : public rocksdb::Logger {
 public:
  DebugLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (!logging::Enabled(logging::Level::kDebug)) return;
    char line[512];
    std::vsnprintf(line, sizeof(line), format, arguments);
    logging::Debug("rocksdb", {{"text", line}});
  }
};

rocksdb::DBOptions ServerOptions() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  // Records stand for themselves: a damaged one takes no other with it.
  options.wal_recovery_mode =
      rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  options.max_total_wal_size = 64 * kMiB;
  options.max_background_jobs = 2;
  options.max_open_files = 128;
  options.avoid_flush_during_shutdown = true;
  options.info_log = std::make_shared<DebugLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.bytes_per_sync = kMiB;
  options.max_manifest_file_size = 4 * kMiB;
  return options;
}

rocksdb::ColumnFamilyOptions FamilyOptions() {
  rocksdb::ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;  // Bodies are already.
  options.max_write_buffer_number = 3;
  // Files hold keys only, so there may be many before it hurts: writers are
  // not held up for the sake of compactions.
  options.level0_slowdown_writes_trigger = 64;
  options.level0_stop_writes_trigger = 256;
  options.soft_pending_compaction_bytes_limit = 0;
  options.hard_pending_compaction_bytes_limit = 0;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(4 * kMiB);
  table.cache_index_and_filter_blocks = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

rocksdb::ColumnFamilyOptions RecordOptions() {
  rocksdb::ColumnFamilyOptions options = FamilyOptions();
  options.write_buffer_size = 16 * kMiB;
  options.enable_blob_files = true;
  options.min_blob_size = 0;
  options.blob_file_size = 32 * kMiB;
  options.enable_blob_garbage_collection = true;
  return options;
}

rocksdb::ColumnFamilyOptions IndexOptions() {
  rocksdb::ColumnFamilyOptions options = FamilyOptions();
  options.write_buffer_size = 4 * kMiB;
  return options;
}

}  // namespace

struct Store::State {
  ~State() {
    if (index != nullptr) db->DestroyColumnFamilyHandle(index);
    if (records != nullptr) db->DestroyColumnFamilyHandle(records);
  }
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::ColumnFamilyHandle* records = nullptr;
  rocksdb::ColumnFamilyHandle* index = nullptr;
  std::atomic<bool> interrupted = false;
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, RecordOptions()},
      {"index", IndexOptions()}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(ServerOptions(), path, families, &handles, &db);
  if (!status.ok()) return ToStatus(absl::StrCat("opening ", path), status);
  auto state = std::make_unique<State>();
  state->db.reset(db);
  state->records = handles[0];
  state->index = handles[1];
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

absl::Status Store::Write(const Batch& changes, bool sync) {
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  for (rocksdb::ColumnFamilyHandle* family : {state_->records, state_->index}) {
    for (const std::string& key : changes.removed_keys) {
      if (status.ok()) status = batch.Delete(family, key);
    }
    for (const Range& range : changes.removed_ranges) {
      if (status.ok()) {
        status = batch.DeleteRange(family, range.first, range.limit);
      }
    }
  }
  for (const Put& put : changes.puts) {
    if (status.ok()) status = batch.Put(state_->records, put.key, put.record);
    if (status.ok()) status = batch.Put(state_->index, put.key, put.index);
  }
  if (status.ok()) {
    rocksdb::WriteOptions options;
    options.sync = sync;
    status = state_->db->Write(options, &batch);
  }
  return ToStatus("writing to the queue", status);
}

absl::StatusOr<std::string> Store::Read(absl::string_view key) {
  std::string value;
  rocksdb::ReadOptions options;
  options.fill_cache = false;  // Each is read once.
  const rocksdb::Status status =
      state_->db->Get(options, state_->records, ToSlice(key), &value);
  if (!status.ok()) return ToStatus("reading from the queue", status);
  return value;
}

absl::Status Store::ScanIndex(
    const std::function<void(absl::string_view key, absl::string_view value)>&
        visit) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(
      state_->db->NewIterator(options, state_->index));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const rocksdb::Slice key = it->key();
    const rocksdb::Slice value = it->value();
    visit(absl::string_view(key.data(), key.size()),
          absl::string_view(value.data(), value.size()));
  }
  return ToStatus("reading the index of the queue", it->status());
}

void Store::DropFiles(const Range& range) {
  const rocksdb::Slice first = ToSlice(range.first);
  const rocksdb::Slice limit = ToSlice(range.limit);
  for (rocksdb::ColumnFamilyHandle* family : {state_->records, state_->index}) {
    // What it leaves is removed by DeleteRange, and goes with Reclaim().
    rocksdb::DeleteFilesInRange(state_->db.get(), family, &first, &limit, false)
        .PermitUncheckedError();
  }
}

absl::Status Store::Reclaim() {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction =
      rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.blob_garbage_collection_policy =
      rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1.0;
  options.canceled = &state_->interrupted;
  for (rocksdb::ColumnFamilyHandle* family : {state_->records, state_->index}) {
    const rocksdb::Status status =
        state_->db->CompactRange(options, family, nullptr, nullptr);
    if (!status.ok()) return ToStatus("compacting the queue", status);
  }
  return absl::OkStatus();
}

void Store::Interrupt() { state_->interrupted = true; }

absl::Status Store::Probe() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return ToStatus("writing to the queue",
                  state_->db->Put(options, state_->records, "probe", ""));
}

uint64_t Store::DiskBytes() {
  uint64_t sum = 0;
  for (const char* property :
       {"rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"}) {
    for (rocksdb::ColumnFamilyHandle* family :
         {state_->records, state_->index}) {
      uint64_t bytes = 0;
      if (state_->db->GetIntProperty(family, property, &bytes)) sum += bytes;
    }
  }
  return sum;
}

}  // namespace insula::spool
