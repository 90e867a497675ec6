// The operator's command line. See docs/insulactl.md.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tools/insulactl/command.h"
#include "tools/insulactl/console.h"
#include "tools/insulactl/interrupt.h"
#include "tools/insulactl/parser.h"

namespace insula::insulactl {
namespace {

Console::Options ConsoleOptions(bool no_color) {
  Console::Options options;
  const char* const off = getenv("NO_COLOR");
  options.color = !no_color && (off == nullptr || *off == '\0') &&
                  isatty(STDOUT_FILENO) != 0;
  options.err_terminal = isatty(STDERR_FILENO) != 0;
  return options;
}

ExitCode Run(const std::vector<std::string>& arguments) {
  Interrupt interrupt;
  // A reader that has gone shows as a failed write.
  signal(SIGPIPE, SIG_IGN);
  const auto line = ParseLine(arguments);
  Console console(&std::cout, &std::cerr,
                  ConsoleOptions(line->globals.no_color));
  console.Out(line->out);
  if (!line->error.empty()) console.Error(line->error);
  ExitCode code = line->code;
  if (line->command != nullptr) {
    code = line->command->Run(Session{line->globals, console, interrupt});
  }
  if (!console.Flush() && code == ExitCode::kOk) {
    console.Error("the output could not be written in full");
    code = ExitCode::kLocal;
  }
  return code;
}

}  // namespace
}  // namespace insula::insulactl

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return static_cast<int>(
      insula::insulactl::Run(std::vector<std::string>(argv + 1, argv + argc)));
}
