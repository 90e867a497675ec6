#include "services/rule_sync/rule_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/labels/validity.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"
#include "services/rule_sync/rule_file_name.h"

namespace insula::rule_sync {
namespace {

// A directory with more entries is a mistake.
constexpr size_t kMaxTenants = 500'000;
constexpr size_t kMaxTenantEntries = 20'000;
constexpr size_t kMaxErrors = 1000;

struct Entry {
  mode_t mode = 0;
  size_t size = 0;
  files::FileStamp stamp;
};
using Entries = std::map<std::string, Entry>;

// False if there is nothing of that name.
absl::StatusOr<bool> Look(int directory, const std::string& name,
                          Entry* entry) {
  struct stat info = {};
  if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    entry->mode = info.st_mode;
    entry->size = static_cast<size_t>(info.st_size);
    entry->stamp = {info.st_dev, info.st_ino, info.st_size,
                    absl::TimeFromTimespec(info.st_mtim),
                    absl::TimeFromTimespec(info.st_ctim)};
    return true;
  }
  if (errno == ENOENT) return false;
  return absl::ErrnoToStatus(errno,
                             absl::StrCat(absl::CHexEscape(name), ": stat"));
}

// What is in a directory, `before` being what was known to be there. Files that
// are replaced while a directory is read may be missing from what it lists, so
// those are looked for by name.
template <typename Before>
absl::StatusOr<Entries> List(const std::string& path, size_t max_entries,
                             const Before& before) {
  const int fd =
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": can't be opened"));
  }
  DIR* const stream = fdopendir(fd);
  if (stream == nullptr) {
    close(fd);
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": can't be listed"));
  }
  const absl::Cleanup close_stream = [stream] { closedir(stream); };
  Entries entries;
  while (true) {
    errno = 0;
    const dirent* const next = readdir(stream);
    if (next == nullptr) break;
    const std::string name = next->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == max_entries) {
      return absl::ResourceExhaustedError(absl::StrCat(
          path, ": has more than ", max_entries, " entries, remove some"));
    }
    Entry entry;
    ASSIGN_OR_RETURN(const bool there, Look(fd, name, &entry));
    if (there) entries[name] = entry;
  }
  if (errno != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": can't be listed"));
  }
  for (const auto& [name, ignored] : before) {
    if (entries.contains(name)) continue;
    Entry entry;
    ASSIGN_OR_RETURN(const bool there, Look(fd, name, &entry));
    if (there) entries[name] = entry;
  }
  return entries;
}

void AddError(absl::string_view what, absl::string_view why, SourceView* view) {
  if (view->errors.size() < kMaxErrors) {
    view->errors.push_back(absl::StrCat(what, ": ", why));
  } else if (view->errors.size() == kMaxErrors) {
    view->errors.push_back("there are further errors");
  }
}

// "" for names that are none of rule files.
absl::string_view StemOf(absl::string_view name) {
  if (absl::StartsWith(name, ".")) return "";
  if (absl::ConsumeSuffix(&name, ".yaml") ||
      absl::ConsumeSuffix(&name, ".yml")) {
    return name;
  }
  return "";
}

bool IsPrintable(absl::string_view name) {
  return labels::IsValidUtf8(name) &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return absl::ascii_iscntrl(c); });
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SourceView>> RuleSource::Scan(
    const FindUid& find_uid, absl::Time now) {
  ASSIGN_OR_RETURN(const Entries entries,
                   List(options_.directory, kMaxTenants, known_));
  auto view = std::make_shared<SourceView>();
  for (const auto& [id, entry] : entries) {
    const std::string shown = absl::CHexEscape(id);
    if (S_ISLNK(entry.mode)) {
      AddError(shown, "is a symbolic link, put the directory itself there",
               view.get());
    } else if (!S_ISDIR(entry.mode)) {
      AddError(shown,
               "is not a directory; rule files belong into one that has "
               "the id of their tenant",
               view.get());
    } else if (!tenancy::TenantId::IsValid(id)) {
      AddError(shown, "is not a tenant id", view.get());
    } else if (const std::optional<std::string> uid = find_uid(id);
               !uid.has_value()) {
      view->unknown.insert(id);
      AddError(shown, "there is no such tenant", view.get());
    } else {
      ScanTenant(id, *uid, now, view.get());
    }
  }
  // Also while there is no such tenant, for the next one of that id.
  owners_.Retain(
      [&entries](const std::string& id) { return entries.contains(id); });
  owners_saved_ = owners_.Save();
  for (auto it = known_.begin(); it != known_.end();) {
    it = view->tenants.contains(it->first) ? std::next(it) : known_.erase(it);
  }
  if (last_ == nullptr || *last_ != *view) last_ = std::move(view);
  return last_;
}

