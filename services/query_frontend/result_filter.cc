#include "services/query_frontend/result_filter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {
namespace {

constexpr absl::string_view kHead = R"({"status":"success","data":)";
constexpr absl::string_view kMatrix = R"({"resultType":"matrix","result":[)";
constexpr absl::string_view kVector = R"({"resultType":"vector","result":[)";

// Stands for the data that has been sent.
constexpr absl::string_view kSent = R"({"status":"success","data":[])";

}  // namespace

bool ResultFilter::CanPass(absl::string_view beginning, bool range_query) {
  if (!absl::ConsumePrefix(&beginning, kHead)) return false;
  return absl::StartsWith(beginning, kMatrix) ||
         (!range_query && absl::StartsWith(beginning, kVector));
}

absl::StatusOr<absl::string_view> ResultFilter::Pass(absl::string_view piece) {
  size_t i = std::min(kHead.size() - seen_, piece.size());
  seen_ += i;
  for (; i < piece.size() && !ended_; ++i) {
    const char c = piece[i];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      ended_ = --depth_ <= 0;
    }
  }
  const absl::string_view behind = piece.substr(i);
  if (tail_.size() + behind.size() > kMaxTailBytes) {
    return absl::InternalError(
        absl::StrCat("more than ", kMaxTailBytes, " bytes behind its data"));
  }
  absl::StrAppend(&tail_, behind);
  return piece.substr(0, i);
}

absl::StatusOr<ResultFilter::Ending> ResultFilter::Finish() const {
  if (!ended_) return absl::InternalError("its data has no end");
  ASSIGN_OR_RETURN(
      Answer answer,
      ReadAnswer(200, absl::StrCat(kSent, tail_),
                 [](const simdjson::dom::element&)
                     -> absl::StatusOr<std::optional<std::string>> {
                   return std::nullopt;
                 }));
  absl::string_view text = answer.body;
  if (!absl::ConsumePrefix(&text, kSent)) {
    return absl::InternalError("it does not end as an answer");
  }
  return Ending{std::string(text), std::move(answer.withheld)};
}

}  // namespace insula::query_frontend
