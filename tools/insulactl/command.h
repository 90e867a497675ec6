// A command of insulactl. Each one has a file of its own, NAME_command.cc, and
// a line in commands.cc.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/insulactl/client.h"
#include "tools/insulactl/console.h"
#include "tools/insulactl/exit_code.h"
#include "tools/insulactl/globals.h"
#include "tools/insulactl/interrupt.h"
#include "tools/insulactl/options.h"

namespace insula::insulactl {

// What a command works with.
struct Session {
  const Globals& globals;
  Console& console;
  Interrupt& interrupt;

  // Prepares to call the registry; it is reached by the first call.
  // INVALID_ARGUMENT: the settings don't fit.
  absl::StatusOr<std::unique_ptr<Client>> Connect() const {
    return Client::Make(globals, &interrupt);
  }

  // Tells of an answer of the registry that is not OK.
  ExitCode Refused(const absl::Status& status) const;
  // Tells of a command line or an input that can't be used.
  ExitCode Unusable(const absl::Status& status) const;
};

class Command {
 public:
  virtual ~Command() = default;

  // What --help says below the summary. May be empty.
  virtual absl::string_view details() const { return ""; }
  virtual void Declare(Options* options) = 0;
  // After the command line was read.
  virtual ExitCode Run(const Session& session) = 0;
};

}  // namespace insula::insulactl
