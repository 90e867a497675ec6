#include "tools/insulactl/change_report.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/resources/resource_printer.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

// An object may be in several requests of a check.
size_t Distinct(const std::vector<v1::ApplyRequest>& requests) {
  std::set<std::pair<v1::Kind, std::string>> objects;
  for (const v1::ApplyRequest& request : requests) {
    for (const v1::Operation& operation : request.operations()) {
      if (operation.has_put()) {
        const v1::Meta& meta = operation.put().meta();
        objects.emplace(meta.kind(), meta.id());
      } else {
        objects.emplace(operation.delete_().kind(), operation.delete_().id());
      }
    }
  }
  return objects.size();
}

// That the rest, or all of it, can be done by the same command.
void TellRest(const Session& session, const SendResult& result, size_t of) {
  // The answer to the last request may have been lost.
  const bool unknown = absl::IsUnavailable(result.failure) ||
                       absl::IsDeadlineExceeded(result.failure);
  if (of <= 1 && !unknown) return;
  session.console.Note(absl::StrCat(
      "insulactl: ", result.requests, " of ", Count(of, "request"),
      " took effect",
      unknown ? ", and maybe the next, whose answer did not come" : "",
      "; the same command again does the rest"));
}

void TellResult(const Session& session, const SendResult& result, size_t of,
                bool check, absl::string_view done) {
  if (session.globals.output == "table") {
    std::string line =
        absl::StrCat(done, " ", Count(result.operations, "object"));
    if (!check && result.requests > 0) {
      absl::StrAppend(&line, ", revision ", result.revision);
    }
    session.console.OutLine(line);
    return;
  }
  const absl::string_view start =
      session.globals.output == "yaml" ? "---\n" : "";
  session.console.OutLine(absl::StrCat(
      start, "{\"done\": ", resources::Quote(done),
      ", \"objects\": ", result.operations, ", \"requests\": ", result.requests,
      ", \"of_requests\": ", of, ", \"revision\": ", result.revision, "}"));
}

}  // namespace

ExitCode SendAndTell(const Session& session, Client* client,
                     std::vector<v1::ApplyRequest> requests,
                     absl::string_view done) {
  const size_t count = requests.size();
  const bool check = !requests.empty() && requests.front().validate_only();
  const size_t distinct = Distinct(requests);
  SendOptions options;
  options.id = RandomId();
  options.timeout = session.globals.timeout;
  options.send = [client](const v1::ApplyRequest& request,
                          absl::Time deadline) {
    return client->Apply(request, deadline);
  };
  options.wait = [&session](absl::Duration pause) {
    return session.interrupt.WaitFor(pause);
  };
  options.progress = [&session, count](size_t answered) {
    if (count > 1) session.console.Progress("requests", answered, count);
  };
  options.retrying = [&session](const absl::Status& status) {
    session.console.Note(absl::StrCat(
        "insulactl: trying again for up to ",
        absl::FormatDuration(session.globals.timeout), ": ", status.message()));
  };
  SendResult result = Send(std::move(requests), options);
  for (const absl::Status& refused : result.refused) {
    session.console.Error(refused.message());
  }
  ExitCode code = result.refused.empty() ? ExitCode::kOk : ExitCode::kRefused;
  if (!result.failure.ok()) code = session.Refused(result.failure);
  if (check && code == ExitCode::kOk) result.operations = distinct;
  TellResult(session, result, count, check, done);
  if (code != ExitCode::kOk && !check) TellRest(session, result, count);
  return code;
}

}  // namespace insula::insulactl
