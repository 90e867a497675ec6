// audit.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/kinds.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/table.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

constexpr int64_t kMostPerPage = 1000;

absl::string_view ChangeOf(const v1::AuditEntry& entry) {
  if (entry.before_sha256().empty()) return "make";
  return entry.after_sha256().empty() ? "delete" : "change";
}

class Audit final : public Command {
 public:
  absl::string_view details() const override {
    return "Oldest first. With -o json an entry on each line, as they come.";
  }
  void Declare(Options* options) override {
    options->Text("--tenant", "ID", &tenant_,
                  "Only of this tenant, and of objects that name it.");
    options->Text("--object", "KIND/ID", &object_, "Only of this object.");
    options->Text("--actor", "NAME", &actor_, "Only by this caller.");
    options->Number("--from-revision", "N", &from_revision_,
                    "Only of this revision and later ones.");
    options->Number("--limit", "N", &limit_, "At most so many; 0: all.");
  }
  ExitCode Run(const Session& session) override {
    auto request = Request();
    if (!request.ok()) return session.Unusable(request.status());
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    Table table({"REVISION", "AT", "ACTOR", "SOURCE", "CHANGE", "OBJECT"});
    int64_t count = 0;
    do {
      // The same for each page: a page token is of one request.
      const auto page = (*client)->ListAudit(*request);
      if (!page.ok()) return session.Refused(page.status());
      for (const v1::AuditEntry& entry : page->entries()) {
        if (limit_ > 0 && count == limit_) break;
        ++count;
        Add(session, entry, &table);
      }
      request->set_page_token(page->next_page_token());
    } while (!request->page_token().empty() && (limit_ == 0 || count < limit_));
    if (session.globals.output == "table") session.console.Out(table.Text());
    if (!request->page_token().empty()) {
      session.console.Note(absl::StrCat(
          "insulactl: there are more entries; see them with --limit=0"));
    }
    return ExitCode::kOk;
  }

 private:
  absl::StatusOr<v1::ListAuditRequest> Request() const {
    if (!tenant_.empty() && !object_.empty()) {
      return absl::InvalidArgumentError("give --tenant or --object, not both");
    }
    if (limit_ < 0 || from_revision_ < 0) {
      return absl::InvalidArgumentError(
          "--limit and --from-revision must not be below 0");
    }
    v1::ListAuditRequest request;
    if (!tenant_.empty()) request.set_tenant_id(tenant_);
    if (!object_.empty()) {
      ASSIGN_OR_RETURN(const resources::ObjectKey key,
                       ParseObjectName(object_));
      *request.mutable_object() = resources::RefOf(key);
    }
    request.set_actor(actor_);
    request.set_from_revision(from_revision_);
    request.set_page_size(static_cast<int32_t>(
        limit_ == 0 ? kMostPerPage : std::min(limit_, kMostPerPage)));
    return request;
  }

  static void Add(const Session& session, const v1::AuditEntry& entry,
                  Table* table) {
    if (session.globals.output != "table") {
      session.console.Out(MessageText(entry, session.globals.output));
      return;
    }
    table->Add({absl::StrCat(entry.revision()), TimeText(entry.at()),
                entry.actor(), entry.source(), std::string(ChangeOf(entry)),
                Name(resources::KeyOf(entry.ref()))});
  }

  std::string tenant_;
  std::string object_;
  std::string actor_;
  int64_t from_revision_ = 0;
  int64_t limit_ = 100;
};

}  // namespace

std::unique_ptr<Command> MakeAudit() { return std::make_unique<Audit>(); }

}  // namespace insula::insulactl
