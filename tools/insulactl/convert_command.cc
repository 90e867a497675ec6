// convert --from SYSTEM FILE.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/convert/convert.h"
#include "tools/insulactl/convert_output.h"
#include "tools/insulactl/input_file.h"

namespace insula::insulactl {
namespace {

absl::StatusOr<InputFile> Read(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text,
                   ReadInputFile(path, &std::cin, kMaxInputFileBytes));
  if (text.size() > kMaxInputFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        InputName(path), ": has more than ", kMaxInputFileBytes, " bytes"));
  }
  return InputFile{InputName(path), std::move(text)};
}

// Nothing if no path is given.
absl::StatusOr<std::optional<InputFile>> ReadIfNamed(const std::string& path) {
  if (path.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(InputFile file, Read(path));
  return std::optional<InputFile>(std::move(file));
}

// Of those that have no configuration file, the files are of flags.
bool HasFlagsOnly(System system) {
  return system == System::kOpenMetricsProxy ||
         system == System::kPromLabelProxy || system == System::kTelemeter;
}

class ConvertCommand final : public Command {
 public:
  absl::string_view details() const override {
    return "FILE is the configuration file of the other system; of "
           "open-metrics-proxy, prom-label-proxy and telemeter, which have "
           "none, files with a flag, or a variable NAME=VALUE, on each line. "
           "Flags may also follow after --. Prints a resource file, with the "
           "configuration of the services as comments, and names on stderr "
           "what has no counterpart; then the exit code is 6. Of tokens only "
           "the SHA-256 is printed. See docs/migration.md. Calls nobody.";
  }

  void Declare(Options* options) override {
    Option& from =
        options->Text("--from", "SYSTEM", &from_, "Whose configuration it is.");
    from.required = true;
    for (const absl::string_view name : SystemNames()) {
      from.choices.emplace_back(name);
    }
    options->Text("--dir", "DIRECTORY", &directory_,
                  "Write resources.yaml, a file for each service, and "
                  "notes.md, which tells of every setting, into it.");
    options->Texts("--tenant", "ID", &tenants_,
                   "A tenant that there is, where the other system leaves "
                   "that to its senders.");
    options->Text("--token-file", "FILE", &token_file_,
                  "The token that senders, or readers, will show.");
    options->Text("--upstream-url", "URL", &upstream_url_,
                  "The store, where the other system finds it by itself.");
    options->Texts("--flags", "FILE", &flag_files_,
                   "File with a flag, or a variable, on each line.");
    options->Text("--tokens", "FILE", &tokens_,
                  "telemeter: the tokens of the senders, JSON "
                  "[{\"token\": \"...\"}].");
    options->Text("--whitelist", "FILE", &whitelist_,
                  "telemeter: the selectors of its --whitelist-file.");
    options->Text("--match-file", "FILE", &matches_,
                  "telemeter: the selectors of its --match-file.");
    options->Texts("file", "FILE", &words_, "The configuration.");
  }

  ExitCode Run(const Session& session) override {
    const auto conversion = DoConvert();
    if (!conversion.ok()) return session.Unusable(conversion.status());
    Console& console = session.console;
    TellNotes(*conversion, directory_.empty(), &console);
    if (!directory_.empty()) {
      const absl::Status written =
          WriteConversion(*conversion, directory_, &console);
      if (!written.ok()) {
        console.Error(written.message());
        return ExitCode::kLocal;
      }
    } else {
      console.Out(session.globals.output == "json"
                      ? ConversionJson(*conversion)
                      : ConversionYaml(*conversion));
    }
    return IsIncomplete(*conversion) ? ExitCode::kIncomplete : ExitCode::kOk;
  }

 private:
  absl::StatusOr<Conversion> DoConvert() const {
    ASSIGN_OR_RETURN(const System system, ParseSystem(from_));
    ConvertInput input;
    // From the first flag on, it is the command line of the other system.
    const auto first_flag =
        std::find_if(words_.begin(), words_.end(), [](const std::string& word) {
          return word.size() > 1 && word.front() == '-';
        });
    RETURN_IF_ERROR(ReadFiles(system, {words_.begin(), first_flag}, &input));
    for (Argument& argument : MakeArguments({first_flag, words_.end()})) {
      input.flags.push_back(std::move(argument));
    }
    ASSIGN_OR_RETURN(input.tokens, ReadIfNamed(tokens_));
    ASSIGN_OR_RETURN(input.whitelist, ReadIfNamed(whitelist_));
    ASSIGN_OR_RETURN(input.matches, ReadIfNamed(matches_));
    if (!token_file_.empty()) {
      ASSIGN_OR_RETURN(input.token, ReadToken(token_file_, &std::cin));
    }
    input.tenants = tenants_;
    input.upstream_url = upstream_url_;
    if (!input.file.has_value() && input.flags.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "nothing to convert: name ",
          HasFlagsOnly(system) ? "a file with a flag on each line, or give "
                                 "the flags after --"
                               : "the configuration file"));
    }
    return Convert(system, input);
  }

  absl::Status ReadFiles(System system, std::vector<std::string> files,
                         ConvertInput* input) const {
    std::vector<std::string> flag_files = flag_files_;
    if (HasFlagsOnly(system)) {
      std::move(files.begin(), files.end(), std::back_inserter(flag_files));
    } else if (files.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "name one configuration file; '", files[1], "' is another one"));
    } else if (!files.empty()) {
      ASSIGN_OR_RETURN(input->file, ReadIfNamed(files.front()));
    }
    for (const std::string& path : flag_files) {
      ASSIGN_OR_RETURN(const InputFile file, Read(path));
      for (Argument& argument : ReadFlags(file)) {
        input->flags.push_back(std::move(argument));
      }
    }
    return absl::OkStatus();
  }

  std::string from_;
  std::string directory_;
  std::vector<std::string> tenants_;
  std::string token_file_;
  std::string upstream_url_;
  std::vector<std::string> flag_files_;
  std::string tokens_;
  std::string whitelist_;
  std::string matches_;
  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Command> MakeConvert() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace insula::insulactl
