#include "libs/secret/secret_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula {
namespace {

// Cuts what ends a line off `text`, which must be one line of text then.
absl::Status TakeLine(const std::string& path, std::string* text) {
  absl::string_view line = *text;
  absl::ConsumeSuffix(&line, "\n");
  absl::ConsumeSuffix(&line, "\r");
  const size_t size = line.size();
  if (std::any_of(line.begin(), line.end(),
                  [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": must hold the secret as one line, without control characters"));
  }
  text->resize(size);
  return absl::OkStatus();
}

void WarnAboutMode(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return;
  const std::string advice = AdviceOnMode(info.st_mode);
  if (advice.empty()) return;
  logging::Warn("a file with a secret is open to others",
                {{"file", path}, {"cure", advice}});
}

}  // namespace

std::string AdviceOnMode(mode_t mode) {
  if ((mode & (S_IRWXG | S_IRWXO)) == 0) return "";
  return absl::StrCat("mode ", absl::Hex((mode >> 6) & 7),
                      absl::Hex((mode >> 3) & 7), absl::Hex(mode & 7), " lets ",
                      (mode & S_IRWXO) != 0 ? "everybody" : "a group",
                      " use it: chmod 600, or defaultMode 0400 of the volume");
}

SecretFile::SecretFile(std::string path, SecretFileOptions options)
    : path_(std::move(path)), options_(options) {}

absl::Status SecretFile::Load(absl::Time now) {
  files::SettledFileOptions options;
  options.max_bytes = options_.max_bytes;
  ASSIGN_OR_RETURN(files::SettledFile file,
                   files::ReadSettledFile(path_, stamp_, options, now));
  if (!file.settled) {
    loaded_at_ = absl::InfinitePast();  // Soon again.
    return absl::UnavailableError(
        absl::StrCat(path_, ": is just being written, try again"));
  }
  if (!file.text.has_value()) return problem_;  // As before.
  stamp_ = file.stamp;
  if (!options_.several_lines) {
    const absl::Status line = TakeLine(path_, &*file.text);
    if (!line.ok()) {
      WipeString(&*file.text);
      return line;
    }
  }
  if (file.text->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": is empty, put the secret there"));
  }
  secret_ = Secret(*std::move(file.text));
  WarnAboutMode(path_);
  return absl::OkStatus();
}

absl::StatusOr<Secret> SecretFile::Get(absl::Time now) {
  const sync::MutexLock lock(&mutex_);
  // A clock that was set back reads again, too.
  if (now - loaded_at_ >= options_.reload_interval || now < loaded_at_) {
    loaded_at_ = now;
    const absl::Status before = problem_;
    problem_ = Load(now);
    if (!problem_.ok() && !secret_.empty() && problem_ != before) {
      logging::Warn("a secret can't be read again, the last one stays in use",
                    {{"file", path_}, {"err", problem_}});
    }
  }
  if (secret_.empty()) return problem_;
  return secret_;
}

absl::Status SecretFile::problem() const {
  const sync::MutexLock lock(&mutex_);
  return problem_;
}

}  // namespace insula
