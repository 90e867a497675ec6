#include "libs/http/message.h"

#include <algorithm>

#include "libs/http/head.h"

namespace insula::http {
void Headers::Add(absl::string_view name, absl::string_view value) {
  constexpr size_t kUsual = 8;
  if (fields_.empty()) fields_.reserve(kUsual);
  fields_.emplace_back(name, value);
}

void Headers::Set(absl::string_view name, absl::string_view value) {
  if (!Get(name).has_value()) {
    Add(name, value);
    return;
  }
  // First: the arguments may point into a field that goes.
  value_type field(name, value);
  Erase(field.first);
  fields_.push_back(std::move(field));
}

void Headers::Remove(absl::string_view name) {
  Erase(std::string(name));  // It may point into a field that goes.
}

void Headers::Erase(const std::string& name) {
  std::erase_if(fields_, [&name](const auto& field) {
    return IsSameName(field.first, name);
  });
}

std::optional<absl::string_view> Headers::Get(absl::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (IsSameName(key, name)) return value;
  }
  return std::nullopt;
}

size_t Headers::Count(absl::string_view name) const {
  return static_cast<size_t>(std::count_if(
      fields_.begin(), fields_.end(),
      [name](const auto& field) { return IsSameName(field.first, name); }));
}

absl::string_view Request::path() const {
  const absl::string_view text = target;
  return text.substr(0, text.find('?'));
}

absl::string_view Request::query() const {
  const absl::string_view text = target;
  const size_t mark = text.find('?');
  return mark == text.npos ? absl::string_view() : text.substr(mark + 1);
}

Response TextResponse(int status, absl::string_view text) {
  Response response;
  response.status = status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::string(text);
  if (response.body.empty() || response.body.back() != '\n') {
    response.body.push_back('\n');
  }
  return response;
}

}  // namespace insula::http
