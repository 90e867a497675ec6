// version.
#include <memory>

#include "absl/strings/str_cat.h"
#include "libs/runtime/version.h"
#include "tools/insulactl/commands.h"

namespace insula::insulactl {
namespace {

class Version final : public Command {
 public:
  void Declare(Options* /*options*/) override {}
  ExitCode Run(const Session& session) override {
    session.console.OutLine(absl::StrCat("insulactl ", runtime::Version()));
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Command> MakeVersion() { return std::make_unique<Version>(); }

}  // namespace insula::insulactl
