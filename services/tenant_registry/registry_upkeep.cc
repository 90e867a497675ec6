// What the registry does with its store beside changes: audit, backup, and
// dropping what is old.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/digest.h"
#include "services/tenant_registry/page_token.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
// What is dropped while changes wait.
constexpr int64_t kCompactRevisions = 5000;
constexpr int kCompactAudit = 2000;

std::string Position(const Store::AuditPosition& position) {
  return absl::StrCat(position.revision, ".", position.sequence);
}

absl::StatusOr<Store::AuditQuery> ReadQuery(
    const v1::ListAuditRequest& request) {
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: must be 1 to ", kMaxPageSize,
                     ", or 0 for the default; got ", request.page_size()));
  }
  Store::AuditQuery query;
  query.limit =
      request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  query.from.revision = request.from_revision();
  query.actor = request.actor();
  switch (request.subject_case()) {
    case v1::ListAuditRequest::kTenantId:
      query.tenant = request.tenant_id();
      break;
    case v1::ListAuditRequest::kObject:
      query.object = KeyOf(request.object());
      break;
    case v1::ListAuditRequest::SUBJECT_NOT_SET:
      break;
  }
  return query;
}

absl::StatusOr<Store::AuditPosition> ParsePosition(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  Store::AuditPosition position;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &position.revision) ||
      !absl::SimpleAtoi(parts[1], &position.sequence)) {
    return absl::InvalidArgumentError("page_token: is none of this registry");
  }
  return position;
}

}  // namespace

asio::awaitable<absl::StatusOr<v1::ListAuditResponse>> Registry::ListAudit(
    v1::ListAuditRequest request) {
  CO_ASSIGN_OR_RETURN(Store::AuditQuery query, ReadQuery(request));
  PageToken token;
  token.state = epoch_;
  v1::ListAuditRequest question = request;
  question.clear_page_token();
  token.request = absl::BytesToHexString(Sha256(CanonicalBytes(question)));
  if (!request.page_token().empty()) {
    CO_ASSIGN_OR_RETURN(const std::string position,
                        ReadPageToken(request.page_token(), token));
    CO_ASSIGN_OR_RETURN(query.from, ParsePosition(position));
  }
  const auto page = std::make_shared<Store::AuditPage>();
  auto read = [self = shared_from_this(), page, query]() -> absl::Status {
    ASSIGN_OR_RETURN(*page, self->store_->ReadAudit(query));
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await environment_.blocking->Run(read));
  v1::ListAuditResponse response;
  for (v1::AuditEntry& entry : page->entries) {
    *response.add_entries() = std::move(entry);
  }
  if (page->next.has_value()) {
    response.set_next_page_token(WritePageToken(token, Position(*page->next)));
  }
  co_return response;
}

Registry::BackupFile::~BackupFile() {
  if (!path.empty()) unlink(path.c_str());
  registry->backing_up_ = false;
}

asio::awaitable<absl::StatusOr<std::shared_ptr<Registry::BackupFile>>>
Registry::Backup() {
  if (backing_up_.exchange(true)) {
    co_return absl::ResourceExhaustedError(
        "another backup is being made; try again when it is done");
  }
  const auto file = std::make_shared<BackupFile>();
  file->registry = shared_from_this();
  auto write = [self = shared_from_this(), file]() -> absl::Status {
    ASSIGN_OR_RETURN(file->revision,
                     self->store_->Backup(self->options_.backup_path));
    file->path = self->options_.backup_path;
    std::error_code error;
    file->bytes =
        static_cast<int64_t>(std::filesystem::file_size(file->path, error));
    if (error) return absl::UnavailableError(error.message());
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await environment_.blocking->Run(write));
  co_return file;
}

asio::awaitable<void> Registry::Maintain() {
  auto work = [self = shared_from_this()] {
    self->CompactByAge();
    self->CompactAudit();
    self->ForgetRetired();
    return absl::OkStatus();
  };
  const absl::Status ran = co_await environment_.blocking->Run(work);
  if (!ran.ok()) CompactionFailed(ran);
}

void Registry::CompactByAge() {
  const absl::StatusOr<int64_t> target = store_->RevisionBefore(
      environment_.clock->Now() - options_.keep_changes_for);
  if (target.ok()) {
    Compact(*target);
  } else {
    CompactionFailed(target.status());
  }
}

void Registry::CompactAudit() {
  while (true) {
    const absl::StatusOr<int> dropped = store_->CompactAudit(
        environment_.clock->Now() - options_.keep_audit_for, kCompactAudit);
    if (!dropped.ok()) CompactionFailed(dropped.status());
    if (!dropped.ok() || *dropped < kCompactAudit) return;
  }
}

// A tenant that retires an identity meanwhile does so at a later time.
void Registry::ForgetRetired() {
  const absl::Time oldest =
      environment_.clock->Now() - options_.retire_identities_for;
  absl::Time until;
  size_t before = 0;
  {
    sync::MutexLock lock(&mutex_);
    before = state_.retired().size();
    until = state_.retired().ForgetUntil(
        oldest, static_cast<size_t>(options_.max_retired_identities));
  }
  if (until == absl::InfinitePast()) return;
  if (const absl::Status status = store_->ForgetRetirements(until);
      !status.ok()) {
    CompactionFailed(status);
    return;
  }
  sync::MutexLock lock(&mutex_);
  state_.ForgetRetired(until);
  metrics().retired_identities.Set(
      static_cast<double>(state_.retired().size()));
  if (until < oldest) return;
  // These were not old enough.
  metrics().retired_identities_lost.Increment();
  logging::Warn(
      "more identities of former tenants than can be remembered; the oldest "
      "ones can be had by other tenants again",
      {{"before", before}, {"left", state_.retired().size()}});
}

void Registry::Compact(int64_t target) {
  int64_t at = 0;
  {
    sync::MutexLock lock(&mutex_);
    at = compacted_revision_;
  }
  while (at < target) {
    at = std::min(target, at + kCompactRevisions);
    if (const absl::Status status = store_->Compact(at); !status.ok()) {
      CompactionFailed(status);
      return;
    }
    sync::MutexLock lock(&mutex_);
    compacted_revision_ = std::max(compacted_revision_, at);
  }
}

void Registry::DistrustLog(int64_t revision, const absl::Status& why) {
  logging::Error("the log of changes is damaged; followers get all objects",
                 {{"revision", revision},
                  {"err", why},
                  {"cure", "restore a backup at the next occasion"}});
  sync::MutexLock lock(&mutex_);
  log_begin_ = std::max(log_begin_, revision);
}

void Registry::CompactionFailed(const absl::Status& status) {
  metrics().compaction_failures.Increment();
  logging::Warn("what is old can't be dropped", {{"err", status}});
}

}  // namespace insula::tenant_registry
