#include "tools/insulactl/command.h"

#include "absl/strings/str_cat.h"

namespace insula::insulactl {

ExitCode Session::Refused(const absl::Status& status) const {
  const ExitCode code = ExitCodeOf(status);
  if (code == ExitCode::kUnreachable) {
    console.Error(absl::StrCat(
        "the registry at ", globals.server,
        absl::IsUnavailable(status) ? " can't be reached, or can't answer: "
                                    : " did not answer in time: ",
        status.message(),
        "; is it running there? Name another with --server or INSULA_SERVER, "
        "or give it longer with --timeout"));
  } else if (code == ExitCode::kInterrupted) {
    console.Error("interrupted");
  } else if (absl::IsUnimplemented(status)) {
    console.Error(absl::StrCat(
        "what serves gRPC at ", globals.server,
        " does not know this request: a registry that is older than this "
        "insulactl, or no registry; update it, or name another with --server"));
  } else {
    console.Error(status.message());
  }
  return code;
}

ExitCode Session::Unusable(const absl::Status& status) const {
  console.Error(status.message());
  return ExitCode::kUsage;
}

}  // namespace insula::insulactl
