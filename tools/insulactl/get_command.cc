// get KIND ID, list KIND.
#include <memory>
#include <string>
#include <vector>

#include "tools/insulactl/columns.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/kinds.h"
#include "tools/insulactl/object_output.h"
#include "tools/insulactl/reads.h"
#include "tools/insulactl/text.h"

namespace insula::insulactl {
namespace {

constexpr char kMeta[] =
    "Print what the registry says of the object too: revisions, uid, source. "
    "Only for json and yaml; such a text can't be applied.";

void Print(const Session& session, v1::Kind kind, bool meta,
           const std::vector<v1::Object>& objects) {
  if (session.globals.output == "table") {
    session.console.Out(TableOf(kind, objects).Text());
    return;
  }
  for (const v1::Object& object : objects) {
    session.console.Out(ObjectText(object, session.globals.output, meta));
  }
}

class Get final : public Command {
 public:
  absl::string_view details() const override {
    return "With -o yaml or json it prints a resource that apply takes.";
  }
  void Declare(Options* options) override {
    options->Text("kind", "KIND", &kind_, "tenant, binding, ...").required =
        true;
    options->Text("id", "ID", &id_, "Of the object.").required = true;
    options->Flag("--meta", &meta_, kMeta);
  }
  ExitCode Run(const Session& session) override {
    const auto kind = ParseKindWord(kind_);
    if (!kind.ok()) return session.Unusable(kind.status());
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    v1::GetRequest request;
    request.mutable_ref()->set_kind(*kind);
    request.mutable_ref()->set_id(id_);
    const auto answer = (*client)->Get(request);
    if (!answer.ok()) return session.Refused(answer.status());
    Print(session, *kind, meta_, {answer->object()});
    return ExitCode::kOk;
  }

 private:
  std::string kind_;
  std::string id_;
  bool meta_ = false;
};

class List final : public Command {
 public:
  absl::string_view details() const override {
    return "With -o yaml it prints a resource file that apply takes; with -o "
           "json a resource on each line.";
  }
  void Declare(Options* options) override {
    options->Text("kind", "KIND", &kind_, "tenant, binding, ...").required =
        true;
    options->Text("--prefix", "PREFIX", &prefix_,
                  "Only ids that begin with it.");
    options->Flag("--meta", &meta_, kMeta);
  }
  ExitCode Run(const Session& session) override {
    const auto kind = ParseKindWord(kind_);
    if (!kind.ok()) return session.Unusable(kind.status());
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    const auto objects = ListAll(ReadsOf(client->get()), *kind, prefix_);
    if (!objects.ok()) return session.Refused(objects.status());
    Print(session, *kind, meta_, *objects);
    return ExitCode::kOk;
  }

 private:
  std::string kind_;
  std::string prefix_;
  bool meta_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeGet() { return std::make_unique<Get>(); }
std::unique_ptr<Command> MakeList() { return std::make_unique<List>(); }

}  // namespace insula::insulactl
