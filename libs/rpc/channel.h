// A gRPC client's way to one server, with certificates that may change.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "libs/metrics/metrics.h"
#include "libs/rpc/pem_files.h"
#include "libs/rpc/tls.h"
#include "libs/sync/mutex.h"

namespace insula::rpc {

struct ChannelOptions {
  std::string address;  // host:port.
  // Whom to expect there: the server's certificate must be that of this
  // service, of the trust domain of the own certificate. What it says of hosts
  // does not matter.
  std::string service;
  std::optional<Tls> tls;  // Unset: plain text.
  grpc::ChannelArguments arguments;
};

// Thread-safe. Proxies that the environment names (http_proxy) are not used:
// services reach each other straight.
//
//   ASSIGN_OR_RETURN(const auto channel, rpc::Channel::Make(options,
//   &metrics)); auto stub = TenantRegistry::NewStub(channel->Get());  // For
//   each call.
class Channel {
 public:
  // INVALID_ARGUMENT for files that can't be used. `metrics` outlives the
  // channel.
  static absl::StatusOr<std::unique_ptr<Channel>> Make(
      ChannelOptions options, metrics::Registry* metrics);

  // The present channel: another one after the files have changed and the new
  // ones can be used (libs/tls/followed_files.h). Calls that are under way end
  // on the one that they began with, which lives as long as they do. Ask for it
  // for each call or stream, and not on a gRPC thread.
  std::shared_ptr<grpc::Channel> Get() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Channel(ChannelOptions options, metrics::Registry* metrics);

  const ChannelOptions options_;
  std::unique_ptr<PemFiles> files_;  // Null: plain text.

  sync::Mutex mutex_;
  std::shared_ptr<const Pem> shown_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace insula::rpc
