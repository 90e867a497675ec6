// One answer out of those to the parts of one query.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {

// A range selector by itself, `up[5m]`, asks for samples as they are stored.
// What it selects of several clauses no one text can say, so each clause is
// asked for, and the series of the answers are put together. A series that
// several of them hold is taken once.
//
//   AnswerUnion whole(64 << 20);
//   for (const Answer& part : parts) RETURN_IF_ERROR(whole.Add(part));
//   return std::move(whole).Finish();
class AnswerUnion {
 public:
  // `max_bytes` bounds what Finish() returns.
  explicit AnswerUnion(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Adds an answer of ReadAnswer() to a query, of status 200. INTERNAL: it is
  // no matrix. RESOURCE_EXHAUSTED: the whole would be too large.
  absl::Status Add(const Answer& answer);

  // All of them. Warnings are kept, each once, and so is what was withheld.
  Answer Finish() &&;

 private:
  const size_t max_bytes_;
  std::string series_;                 // JSON, with commas between.
  std::set<std::string> seen_;         // Their labels.
  std::vector<std::string> notes_[2];  // Warnings and infos, as JSON.
  std::string withheld_;
};

}  // namespace insula::query_frontend
