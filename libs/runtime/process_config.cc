#include "absl/strings/str_cat.h"
#include "libs/logging/logging.h"
#include "libs/runtime/process.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::runtime {
namespace {

// The group `admin`.
struct AdminGroup {
  std::string* listen_address;
  void Describe(config::Fields& fields) {
    fields.Add("listen_address", *listen_address,
               "Where to serve /metrics, /livez, /readyz and /config.");
  }
};

absl::Status CheckRange(absl::string_view key, int value, int least, int most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": ", value, " must be from ", least, " to ", most));
}

}  // namespace

void ProcessConfig::Describe(config::Fields& fields) {
  AdminGroup admin{&admin_listen_address};
  fields.AddGroup("admin", admin);
  fields.Add("worker_threads", worker_threads,
             "Threads that handle requests; 0: one per core, at least 2.");
  fields.Add("blocking_threads", blocking_threads,
             "Threads for work that waits for disks.");
  fields.Add("drain_timeout", drain_timeout,
             "How long open requests may take after SIGTERM.");
  fields.Add("drain_delay", drain_delay,
             "How long to serve on, unready, after SIGTERM, so that load "
             "balancers notice; part of drain_timeout.");
  fields.Add("log_level", log_level, "debug, info, warn or error.");
  fields.Add("log_format", log_format, "logfmt or json.");
  fields.Add("ports_file", ports_file,
             "File to write the bound addresses to, a line `NAME ADDRESS` "
             "each; none if empty.");
}

absl::Status ProcessConfig::Validate() const {
  RETURN_IF_ERROR(Annotate(config::CheckAddress(admin_listen_address),
                           "admin.listen_address"));
  RETURN_IF_ERROR(CheckRange("worker_threads", worker_threads, 0, 1024));
  RETURN_IF_ERROR(CheckRange("blocking_threads", blocking_threads, 1, 256));
  if (drain_timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError("drain_timeout: must be at most 1h");
  }
  if (drain_delay > drain_timeout) {
    return absl::InvalidArgumentError(
        "drain_delay: must not be longer than drain_timeout");
  }
  RETURN_IF_ERROR(
      Annotate(logging::ParseLevel(log_level).status(), "log_level"));
  return Annotate(logging::ParseFormat(log_format).status(), "log_format");
}

}  // namespace insula::runtime
