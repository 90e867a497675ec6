#include "libs/exposition/duplicate_check.h"

#include <xxhash.h>

#include <algorithm>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::exposition {
namespace {

// Without a secret a sender could prepare collisions.
std::string NewSecret() {
  std::random_device random;
  std::string secret;
  while (secret.size() < XXH3_SECRET_SIZE_MIN) {
    const uint32_t word = random();
    secret.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  return secret;
}

void AppendNumber(uint64_t number, std::string* out) {
  out->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void AppendText(absl::string_view text, std::string* out) {
  AppendNumber(text.size(), out);
  out->append(text.data(), text.size());
}

}  // namespace

DuplicateCheck::DuplicateCheck(size_t max_samples, Sink* next)
    : max_samples_(max_samples), next_(next), secret_(NewSecret()) {}

absl::uint128 DuplicateCheck::Hash(const Sample& sample) {
  sorted_.assign(sample.labels.begin(), sample.labels.end());
  std::sort(sorted_.begin(), sorted_.end(),
            [](const Label& a, const Label& b) { return a.name < b.name; });
  text_.clear();
  AppendText(sample.name, &text_);
  for (const Label& label : sorted_) {
    if (label.value.empty()) continue;
    AppendText(label.name, &text_);
    AppendText(label.value, &text_);
  }
  if (sample.timestamp_ms) {  // A text of another length otherwise.
    AppendNumber(static_cast<uint64_t>(*sample.timestamp_ms), &text_);
  }
  const XXH128_hash_t hash = XXH3_128bits_withSecret(
      text_.data(), text_.size(), secret_.data(), secret_.size());
  return absl::MakeUint128(hash.high64, hash.low64);
}

absl::Status DuplicateCheck::OnSample(const Sample& sample) {
  if (!seen_.insert(Hash(sample)).second) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a second sample of the same series of '",
        absl::CHexEscape(sample.name.substr(0, 100)), "', each may come once"));
  }
  if (seen_.size() > max_samples_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more samples than the limit of ", max_samples_));
  }
  return next_->OnSample(sample);
}

absl::Status DuplicateCheck::OnType(absl::string_view name, MetricType type) {
  return next_->OnType(name, type);
}

absl::Status DuplicateCheck::OnHelp(absl::string_view name,
                                    absl::string_view help) {
  return next_->OnHelp(name, help);
}

absl::Status DuplicateCheck::OnUnit(absl::string_view name,
                                    absl::string_view unit) {
  return next_->OnUnit(name, unit);
}

}  // namespace insula::exposition
