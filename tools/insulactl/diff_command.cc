// diff -f FILE.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/resources/resource_printer.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/line_diff.h"
#include "tools/insulactl/reads.h"
#include "tools/insulactl/resource_input.h"

namespace insula::insulactl {
namespace {

using resources::KeyOf;

class Diff final : public Command {
 public:
  absl::string_view details() const override {
    return "Ends with 0 if the registry has every object of the files as they "
           "have it, and with 1 if not. Objects that the files don't name are "
           "not looked at. With -o json, a line for each object that differs.";
  }
  void Declare(Options* options) override { DeclareFiles(options, &files_); }
  ExitCode Run(const Session& session) override {
    ResourceInput input;
    const ExitCode read = ReadOrTell(session, files_, &input);
    if (read != ExitCode::kOk) return read;
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    std::vector<resources::ObjectKey> keys;
    for (const auto& resource : input.resources) {
      keys.push_back(KeyOf(resource.object));
    }
    const auto there = Fetch(ReadsOf(client->get()), keys);
    if (!there.ok()) return session.Refused(there.status());
    bool same = true;
    for (const auto& resource : input.resources) {
      const auto it = there->find(KeyOf(resource.object));
      const v1::Object* before = it == there->end() ? nullptr : &it->second;
      // What both are printed as is all that files can say of them.
      if (before != nullptr &&
          resources::ToJson(*before) == resources::ToJson(resource.object)) {
        continue;
      }
      same = false;
      Tell(session, before, resource.object);
    }
    return same ? ExitCode::kOk : ExitCode::kDifferent;
  }

 private:
  static void Tell(const Session& session, const v1::Object* before,
                   const v1::Object& after) {
    if (session.globals.output == "json") {
      session.console.OutLine(
          absl::StrCat("{\"before\": ",
                       before == nullptr ? "null" : resources::ToJson(*before),
                       ", \"after\": ", resources::ToJson(after), "}"));
      return;
    }
    const std::string name = resources::Printable(Name(KeyOf(after)));
    session.console.OutLine(before == nullptr
                                ? absl::StrCat("--- nothing\n+++ ", name)
                                : absl::StrCat("--- ", name, " revision ",
                                               before->meta().mod_revision(),
                                               "\n+++ ", name));
    const std::string text =
        before == nullptr ? "" : resources::ToYaml(*before);
    for (const DiffLine& line : DiffLines(text, resources::ToYaml(after))) {
      switch (line.change) {
        case DiffLine::Change::kSame:
          session.console.OutLine(" " + line.text);
          break;
        case DiffLine::Change::kRemoved:
          session.console.OutLine(
              session.console.Colored(Color::kRed, "-" + line.text));
          break;
        case DiffLine::Change::kAdded:
          session.console.OutLine(
              session.console.Colored(Color::kGreen, "+" + line.text));
          break;
      }
    }
  }

  std::vector<std::string> files_;
};

}  // namespace

std::unique_ptr<Command> MakeDiff() { return std::make_unique<Diff>(); }

}  // namespace insula::insulactl
