// watch.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/resources/resource_printer.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/kinds.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/text.h"
#include "tools/insulactl/watch_state.h"

namespace insula::insulactl {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

std::string ClientId() {
  std::array<char, 65> host = {};
  gethostname(host.data(), host.size() - 1);
  return absl::StrCat("insulactl/", host.data(), "/", getpid());
}

// Whether a stream that ended so is worth another.
bool ComesBack(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsOutOfRange(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsInternal(status) || absl::IsUnknown(status);
}

class Watch final : public Command {
 public:
  absl::string_view details() const override {
    return "Goes on until it is interrupted, also while the registry is away: "
           "then it takes up where it was. Of an object that changed several "
           "times while the registry could not tell, it prints how it is.";
  }
  void Declare(Options* options) override {
    options->Texts("--kind", "KIND", &kinds_, "Only objects of this kind.");
    options->Flag("--initial", &initial_,
                  "Print what there is at the start, too.");
    options->Number("--count", "N", &count_, "End after so many changes.");
  }
  ExitCode Run(const Session& session) override {
    v1::Subscribe subscribe;
    subscribe.set_client_id(ClientId());
    for (const std::string& word : kinds_) {
      const auto kind = ParseKindWord(word);
      if (!kind.ok()) return session.Unusable(kind.status());
      subscribe.add_kinds(*kind);
    }
    if (count_ < 0) {
      return session.Unusable(
          absl::InvalidArgumentError("--count must not be below 0"));
    }
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    return Follow(session, client->get(), subscribe);
  }

 private:
  ExitCode Follow(const Session& session, Client* client,
                  v1::Subscribe subscribe) {
    WatchState state(initial_);
    absl::Duration pause = kFirstPause;
    bool connected = false;
    while (true) {
      subscribe.set_resume_revision(state.revision());
      subscribe.set_epoch(state.epoch());
      const absl::Status status =
          client->Watch(subscribe, [&](const v1::WatchResponse& response) {
            pause = kFirstPause;
            connected = true;
            return Take(session, response, &state);
          });
      if (status.ok()) return ExitCode::kOk;
      if (session.interrupt.happened()) return ExitCode::kInterrupted;
      // At first, a mistake in the address is likelier than a restart.
      if (!connected || !ComesBack(status)) return session.Refused(status);
      if (pause == kFirstPause) {
        session.console.Note(absl::StrCat(
            "insulactl: lost the registry at revision ", state.revision(),
            ", trying to come back: ", status.message()));
      }
      if (!session.interrupt.WaitFor(pause)) return ExitCode::kInterrupted;
      pause = std::min(2 * pause, kLongestPause);
    }
  }

  bool Take(const Session& session, const v1::WatchResponse& response,
            WatchState* state) {
    const std::vector<WatchedChange> changes = state->Take(response);
    if (state->started_over()) {
      session.console.Note(
          "insulactl: the registry no longer has the changes that were missed; "
          "comparing with what was there");
    }
    for (const WatchedChange& change : changes) {
      Print(session, change);
      if (count_ > 0 && ++printed_ == count_) {
        session.console.Flush();
        return false;
      }
    }
    // Nobody may be there to read any more.
    return session.console.Flush();
  }

  static void Print(const Session& session, const WatchedChange& change) {
    const std::string& format = session.globals.output;
    const bool put = change.object.has_value();
    if (format == "table") {
      std::string line =
          absl::StrCat(change.revision, put ? "  put     " : "  delete  ",
                       resources::Printable(Name(change.key)));
      if (put) {
        absl::StrAppend(
            &line, "  ", TimeText(change.object->meta().updated_at()), "  ",
            resources::Printable(change.object->meta().updated_by()));
      }
      session.console.OutLine(line);
      return;
    }
    std::string object =
        put ? resources::ToJson(*change.object)
            : absl::StrCat("{\"kind\": ",
                           resources::Quote(tenancy::KindName(change.key.kind)),
                           ", \"id\": ", resources::Quote(change.key.id), "}");
    session.console.OutLine(
        absl::StrCat(format == "yaml" ? "---\n" : "",
                     "{\"revision\": ", change.revision, ", \"change\": \"",
                     put ? "put" : "delete", "\", \"object\": ", object, "}"));
  }

  std::vector<std::string> kinds_;
  bool initial_ = false;
  int64_t count_ = 0;
  int64_t printed_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeWatch() { return std::make_unique<Watch>(); }

}  // namespace insula::insulactl
