#include "tools/insulactl/reference.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/globals.h"
#include "tools/insulactl/kinds.h"

namespace insula::insulactl {
namespace {

struct Described {
  const CommandEntry& entry;
  std::unique_ptr<Command> command;
  Options options;
};

std::vector<std::unique_ptr<Described>> AllCommands() {
  std::vector<std::unique_ptr<Described>> all;
  for (const CommandEntry& entry : Commands()) {
    all.push_back(std::unique_ptr<Described>(
        new Described{entry, entry.make(), Options()}));
    all.back()->command->Declare(&all.back()->options);
  }
  return all;
}

std::vector<std::string> NamesOf(const Option& option) {
  return absl::StrSplit(option.names, ',');
}

std::string ValueOf(const Option& option) {
  return option.choices.empty() ? option.placeholder
                                : absl::StrJoin(option.choices, "|");
}

// "insulactl get KIND ID"
std::string Usage(const Described& command) {
  std::string usage = absl::StrCat("insulactl ", command.entry.name);
  for (const Option& option : command.options.all()) {
    const bool many =
        std::holds_alternative<std::vector<std::string>*>(option.target);
    std::string text =
        option.positional()
            ? ValueOf(option)
            : absl::StrCat(NamesOf(option).front(), " ", ValueOf(option));
    if (many) absl::StrAppend(&text, option.positional() ? "..." : " ...");
    if (option.required) {
      absl::StrAppend(&usage, " ", text);
    } else if (option.positional()) {
      absl::StrAppend(&usage, " [", text, "]");
    }
  }
  return usage;
}

std::string OptionTable(const Options& options) {
  std::string table;
  for (const Option& option : options.all()) {
    if (option.positional()) continue;
    if (table.empty()) table = "| option | default | |\n| --- | --- | --- |\n";
    std::string value = DefaultOf(option);
    if (!value.empty()) value = absl::StrCat("`", value, "`");
    if (!option.variable.empty()) {
      absl::StrAppend(&value, value.empty() ? "" : ", ", "`$", option.variable,
                      "`");
    }
    const std::string text = absl::StrCat(
        absl::StrJoin(NamesOf(option), ", "), option.takes_value() ? " " : "",
        absl::StrReplaceAll(ValueOf(option), {{"|", "\\|"}}));
    absl::StrAppend(&table, "| `", text, "` | ", value, " | ", option.help,
                    " |\n");
  }
  return table;
}

// What may follow an option or stand for an argument.
enum class Completes { kNothing, kFile, kKind, kWords };

Completes CompletesOf(const Option& option) {
  if (!option.choices.empty()) return Completes::kWords;
  if (option.placeholder == "FILE") return Completes::kFile;
  if (option.placeholder == "KIND") return Completes::kKind;
  return Completes::kNothing;
}

std::string BashReply(const Option& option) {
  switch (CompletesOf(option)) {
    case Completes::kWords:
      return absl::StrCat("COMPREPLY=($(compgen -W \"",
                          absl::StrJoin(option.choices, " "),
                          "\" -- \"$current\"))");
    case Completes::kFile:
      return "COMPREPLY=($(compgen -f -- \"$current\"))";
    case Completes::kKind:
      return absl::StrCat("COMPREPLY=($(compgen -W \"",
                          absl::StrJoin(KindWords(), " "),
                          "\" -- \"$current\"))");
    case Completes::kNothing:
      break;
  }
  return "COMPREPLY=()";
}

// Lines of a `case "$command:$previous"`.
void AddBashValues(absl::string_view command, const Options& options,
                   std::string* script) {
  for (const Option& option : options.all()) {
    if (option.positional() || !option.takes_value()) continue;
    std::vector<std::string> patterns;
    for (const std::string& name : NamesOf(option)) {
      patterns.push_back(absl::StrCat(command, ":", name));
    }
    absl::StrAppend(script, "    ", absl::StrJoin(patterns, "|"), ") ",
                    BashReply(option), "; return ;;\n");
  }
}

std::string OptionWords(const Options& options) {
  std::vector<std::string> words;
  for (const Option& option : options.all()) {
    if (option.positional()) continue;
    for (const std::string& name : NamesOf(option)) words.push_back(name);
  }
  return absl::StrJoin(words, " ");
}

const Option* FirstPositional(const Options& options) {
  for (const Option& option : options.all()) {
    if (option.positional()) return &option;
  }
  return nullptr;
}

std::string FishQuoted(absl::string_view text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

void AddFishOptions(absl::string_view condition, const Options& options,
                    std::string* script) {
  for (const Option& option : options.all()) {
    std::string line = "complete -c insulactl";
    if (!condition.empty())
      absl::StrAppend(&line, " -n ", FishQuoted(condition));
    const Completes completes = CompletesOf(option);
    const std::string words = completes == Completes::kKind
                                  ? absl::StrJoin(KindWords(), " ")
                                  : absl::StrJoin(option.choices, " ");
    if (option.positional()) {
      if (words.empty()) continue;
      absl::StrAppend(script, line, " -a ", FishQuoted(words), "\n");
      continue;
    }
    for (const std::string& name : NamesOf(option)) {
      absl::string_view bare = name;
      const bool is_long = absl::ConsumePrefix(&bare, "--");
      if (!is_long) absl::ConsumePrefix(&bare, "-");
      absl::StrAppend(&line, is_long ? " -l " : " -s ", bare);
    }
    if (option.takes_value()) {
      absl::StrAppend(&line, completes == Completes::kFile ? " -r -F" : " -x");
      if (!words.empty()) absl::StrAppend(&line, " -a ", FishQuoted(words));
    }
    absl::StrAppend(script, line, " -d ", FishQuoted(option.help), "\n");
  }
}

}  // namespace

std::string DefaultOf(const Option& option) {
  if (const auto* number = std::get_if<int64_t*>(&option.target)) {
    return absl::StrCat(**number);
  }
  if (const auto* text = std::get_if<std::string*>(&option.target)) {
    return **text;
  }
  if (const auto* duration = std::get_if<absl::Duration*>(&option.target)) {
    return absl::FormatDuration(**duration);
  }
  return "";
}

std::string ReferenceMarkdown() {
  Globals values;
  Options globals;
  values.Declare(&globals);
  std::string page =
      absl::StrCat("Every command takes:\n\n", OptionTable(globals));
  for (const auto& command : AllCommands()) {
    absl::StrAppend(&page, "\n### ", command->entry.name, "\n\n    ",
                    Usage(*command), "\n\n", command->entry.summary);
    if (const auto details = command->command->details(); !details.empty()) {
      absl::StrAppend(&page, " ", details);
    }
    absl::StrAppend(&page, "\n");
    const std::string table = OptionTable(command->options);
    if (!table.empty()) absl::StrAppend(&page, "\n", table);
  }
  return page;
}

std::string BashCompletion() {
  Globals values;
  Options globals;
  values.Declare(&globals);
  const auto all = AllCommands();
  std::vector<std::string> names;
  for (const auto& command : all) names.emplace_back(command->entry.name);
  std::string script = absl::StrCat(
      "_insulactl() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
      "  local previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local command= word i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"$word\" in\n"
      "    ",
      absl::StrJoin(names, "|"),
      ") command=\"$word\"; break ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$command:$previous\" in\n");
  for (const auto& command : all) {
    AddBashValues(command->entry.name, command->options, &script);
  }
  AddBashValues("*", globals, &script);
  absl::StrAppend(&script,
                  "  esac\n"
                  "  case \"$command:$current\" in\n"
                  "    :-*) COMPREPLY=($(compgen -W \"",
                  OptionWords(globals),
                  " --help --version\" -- \"$current\")) ;;\n"
                  "    :*) COMPREPLY=($(compgen -W \"",
                  absl::StrJoin(names, " "), "\" -- \"$current\")) ;;\n");
  for (const auto& command : all) {
    absl::StrAppend(&script, "    ", command->entry.name,
                    ":-*) COMPREPLY=($(compgen -W \"",
                    OptionWords(command->options), " ", OptionWords(globals),
                    " --help\" -- \"$current\")) ;;\n");
    const Option* first = FirstPositional(command->options);
    if (first == nullptr) continue;
    absl::StrAppend(&script, "    ", command->entry.name,
                    ":*) [[ \"$previous\" != ", command->entry.name, " ]] || ",
                    BashReply(*first), " ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "}\n"
                  "complete -o bashdefault -F _insulactl insulactl\n");
  return script;
}

std::string ZshCompletion() {
  return absl::StrCat(
      "#compdef insulactl\n"
      "autoload -Uz bashcompinit && bashcompinit\n",
      BashCompletion());
}

std::string FishCompletion() {
  Globals values;
  Options globals;
  values.Declare(&globals);
  std::string script = "complete -c insulactl -f\n";
  AddFishOptions("", globals, &script);
  for (const auto& command : AllCommands()) {
    absl::StrAppend(
        &script, "complete -c insulactl -n __fish_use_subcommand -a ",
        command->entry.name, " -d ", FishQuoted(command->entry.summary), "\n");
    AddFishOptions(
        absl::StrCat("__fish_seen_subcommand_from ", command->entry.name),
        command->options, &script);
  }
  return script;
}

}  // namespace insula::insulactl
