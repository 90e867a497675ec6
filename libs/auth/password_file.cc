#include "libs/auth/password_file.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/auth/bcrypt.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::auth {
namespace {

constexpr size_t kMaxUserBytes = 255;
constexpr size_t kMaxFileBytes = 4 << 20;

SecretFileOptions FileOptions(const PasswordFileOptions& options) {
  SecretFileOptions result;
  result.max_bytes = kMaxFileBytes;
  result.reload_interval = options.reload_interval;
  result.several_lines = true;
  return result;
}

// What `hash` would be of another password: cost and salt stay, which is all
// that time depends on.
std::string DecoyOf(absl::string_view hash) {
  return absl::StrCat(hash.substr(0, 29), std::string(31, '.'));
}

absl::Status CheckUser(absl::string_view user) {
  if (user.empty() || user.size() > kMaxUserBytes ||
      std::any_of(user.begin(), user.end(),
                  [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be USER:HASH, the user of 1 to ", kMaxUserBytes,
                     " bytes without control characters"));
  }
  return absl::OkStatus();
}

absl::Status CheckHash(absl::string_view hash,
                       const PasswordFileOptions& options) {
  ASSIGN_OR_RETURN(const int cost, BcryptCost(hash));
  if (cost >= options.min_cost && cost <= options.max_cost) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("has a hash of cost ", cost, ", which must be from ",
                   options.min_cost, " to ", options.max_cost,
                   ": hash the password again, with 'htpasswd -B "
                   "-C ",
                   options.min_cost, "'"));
}

}  // namespace

absl::StatusOr<PasswordTable> PasswordTable::Parse(
    absl::string_view text, const PasswordFileOptions& options) {
  PasswordTable table;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::string where = absl::StrCat("line ", ++number);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    const absl::string_view user = line.substr(0, colon);
    const absl::string_view hash =
        colon == line.npos ? "" : line.substr(colon + 1);
    RETURN_IF_ERROR(Annotate(CheckUser(user), where));
    RETURN_IF_ERROR(Annotate(CheckHash(hash, options), where));
    if (!table.hashes_.emplace(user, hash).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": has a user who was there before, keep one"));
    }
    if (table.hashes_.size() > options.max_users) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": is the user after the ", options.max_users,
          " that are allowed; use an identity provider for so many"));
    }
    table.decoys_.push_back(DecoyOf(hash));
  }
  if (table.decoys_.empty()) {
    table.decoys_.push_back(
        absl::StrCat("$2b$", options.min_cost < 10 ? "0" : "", options.min_cost,
                     "$", std::string(53, '.')));
  }
  return table;
}

const std::string* PasswordTable::Find(absl::string_view user) const {
  const auto found = hashes_.find(user);
  return found == hashes_.end() ? nullptr : &found->second;
}

const std::string& PasswordTable::Decoy(uint64_t mark) const {
  return decoys_[mark % decoys_.size()];
}

PasswordFile::PasswordFile(PasswordFileOptions options)
    : options_(std::move(options)),
      file_(options_.file, FileOptions(options_)) {}

absl::Status PasswordFile::Refresh(absl::Time now) {
  absl::StatusOr<Secret> text = file_.Get(now);
  const sync::MutexLock lock(&mutex_);
  if (!text.ok()) return table_ != nullptr ? absl::OkStatus() : text.status();
  if (*text != parsed_) {
    absl::StatusOr<PasswordTable> table =
        PasswordTable::Parse(text->Reveal(), options_);
    problem_ = Annotate(table.status(), options_.file);
    parsed_ = *std::move(text);
    if (table.ok()) {
      table_ = std::make_shared<const PasswordTable>(*std::move(table));
    } else if (table_ != nullptr) {
      logging::Warn("a password file makes no sense, the last one stays in use",
                    {{"err", problem_}});
    }
  }
  return table_ != nullptr ? absl::OkStatus() : problem_;
}

std::shared_ptr<const PasswordTable> PasswordFile::table() const {
  const sync::MutexLock lock(&mutex_);
  return table_;
}

}  // namespace insula::auth
