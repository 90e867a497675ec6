// delete KIND ID..., delete -f FILE.
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libs/status/status_macros.h"
#include "tools/insulactl/batches.h"
#include "tools/insulactl/change_report.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/kinds.h"
#include "tools/insulactl/reads.h"
#include "tools/insulactl/resource_input.h"

namespace insula::insulactl {
namespace {

using resources::ObjectKey;

class Delete final : public Command {
 public:
  absl::string_view details() const override {
    return "Up to 50 objects are one change: all, or none. Tenants go at once; "
           "put them into the state DELETING to be able to bring them back.";
  }
  void Declare(Options* options) override {
    options->Text("kind", "KIND", &kind_, "tenant, binding, ...");
    options->Texts("id", "ID", &ids_, "Of the objects.");
    options->Texts("-f,--file", "FILE", &files_,
                   "Delete the objects of these files instead.");
    options->Flag("--ignore-missing", &ignore_missing_,
                  "Objects that are not there are no error.");
    options->Flag("--dry-run", &dry_run_,
                  "Let the registry check everything and change nothing; up to "
                  "50 objects.");
  }
  ExitCode Run(const Session& session) override {
    auto keys = Keys();
    if (!keys.ok()) return session.Unusable(keys.status());
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    if (ignore_missing_) {
      const auto there = Fetch(ReadsOf(client->get()), *keys);
      if (!there.ok()) return session.Refused(there.status());
      std::erase_if(
          *keys, [&](const ObjectKey& key) { return !there->contains(key); });
    }
    std::vector<v1::ApplyRequest> requests = DeleteBatches(*std::move(keys));
    if (dry_run_ && requests.size() > 1) {
      return session.Unusable(absl::InvalidArgumentError(
          "--dry-run: can check up to 50 deletions, as the later ones count on "
          "the earlier; name fewer"));
    }
    for (v1::ApplyRequest& request : requests) {
      request.set_validate_only(dry_run_);
    }
    return SendAndTell(session, client->get(), std::move(requests),
                       dry_run_ ? "checked" : "deleted");
  }

 private:
  absl::StatusOr<std::vector<ObjectKey>> Keys() const {
    if (files_.empty() == kind_.empty()) {
      return absl::InvalidArgumentError("give either KIND and ID, or --file");
    }
    std::vector<ObjectKey> keys;
    if (!kind_.empty()) {
      ASSIGN_OR_RETURN(const v1::Kind kind, ParseKindWord(kind_));
      if (ids_.empty()) {
        return absl::InvalidArgumentError("give the ID of an object");
      }
      for (const std::string& id : ids_) keys.push_back({kind, id});
      return keys;
    }
    ASSIGN_OR_RETURN(const ResourceInput input,
                     ReadResourcesToApply(files_, &std::cin));
    if (!input.errors.empty()) {
      return absl::InvalidArgumentError(input.errors.front());
    }
    for (const resources::Resource& resource : input.resources) {
      keys.push_back(resources::KeyOf(resource.object));
    }
    return keys;
  }

  std::string kind_;
  std::vector<std::string> ids_;
  std::vector<std::string> files_;
  bool ignore_missing_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDelete() { return std::make_unique<Delete>(); }

}  // namespace insula::insulactl
