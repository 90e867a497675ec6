#include "tools/insulactl/commands.h"

namespace insula::insulactl {

const std::vector<CommandEntry>& Commands() {
  static const auto* const commands = new std::vector<CommandEntry>{
      {"get", "Shows an object.", MakeGet},
      {"list", "Shows the objects of a kind.", MakeList},
      {"apply", "Makes or changes the objects of resource files.", MakeApply},
      {"diff", "Shows what apply would change.", MakeDiff},
      {"validate", "Checks resource files without a registry.", MakeValidate},
      {"delete", "Deletes objects.", MakeDelete},
      {"watch", "Prints changes as they happen.", MakeWatch},
      {"resolve", "Says who a credential would be, and what it may do.",
       MakeResolve},
      {"status", "Shows the state of the registry and of its followers.",
       MakeStatus},
      {"audit", "Shows who changed what and when.", MakeAudit},
      {"backup", "Copies the store of the registry into a file.", MakeBackup},
      {"convert", "Turns the configuration of another system into resources.",
       MakeConvert},
      {"promql", "Checks the PromQL expressions of files.", MakePromql},
      {"schema", "Prints the JSON schema of resource files.", MakeSchema},
      {"completion", "Prints the completion of a shell.", MakeCompletion},
      {"version", "Prints the version.", MakeVersion},
  };
  return *commands;
}

}  // namespace insula::insulactl
