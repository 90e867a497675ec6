#include "services/tenant_registry/backup_session.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/status/status_macros.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;  // NOLINT

// Divisible by 3; see BackupResponse.
constexpr size_t kPieceBytes = 768 << 10;

// False: the client is gone. RESOURCE_EXHAUSTED: it takes nothing.
asio::awaitable<absl::StatusOr<bool>> Write(BackupStream* stream,
                                            v1::BackupResponse piece,
                                            absl::Duration timeout) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(absl::ToChronoNanoseconds(timeout));
  auto written =
      co_await (stream->Write(std::move(piece)) ||
                timer.async_wait(asio::as_tuple(asio::use_awaitable)));
  if (written.index() == 0) co_return std::get<0>(written);
  co_return absl::ResourceExhaustedError(absl::StrCat(
      "the client took no piece for ", absl::FormatDuration(timeout)));
}

}  // namespace

asio::awaitable<absl::Status> ServeBackup(BackupStream* stream,
                                          std::shared_ptr<Registry> registry,
                                          absl::Duration write_timeout) {
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<Registry::BackupFile> backup,
                      co_await registry->Backup());
  const auto file = std::make_shared<std::ifstream>(
      backup->path, std::ios::in | std::ios::binary);
  int64_t left = backup->bytes;
  while (left > 0) {
    const auto piece = std::make_shared<std::string>();
    auto read = [file, piece, left]() -> absl::Status {
      piece->resize(static_cast<size_t>(std::min<int64_t>(left, kPieceBytes)));
      file->read(piece->data(), static_cast<std::streamsize>(piece->size()));
      return *file ? absl::OkStatus()
                   : absl::UnavailableError("the copy can't be read");
    };
    CO_RETURN_IF_ERROR(co_await registry->RunBlocking(read));
    left -= static_cast<int64_t>(piece->size());
    v1::BackupResponse response;
    response.set_revision(backup->revision);
    response.set_total_bytes(backup->bytes);
    response.set_data(std::move(*piece));
    CO_ASSIGN_OR_RETURN(
        const bool taken,
        co_await Write(stream, std::move(response), write_timeout));
    if (!taken) co_return absl::CancelledError("client gone");
  }
  logging::Info("backup sent",
                {{"revision", backup->revision}, {"bytes", backup->bytes}});
  co_return absl::OkStatus();
}

}  // namespace insula::tenant_registry
