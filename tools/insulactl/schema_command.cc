// schema.
#include <memory>

#include "tools/insulactl/commands.h"
#include "tools/insulactl/schema/schema.h"

namespace insula::insulactl {
namespace {

class Schema final : public Command {
 public:
  absl::string_view details() const override {
    return "For editors that check and complete YAML; it is of this version. "
           "Calls nobody.";
  }
  void Declare(Options* /*options*/) override {}
  ExitCode Run(const Session& session) override {
    session.console.Out(ResourceSchema());
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Command> MakeSchema() { return std::make_unique<Schema>(); }

}  // namespace insula::insulactl
