// apply -f FILE.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/resources/object_rules.h"
#include "tools/insulactl/batches.h"
#include "tools/insulactl/change_report.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/resource_input.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

class Apply final : public Command {
 public:
  absl::string_view details() const override {
    return "Up to 50 objects are one change: all, or none. More are sent as "
           "several, those first that others name, and what is refused does "
           "not keep the others back. Nothing is sent if a file has a mistake. "
           "Objects that are as they should be are not changed, so that it can "
           "be repeated at will. After Ctrl-C the change on its way is "
           "finished.";
  }
  void Declare(Options* options) override {
    DeclareFiles(options, &files_);
    options->Flag("--dry-run", &dry_run_,
                  "Let the registry check everything and change nothing.");
  }
  ExitCode Run(const Session& session) override {
    ResourceInput input;
    const ExitCode read = ReadOrTell(session, files_, &input);
    if (read != ExitCode::kOk) return read;
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    if (dry_run_) return Check(session, client->get(), input);
    return SendAndTell(session, client->get(), PutBatches(input.resources),
                       "applied");
  }

 private:
  static ExitCode Check(const Session& session, Client* client,
                        const ResourceInput& input) {
    CheckBatches batches = MakeCheckBatches(input.resources);
    for (const std::string& name : batches.too_large) {
      session.console.Note(absl::StrCat(
          "insulactl: ", name,
          ": names too many objects of the files to be checked with them; "
          "checked only by itself"));
    }
    return SendAndTell(session, client, std::move(batches.requests), "checked");
  }

  std::vector<std::string> files_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeApply() { return std::make_unique<Apply>(); }

}  // namespace insula::insulactl
