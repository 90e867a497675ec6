// validate -f FILE.
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/resource_printer.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/resource_input.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

class Validate final : public Command {
 public:
  absl::string_view details() const override {
    return "Gives the verdict of a registry that holds nothing: all that the "
           "objects name must be in the files. Against a registry that holds "
           "something, use apply --dry-run. Calls nobody.";
  }
  void Declare(Options* options) override { DeclareFiles(options, &files_); }
  ExitCode Run(const Session& session) override {
    auto input = ReadResources(files_, &std::cin);
    if (!input.ok()) return session.Unusable(input.status());
    // What lies beside refused documents may well name their objects.
    if (input->errors.empty()) {
      input->errors = resources::CheckTogether(
          input->resources,
          [](const resources::ObjectKey& /*key*/) { return nullptr; });
    }
    Tell(session, *input);
    return input->errors.empty() ? ExitCode::kOk : ExitCode::kDifferent;
  }

 private:
  static void Tell(const Session& session, const ResourceInput& input) {
    for (const std::string& error : input.errors) {
      session.console.Error(error);
    }
    if (session.globals.output == "table") {
      if (!input.errors.empty()) return;
      session.console.OutLine(
          absl::StrCat(Count(input.resources.size(), "object"), " in ",
                       Count(input.files, "file"), ": valid"));
      return;
    }
    std::string text = absl::StrCat(
        session.globals.output == "yaml" ? "---\n" : "",
        "{\"valid\": ", input.errors.empty() ? "true" : "false",
        ", \"objects\": ", input.resources.size(), ", \"errors\": [");
    absl::string_view separator = "";
    for (const std::string& error : input.errors) {
      absl::StrAppend(&text, separator, resources::Quote(error));
      separator = ", ";
    }
    session.console.OutLine(text + "]}");
  }

  std::vector<std::string> files_;
};

}  // namespace

std::unique_ptr<Command> MakeValidate() { return std::make_unique<Validate>(); }

}  // namespace insula::insulactl