void RuleSource::ScanTenant(const std::string& id, const std::string& uid,
                            absl::Time now, SourceView* view) {
  SourceTenant* const tenant = &view->tenants[id];
  tenant->uid = uid;
  KnownFiles* const known = &known_[id];
  const DirectoryOwner before = owners_.For(id, uid);
  const absl::StatusOr<Entries> entries = List(
      absl::StrCat(options_.directory, "/", id), kMaxTenantEntries, *known);
  if (!entries.ok()) {
    const std::string error(entries.status().message());
    AddError(id, error, view);
    tenant->complete = false;
    for (const auto& [name, file] : *known) {
      if (before.former.contains(name)) continue;
      tenant->files.push_back(
          {name, std::string(StemOf(name)), file.text, error});
    }
    return;
  }
  KnownFiles next;
  DirectoryOwner owner;
  owner.uid = uid;
  std::set<std::string, std::less<>> stems;
  size_t bytes = 0;
  for (const auto& [name, entry] : *entries) {
    const absl::string_view stem = StemOf(name);
    if (stem.empty()) continue;
    if (const auto former = before.former.find(name);
        former != before.former.end() && former->second == entry.stamp) {
      owner.former.insert(*former);
      AddError(absl::StrCat(id, "/", absl::CHexEscape(name)),
               "was written for a former tenant of this id, and is not for the "
               "present one; write it anew, or remove it",
               view);
      continue;
    }
    owner.files[name] = entry.stamp;
    const auto refuse = [&, &name_ = name](absl::string_view why) {
      AddError(absl::StrCat(id, "/", absl::CHexEscape(name_)), why, view);
      tenant->files.push_back(
          {IsPrintable(name_) ? name_ : absl::CHexEscape(name_),
           std::string(stem), nullptr, std::string(why)});
    };
    if (!IsPrintable(name) || !IsUsableStem(stem)) {
      refuse(
          "has a name that is too long, or has control characters or no "
          "UTF-8, rename it");
    } else if (!stems.emplace(stem).second) {
      refuse("has the name of another file but for the end, rename it");
    } else if (S_ISLNK(entry.mode)) {
      refuse("is a symbolic link, put the file itself there");
    } else if (!S_ISREG(entry.mode)) {
      refuse("is not a regular file");
    } else if (entry.size > options_.max_file_bytes) {
      refuse(absl::StrCat("has ", entry.size, " bytes, more than the ",
                          options_.max_file_bytes,
                          " of rules.max_file, split it"));
    } else if (next.size() == options_.max_files) {
      refuse(absl::StrCat("is one more than the ", options_.max_files,
                          " files of rules.max_files"));
    } else if (bytes + entry.size > options_.max_tenant_bytes) {
      refuse(absl::StrCat("makes the tenant's files longer than the ",
                          options_.max_tenant_bytes,
                          " bytes of rules.max_tenant"));
    } else {
      bytes += entry.size;
      if (const auto it = known->find(name); it != known->end()) {
        next.insert(*it);
      }
      ScanFile(id, name, &next, now, tenant, view);
    }
  }
  *known = std::move(next);
  owners_.Keep(id, std::move(owner));
}

void RuleSource::ScanFile(const std::string& id, const std::string& name,
                          KnownFiles* known, absl::Time now,
                          SourceTenant* tenant, SourceView* view) {
  const auto it = known->find(name);
  files::SettledFileOptions options;
  options.max_bytes = options_.max_file_bytes;
  options.follow_links = false;
  absl::StatusOr<files::SettledFile> read = files::ReadSettledFile(
      absl::StrCat(options_.directory, "/", id, "/", name),
      it == known->end() ? std::nullopt : std::optional(it->second.stamp),
      options, now);
  SourceFile file{name, std::string(StemOf(name)), nullptr, ""};
  if (absl::IsNotFound(read.status())) {
    known->erase(name);
    return;
  }
  if (read.ok() && read->text.has_value()) {
    Known& fresh = (*known)[name];
    fresh.stamp = read->stamp;
    fresh.text = std::make_shared<const std::string>(*std::move(read->text));
    file.text = fresh.text;
    tenant->files.push_back(std::move(file));
    return;
  }
  if (!read.ok()) {
    file.error = std::string(read.status().message());
    AddError(absl::StrCat(id, "/", name), file.error, view);
  }
  const bool unsettled = read.ok() && !read->settled;
  if (unsettled) view->settled = false;
  if (it != known->end()) {
    file.text = it->second.text;
  } else {
    tenant->complete = false;
    if (unsettled) return;
  }
  tenant->files.push_back(std::move(file));
}

}  // namespace insula::rule_sync
