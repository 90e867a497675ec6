// All commands. Each one stands in a file of its own, NAME_command.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/insulactl/command.h"

namespace insula::insulactl {

struct CommandEntry {
  absl::string_view name;
  absl::string_view summary;
  std::unique_ptr<Command> (*make)();
};

// In the order of --help.
const std::vector<CommandEntry>& Commands();

std::unique_ptr<Command> MakeApply();
std::unique_ptr<Command> MakeAudit();
std::unique_ptr<Command> MakeBackup();
std::unique_ptr<Command> MakeCompletion();
std::unique_ptr<Command> MakeConvert();
std::unique_ptr<Command> MakeDelete();
std::unique_ptr<Command> MakeDiff();
std::unique_ptr<Command> MakeGet();
std::unique_ptr<Command> MakeList();
std::unique_ptr<Command> MakePromql();
std::unique_ptr<Command> MakeResolve();
std::unique_ptr<Command> MakeSchema();
std::unique_ptr<Command> MakeStatus();
std::unique_ptr<Command> MakeValidate();
std::unique_ptr<Command> MakeVersion();
std::unique_ptr<Command> MakeWatch();

}  // namespace insula::insulactl
