// status.
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "libs/resources/object_key.h"
#include "libs/resources/resource_printer.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/table.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

class Status final : public Command {
 public:
  void Declare(Options* /*options*/) override {}
  ExitCode Run(const Session& session) override {
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    const auto status = (*client)->Status();
    if (!status.ok()) return session.Refused(status.status());
    if (session.globals.output != "table") {
      session.console.Out(MessageText(*status, session.globals.output));
      return ExitCode::kOk;
    }
    Print(session, *status);
    return ExitCode::kOk;
  }

 private:
  static void Print(const Session& session, const v1::StatusResponse& status) {
    Table store({"REVISION", "OLDEST", "EPOCH"});
    store.Add({absl::StrCat(status.revision()),
               absl::StrCat(status.oldest_revision()), status.epoch()});
    Table objects({"KIND", "OBJECTS"});
    const std::map<std::string, int64_t> counts(
        status.objects_by_kind().begin(), status.objects_by_kind().end());
    for (const auto& [kind, count] : counts) {
      objects.Add({kind, absl::StrCat(count)});
    }
    Table followers(
        {"FOLLOWER", "ADDRESS", "ACKED", "BEHIND", "CONNECTED", "REJECTED"});
    for (const v1::Follower& follower : status.followers()) {
      followers.Add({follower.client_id(), follower.peer(),
                     absl::StrCat(follower.acked_revision()),
                     DurationText(follower.behind()),
                     TimeText(follower.connected_at()),
                     absl::StrCat(follower.rejections_size())});
    }
    session.console.Out(absl::StrCat(store.Text(), "\n", objects.Text(), "\n",
                                     followers.Text()));
    for (const v1::Follower& follower : status.followers()) {
      for (const v1::Rejection& rejection : follower.rejections()) {
        session.console.OutLine(resources::Printable(
            absl::StrCat(follower.client_id(), " rejects ",
                         Name(resources::KeyOf(rejection.ref())), ": ",
                         rejection.reason())));
      }
    }
  }
};

}  // namespace

std::unique_ptr<Command> MakeStatus() { return std::make_unique<Status>(); }

}  // namespace insula::insulactl
