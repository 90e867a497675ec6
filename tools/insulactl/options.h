// What a command takes on the command line, told once: the parser, --help,
// docs/insulactl.md and shell completion all come from it.
//
//   options->Flag("--dry-run", &dry_run_, "Check everything, change nothing.");
//   options->Texts("-f,--file", "FILE", &files_, "Resource files.");
//   options->Text("id", "ID", &id_, "Of the object.").required = true;
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::insulactl {

// An option, or a positional argument if its name does not begin with '-'.
struct Option {
  std::string names;  // "-f,--file"
  // What stands for the value in help. Completion knows FILE and KIND.
  std::string placeholder;
  std::string help;
  // Where the value goes; what is there is the default.
  std::variant<bool*, int64_t*, std::string*, absl::Duration*,
               std::vector<std::string>*>
      target;
  bool required = false;
  std::vector<std::string> choices;  // Empty: any value.
  std::string variable;  // Of the environment, which gives a default.

  bool positional() const { return names.front() != '-'; }
  bool takes_value() const { return !std::holds_alternative<bool*>(target); }
};

// Those of a command. Targets outlive it. Returned references last as long as
// it does.
class Options {
 public:
  Option& Flag(absl::string_view names, bool* target, absl::string_view help);
  Option& Number(absl::string_view names, absl::string_view placeholder,
                 int64_t* target, absl::string_view help);
  Option& Duration(absl::string_view names, absl::Duration* target,
                   absl::string_view help);
  Option& Text(absl::string_view names, absl::string_view placeholder,
               std::string* target, absl::string_view help);
  // May be given several times; a positional one takes all that is left.
  Option& Texts(absl::string_view names, absl::string_view placeholder,
                std::vector<std::string>* target, absl::string_view help);

  const std::deque<Option>& all() const { return all_; }

 private:
  std::deque<Option> all_;
};

}  // namespace insula::insulactl
