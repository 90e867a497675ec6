#include "libs/http/body_source.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::http {

namespace asio = boost::asio;

asio::awaitable<absl::Status> CollectRest(Response* response,
                                          size_t max_bytes) {
  const std::shared_ptr<BodySource> rest = std::move(response->rest);
  response->rest = nullptr;
  while (rest != nullptr) {
    CO_ASSIGN_OR_RETURN(const absl::string_view piece, co_await rest->Next());
    if (piece.empty()) break;
    if (response->body.size() + piece.size() > max_bytes) {
      co_return absl::ResourceExhaustedError(
          absl::StrCat("body of more than ", max_bytes, " bytes"));
    }
    absl::StrAppend(&response->body, piece);
  }
  co_return absl::OkStatus();
}

}  // namespace insula::http
