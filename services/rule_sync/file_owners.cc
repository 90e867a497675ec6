#include "services/rule_sync/file_owners.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/files/replace_file.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr size_t kStampNumbers = 5;

// Names are any bytes, so they are written in hexadecimal.
json ToJson(const DirectoryOwner::Stamps& stamps) {
  json object = json::object();
  for (const auto& [name, stamp] : stamps) {
    object[absl::BytesToHexString(name)] = {
        static_cast<uint64_t>(stamp.device), static_cast<uint64_t>(stamp.inode),
        static_cast<int64_t>(stamp.size), absl::ToUnixNanos(stamp.modified),
        absl::ToUnixNanos(stamp.changed)};
  }
  return object;
}

bool IsHex(const std::string& text) {
  return text.size() % 2 == 0 &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool FromJson(const json& object, const char* field,
              DirectoryOwner::Stamps* stamps) {
  const auto it = object.find(field);
  if (it == object.end() || !it->is_object()) return false;
  for (const auto& [name, numbers] : it->items()) {
    if (!IsHex(name) || !numbers.is_array() ||
        numbers.size() != kStampNumbers) {
      return false;
    }
    for (const json& number : numbers) {
      if (!number.is_number_integer()) return false;
    }
    files::FileStamp& stamp = (*stamps)[absl::HexStringToBytes(name)];
    stamp.device = static_cast<dev_t>(numbers[0].get<uint64_t>());
    stamp.inode = static_cast<ino_t>(numbers[1].get<uint64_t>());
    stamp.size = static_cast<off_t>(numbers[2].get<int64_t>());
    stamp.modified = absl::FromUnixNanos(numbers[3].get<int64_t>());
    stamp.changed = absl::FromUnixNanos(numbers[4].get<int64_t>());
  }
  return true;
}

bool FromJson(const json& object, DirectoryOwner* owner) {
  if (!object.is_object()) return false;
  const auto uid = object.find("uid");
  if (uid == object.end() || !uid->is_string()) return false;
  const auto text = uid->get<std::string>();
  if (!IsHex(text)) return false;
  owner->uid = absl::HexStringToBytes(text);
  return FromJson(object, "files", &owner->files) &&
         FromJson(object, "former", &owner->former);
}

}  // namespace

absl::StatusOr<FileOwners> FileOwners::Open(std::string path) {
  FileOwners owners(std::move(path));
  if (owners.path_.empty()) return owners;
  files::SettledFileOptions options;
  options.max_bytes = kMaxBytes;
  // Nobody else writes it.
  const absl::StatusOr<files::SettledFile> file = files::ReadSettledFile(
      owners.path_, std::nullopt, options, absl::InfiniteFuture());
  if (absl::IsNotFound(file.status())) return owners;
  RETURN_IF_ERROR(file.status());
  const json document = json::parse(file->text.value_or(""), nullptr,
                                    /*allow_exceptions=*/false);
  const absl::Status damaged = absl::DataLossError(absl::StrCat(
      owners.path_,
      ": is damaged; restore it, or remove it if no rule file is there of a "
      "tenant that was deleted and made again"));
  if (!document.is_object() || !document.contains("tenants") ||
      !document["tenants"].is_object()) {
    return damaged;
  }
  for (const auto& [id, object] : document["tenants"].items()) {
    DirectoryOwner owner;
    if (!FromJson(object, &owner)) return damaged;
    owners.owners_[id] = std::move(owner);
  }
  return owners;
}

DirectoryOwner FileOwners::For(absl::string_view tenant_id,
                               absl::string_view uid) const {
  DirectoryOwner owner;
  if (const auto it = owners_.find(std::string(tenant_id));
      it != owners_.end()) {
    owner = it->second;
  }
  if (owner.uid == uid) return owner;
  owner.uid = std::string(uid);
  // Newer than those of the tenants before that one.
  for (const auto& [name, stamp] : owner.files) owner.former[name] = stamp;
  owner.files.clear();
  return owner;
}

void FileOwners::Keep(const std::string& tenant_id, DirectoryOwner owner) {
  DirectoryOwner& known = owners_[tenant_id];
  if (known == owner) return;
  known = std::move(owner);
  changed_ = true;
}

absl::Status FileOwners::Save() {
  if (!changed_ || path_.empty()) return absl::OkStatus();
  json tenants = json::object();
  for (const auto& [id, owner] : owners_) {
    tenants[id] = {{"uid", absl::BytesToHexString(owner.uid)},
                   {"files", ToJson(owner.files)},
                   {"former", ToJson(owner.former)}};
  }
  const json document = {{"version", 1}, {"tenants", std::move(tenants)}};
  RETURN_IF_ERROR(files::ReplaceFile(
      path_, document.dump(-1, ' ', false, json::error_handler_t::replace)));
  changed_ = false;
  return absl::OkStatus();
}

}  // namespace insula::rule_sync
