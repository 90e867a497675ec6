// Reads the command line. Wraps CLI11, whose exceptions end here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/insulactl/command.h"
#include "tools/insulactl/exit_code.h"
#include "tools/insulactl/globals.h"

namespace insula::insulactl {

struct ParsedLine {
  // What to run; null if there is nothing to run.
  std::unique_ptr<Command> command;
  Globals globals;

  // Without a command: what to say instead, and with what to end.
  std::string out;
  std::string error;
  ExitCode code = ExitCode::kOk;
};

// `arguments` without the name of the program.
std::unique_ptr<ParsedLine> ParseLine(
    const std::vector<std::string>& arguments);

}  // namespace insula::insulactl
