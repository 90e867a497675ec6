// completion SHELL.
#include <memory>
#include <string>

#include "tools/insulactl/commands.h"
#include "tools/insulactl/reference.h"

namespace insula::insulactl {
namespace {

class Completion final : public Command {
 public:
  absl::string_view details() const override {
    return "For bash: source <(insulactl completion bash). For zsh, the same "
           "after compinit. For fish: insulactl completion fish | source.";
  }
  void Declare(Options* options) override {
    Option& shell = options->Text("shell", "SHELL", &shell_, "Which one.");
    shell.required = true;
    shell.choices = {"bash", "zsh", "fish"};
  }
  ExitCode Run(const Session& session) override {
    session.console.Out(shell_ == "bash"  ? BashCompletion()
                        : shell_ == "zsh" ? ZshCompletion()
                                          : FishCompletion());
    return ExitCode::kOk;
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletion() {
  return std::make_unique<Completion>();
}

}  // namespace insula::insulactl
