#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/registry_client/registry_client.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::registry_client {
namespace {

constexpr size_t kMaxZoneBytes = 256;  // That the registry takes.

}  // namespace

std::string ClientId(absl::string_view service) {
  char host[128] = "";  // Linux has no longer ones.
  if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
    return std::string(service);
  }
  // The registry takes nothing else.
  std::replace_if(
      host, host + strlen(host),
      [](unsigned char c) { return !absl::ascii_isgraph(c); }, '_');
  return absl::StrCat(service, "/", host);
}

void Options::Describe(config::Fields& fields) {
  fields.Add("address", address, "gRPC address of the tenant-registry.");
  fields.Add("state_dir", state_dir,
             "Directory for the last good copy of the registry. Empty: none is "
             "kept, and without the registry the service does not start up.");
  fields.Add("advertise_address", advertise_address,
             "Where other processes reach this one, host:port; goes into its "
             "lease in the registry.");
  fields.Add("zone", zone,
             "The place that this process fails with, e.g. a rack; goes into "
             "its lease.");
  fields.Add("max_staleness", max_staleness,
             "Not ready when the registry has been silent for longer. 0: "
             "never.");
  fields.Add("silence_timeout", silence_timeout,
             "A registry that says nothing for so long is connected to anew.");
  fields.Add("accept_new_epoch", accept_new_epoch,
             "Take over a registry of another epoch, or an emptied one.");
}

absl::Status Options::Validate() const {
  if (address.empty()) {
    return absl::InvalidArgumentError(
        "registry.address: must be host:port of the tenant-registry");
  }
  if (!advertise_address.empty()) {
    RETURN_IF_ERROR(Annotate(config::CheckAddress(advertise_address),
                             "registry.advertise_address"));
  }
  if (zone.size() > kMaxZoneBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "registry.zone: must have at most ", kMaxZoneBytes, " bytes"));
  }
  if (max_staleness < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "registry.max_staleness: must not be negative");
  }
  if (silence_timeout < absl::Milliseconds(10) ||
      silence_timeout > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        "registry.silence_timeout: must be from 10ms to 24h");
  }
  return absl::OkStatus();
}

}  // namespace insula::registry_client
