// promql check FILE...
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "libs/promql/dialect.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/input_file.h"
#include "tools/insulactl/promql_check.h"

namespace insula::insulactl {
namespace {

namespace fs = std::filesystem;

// The files below a directory that hold expressions, by name.
absl::StatusOr<std::vector<std::string>> FilesBelow(
    const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(directory, error);
  for (; !error && it != fs::recursive_directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && IsQueryFile(it->path().string())) {
      files.push_back(it->path().string());
    }
  }
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": can't be read: ", error.message()));
  }
  if (files.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory,
                     ": has no file *.test, *.yaml, *.yml, *.rules or "
                     "*.promql; name a file"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Promql final : public Command {
 public:
  absl::string_view details() const override {
    return "check reads evaluation tests of Prometheus (*.test), rule files "
           "(*.yaml, *.yml, *.rules) and, in others, an expression on each "
           "line; it prints what is refused, and how many of all are taken. "
           "Calls nobody.";
  }
  void Declare(Options* options) override {
    Option& action = options->Text("action", "ACTION", &action_, "What to do.");
    action.required = true;
    action.choices = {"check"};
    options
        ->Texts("paths", "FILE", &paths_,
                "File, directory of such files, or - for stdin.")
        .required = true;
    options->Text("--dialect", "VERSION", &dialect_,
                  "Version of Prometheus that is to understand the "
                  "expressions, such as 3.5; or newest, with all that is "
                  "experimental.");
  }
  ExitCode Run(const Session& session) override {
    QueryReport report;
    const absl::Status status = Check(&report);
    if (!status.ok()) return session.Unusable(status);
    for (const std::string& refused : report.refused) {
      session.console.OutLine(resources::Printable(refused));
    }
    session.console.OutLine(
        absl::StrCat(report.accepted, " of ", report.found));
    return report.refused.empty() ? ExitCode::kOk : ExitCode::kDifferent;
  }

 private:
  absl::Status Check(QueryReport* report) const {
    promql::ParseOptions options;
    ASSIGN_OR_RETURN(options.dialect, promql::ParseDialect(dialect_));
    for (const std::string& path : paths_) {
      std::vector<std::string> files = {path};
      std::error_code ignored;
      if (path != "-" && fs::is_directory(path, ignored)) {
        ASSIGN_OR_RETURN(files, FilesBelow(path));
      }
      for (const std::string& file : files) {
        ASSIGN_OR_RETURN(const std::string text,
                         ReadInputFile(file, &std::cin, kMaxQueryFileBytes));
        RETURN_IF_ERROR(CheckQueries(InputName(file), text, options, report));
      }
    }
    return absl::OkStatus();
  }

  std::string action_;
  std::vector<std::string> paths_;
  std::string dialect_ = "2.42";
};

}  // namespace

std::unique_ptr<Command> MakePromql() { return std::make_unique<Promql>(); }

}  // namespace insula::insulactl
