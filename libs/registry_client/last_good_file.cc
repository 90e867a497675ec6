#include "libs/registry_client/last_good_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/files/replace_file.h"
#include "libs/registry_client/checked_file.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using tenancy::Snapshot;
using tenancy::SnapshotBuilder;

constexpr absl::string_view kMagic = "INSULAR1";
constexpr size_t kChunkBytes = 256 << 10;
// A chunk and one object more, of which the largest that passes the checks has
// less than 1 MiB.
constexpr size_t kMaxMessageBytes = 4 << 20;

absl::Status WriteObjects(const Snapshot& snapshot, CheckedFileWriter* writer) {
  absl::Status status;
  v1::WatchResponse chunk;
  size_t bytes = 0;
  chunk.set_phase(v1::WatchResponse::PHASE_SNAPSHOT);
  snapshot.ForEachObject([&](const v1::Object& object) {
    if (!status.ok()) return;
    *chunk.add_puts() = object;
    bytes += object.ByteSizeLong();
    if (bytes < kChunkBytes) return;
    status = writer->Append(chunk);
    chunk.clear_puts();
    bytes = 0;
  });
  RETURN_IF_ERROR(status);
  if (bytes > 0) RETURN_IF_ERROR(writer->Append(chunk));
  chunk.Clear();
  chunk.set_phase(v1::WatchResponse::PHASE_SNAPSHOT_END);
  chunk.set_object_count(snapshot.object_count());
  return writer->Append(chunk);
}

absl::StatusOr<LastGood> Read(const std::string& path) {
  ASSIGN_OR_RETURN(CheckedFileReader reader,
                   CheckedFileReader::Open(path, kMagic));
  LastGood found;
  v1::Subscribe header;
  RETURN_IF_ERROR(reader.Next(&header, kMaxMessageBytes));
  for (const int kind : header.kinds()) {
    found.kinds.push_back(static_cast<v1::Kind>(kind));
  }

  SnapshotBuilder builder{Snapshot()};
  int64_t count = 0;
  v1::WatchResponse chunk;
  while (true) {
    RETURN_IF_ERROR(reader.Next(&chunk, kMaxMessageBytes));
    if (chunk.phase() != v1::WatchResponse::PHASE_SNAPSHOT) break;
    for (const v1::Object& object : chunk.puts()) {
      ++count;
      if (!builder.Put(object).ok()) ++found.rejected;
    }
  }
  RETURN_IF_ERROR(reader.Finish());
  if (chunk.phase() != v1::WatchResponse::PHASE_SNAPSHOT_END ||
      chunk.object_count() != count || header.resume_revision() < 0 ||
      header.epoch().empty()) {
    return absl::DataLossError(
        absl::StrCat("file '", path, "' contradicts itself"));
  }
  found.snapshot =
      std::move(builder).Build(header.resume_revision(), header.epoch());

  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus("reading", path);
  found.saved_at = std::min(absl::TimeFromTimespec(info.st_mtim), absl::Now());
  return found;
}

// Moves a bad file out of the way, to be looked at. An older one is lost.
void SetAside(const std::string& path) {
  std::rename(path.c_str(), absl::StrCat(path, ".bad").c_str());
}

}  // namespace

std::string LastGoodFile::path() const {
  return absl::StrCat(dir_, "/registry-snapshot");
}

std::string LastGoodFile::previous_path() const {
  return absl::StrCat(path(), ".previous");
}

absl::StatusOr<LastGood> LastGoodFile::Load() {
  absl::StatusOr<LastGood> newest = Read(path());
  if (newest.ok()) return newest;
  if (absl::IsDataLoss(newest.status())) SetAside(path());
  absl::StatusOr<LastGood> previous = Read(previous_path());
  if (previous.ok()) {
    previous->warning = std::string(newest.status().message());
    return previous;
  }
  if (absl::IsNotFound(previous.status())) return newest.status();
  if (absl::IsDataLoss(previous.status())) SetAside(previous_path());
  return previous.status();
}

absl::Status LastGoodFile::Save(const Snapshot& snapshot,
                                const std::vector<v1::Kind>& kinds) {
  if (mkdir(dir_.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus("making directory", dir_);
  }
  const std::string next = absl::StrCat(path(), ".tmp");
  ASSIGN_OR_RETURN(CheckedFileWriter writer,
                   CheckedFileWriter::Create(next, kMagic));
  v1::Subscribe header;
  header.set_resume_revision(snapshot.revision());
  header.set_epoch(snapshot.epoch());
  for (const v1::Kind kind : kinds) header.add_kinds(kind);
  RETURN_IF_ERROR(writer.Append(header));
  RETURN_IF_ERROR(WriteObjects(snapshot, &writer));
  RETURN_IF_ERROR(writer.Finish());

  // If we stop between the two, Load finds the previous one.
  if (std::rename(path().c_str(), previous_path().c_str()) != 0 &&
      errno != ENOENT) {
    return ErrnoStatus("renaming", path());
  }
  if (std::rename(next.c_str(), path().c_str()) != 0) {
    return ErrnoStatus("renaming", next);
  }
  return files::SyncDirectory(dir_);
}

}  // namespace insula::registry_client
