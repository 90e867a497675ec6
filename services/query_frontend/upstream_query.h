// A question to a store, confined, and what becomes of its answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/url.h"
#include "libs/range_cache/query_traits.h"
#include "services/query_frontend/answer_data.h"
#include "services/query_frontend/endpoint.h"
#include "services/query_frontend/json.h"

namespace insula::query_frontend {

struct Unlike;

struct UpstreamQuery {
  Endpoint endpoint = Endpoint::kOther;
  std::string label_name;  // Of kLabelValues.
  http::Params params;     // All that is sent, but for:
  // What is sent as `query`, in a request each. Several: their answers are
  // united, see answer_union.h. None: there is no such parameter.
  std::vector<std::string> texts;
  std::vector<std::string> filters;  // Sent beside each as `extra_filters[]`.
  // Of an answer in JSON.
  DataReader read_data;
  // Of another one; set in place of `read_data`. With the errors of such a one.
  std::function<absl::StatusOr<Answer>(const http::Response&)> read_response;
  // What is sent in place of `params`, if not empty: a block of a remote read.
  std::string body;
  std::string request_id;
  // Not null: what has to be so of the store's series, or it must not be asked.
  std::shared_ptr<const Unlike> unlike;
  double cost = 1;  // Beside that of others; see fair_queue::FairQueue.
  // Of a query_range about one tenant: what its `start`, `end` and `step` say.
  struct Range {
    absl::Time start;
    absl::Time end;
    absl::Duration step;
    range_cache::QueryTraits traits = {};  // Of its text.
  };
  std::optional<Range> range;
  // Whether a long result may be handed on before it has come as a whole, which
  // `read_data` is not asked about then: Answer::rest.
  bool in_pieces = false;
  // Whether `read_data` hands on every matrix as it is.
  bool any_matrix = false;
};

}  // namespace insula::query_frontend
