#include "libs/rpc/grpc_status.h"

#include <string>

#include "absl/strings/string_view.h"

namespace insula::rpc {
namespace {

constexpr size_t kMaxMessageBytes = 4096;

}  // namespace

// The two code enumerations share their numeric values by design.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const absl::string_view message =
      status.message().substr(0, kMaxMessageBytes);
  return {static_cast<grpc::StatusCode>(status.code()),
          std::string(message.data(), message.size())};
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  return absl::Status(code > 0 && code <= 16
                          ? static_cast<absl::StatusCode>(code)
                          : absl::StatusCode::kUnknown,
                      status.error_message());
}

}  // namespace insula::rpc
