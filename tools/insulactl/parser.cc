#include "tools/insulactl/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <deque>
#include <exception>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/runtime/version.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/options.h"
#include "tools/insulactl/reference.h"

namespace insula::insulactl {
namespace {

constexpr size_t kHelpWidth = 78;

std::string Wrapped(absl::string_view text) {
  std::string out;
  size_t column = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > 0 && column + 1 + word.size() > kHelpWidth) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    absl::StrAppend(&out, word);
    column += word.size();
  }
  return out;
}

// Durations are read as text, and checked by CLI11, which tells of errors.
struct DurationText {
  std::string text;
  absl::Duration* target;
};

std::string CheckDuration(std::string& text) {
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration)) return "";
  return "is not a duration with a unit, such as 30s";
}

// Makes the options known to CLI11.
class Declarer {
 public:
  void Declare(const Options& options, CLI::App* app) {
    for (const Option& option : options.all()) Add(option, app);
  }
  // After parsing.
  void Finish() {
    for (const DurationText& one : durations_) {
      // It was checked.
      (void)absl::ParseDuration(one.text, one.target);
    }
  }

 private:
  void Add(const Option& option, CLI::App* app) {
    CLI::Option* added = std::visit(
        [&](auto* target) { return Make(option, target, app); }, option.target);
    if (option.required) added->required();
    if (!option.variable.empty()) added->envname(option.variable);
    if (!option.choices.empty()) added->check(CLI::IsMember(option.choices));
    if (option.takes_value()) added->option_text(TextOf(option));
  }

  static std::string TextOf(const Option& option) {
    std::string text = option.choices.empty()
                           ? option.placeholder
                           : absl::StrJoin(option.choices, "|");
    if (std::holds_alternative<std::vector<std::string>*>(option.target)) {
      absl::StrAppend(&text, " ...");
    }
    if (!option.variable.empty()) {
      absl::StrAppend(&text, " ($", option.variable, ")");
    }
    return text;
  }

  static CLI::Option* Make(const Option& option, bool* target, CLI::App* app) {
    return app->add_flag(option.names, *target, option.help);
  }
  static CLI::Option* Make(const Option& option, int64_t* target,
                           CLI::App* app) {
    return app->add_option(option.names, *target, HelpOf(option));
  }
  static CLI::Option* Make(const Option& option, std::string* target,
                           CLI::App* app) {
    return app->add_option(option.names, *target, HelpOf(option));
  }
  static CLI::Option* Make(const Option& option,
                           std::vector<std::string>* target, CLI::App* app) {
    CLI::Option* added = app->add_option(option.names, *target, option.help);
    if (!option.positional()) added->allow_extra_args(false);
    return added;
  }
  CLI::Option* Make(const Option& option, absl::Duration* target,
                    CLI::App* app) {
    DurationText& text = durations_.emplace_back(
        DurationText{absl::FormatDuration(*target), target});
    CLI::Option* added =
        app->add_option(option.names, text.text, HelpOf(option));
    added->check(CLI::Validator(CheckDuration, ""));
    return added;
  }

  // With the default, if there is one.
  static std::string HelpOf(const Option& option) {
    const std::string value = DefaultOf(option);
    return value.empty() ? option.help
                         : absl::StrCat(option.help, " Default ", value, ".");
  }

  std::deque<DurationText> durations_;
};

// "--name=" without a value, for which CLI11 would take the next argument.
absl::Status CheckValues(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (absl::StartsWith(argument, "--") &&
        argument.find('=') == argument.size() - 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          argument, ": give a value behind it, or leave the option out"));
    }
  }
  return absl::OkStatus();
}

// What is wrong with the command line.
std::string ErrorOf(const CLI::App& app, const CLI::ParseError& error) {
  if (!app.get_subcommands().empty()) return error.what();
  const std::vector<std::string> unknown = app.remaining();
  if (unknown.empty()) {
    return error.get_exit_code() ==
                   static_cast<int>(CLI::ExitCodes::RequiredError)
               ? "give a command"
               : error.what();
  }
  return absl::StrCat("'", unknown.front(), "' is no command");
}

// A command that may be chosen.
struct Candidate {
  std::unique_ptr<Command> command;
  CLI::App* app = nullptr;
};

void Parse(const std::vector<std::string>& arguments, ParsedLine* line) {
  CLI::App app("Looks into and changes the tenant-registry of Insula.",
               "insulactl");
  app.set_help_flag("-h,--help", "Say this, or more after a command.");
  app.set_version_flag("--version",
                       absl::StrCat("insulactl ", runtime::Version()));
  app.require_subcommand(1);
  app.fallthrough();  // Global options may follow the command.
  app.get_formatter()->column_width(34);
  Declarer declarer;
  Options globals;
  line->globals.Declare(&globals);
  declarer.Declare(globals, &app);

  std::vector<Candidate> candidates;
  std::deque<Options> options;
  for (const CommandEntry& entry : Commands()) {
    Candidate& candidate = candidates.emplace_back();
    candidate.command = entry.make();
    candidate.app =
        app.add_subcommand(std::string(entry.name), std::string(entry.summary));
    candidate.app->footer(Wrapped(candidate.command->details()));
    candidate.command->Declare(&options.emplace_back());
    declarer.Declare(options.back(), candidate.app);
  }

  if (const absl::Status status = CheckValues(arguments); !status.ok()) {
    line->error = absl::StrCat(status.message(), "; see insulactl --help");
    line->code = ExitCode::kUsage;
    return;
  }
  try {
    // CLI11 takes them from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    line->out = app.help();
    return;
  } catch (const CLI::CallForVersion& version) {
    line->out = absl::StrCat(version.what(), "\n");
    return;
  } catch (const CLI::ParseError& error) {
    line->error = absl::StrCat(ErrorOf(app, error), "; see insulactl --help");
    line->code = ExitCode::kUsage;
    return;
  }
  declarer.Finish();
  for (Candidate& candidate : candidates) {
    if (candidate.app->parsed()) line->command = std::move(candidate.command);
  }
}

}  // namespace

std::unique_ptr<ParsedLine> ParseLine(
    const std::vector<std::string>& arguments) {
  auto line = std::make_unique<ParsedLine>();
  if (arguments == std::vector<std::string>{"--help-markdown"}) {
    line->out = ReferenceMarkdown();
    return line;
  }
  try {
    Parse(arguments, line.get());
  } catch (const std::exception& error) {
    // Only if the options are declared wrongly.
    line->error = error.what();
    line->code = ExitCode::kUsage;
  }
  return line;
}

}  // namespace insula::insulactl
