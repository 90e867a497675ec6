#include "tools/insulactl/convert_output.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/files/replace_file.h"
#include "libs/resources/resource_printer.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::insulactl {
namespace {

using resources::Printable;
using resources::Quote;

constexpr absl::string_view kResources = "resources.yaml";
constexpr absl::string_view kNotes = "notes.md";

absl::string_view KindWord(Note::Kind kind) {
  switch (kind) {
    case Note::Kind::kUsed:
      return "used";
    case Note::Kind::kChanged:
      return "changed";
    case Note::Kind::kNone:
      return "none";
    case Note::Kind::kToDo:
      return "todo";
  }
  return "";
}

void AppendAsComment(absl::string_view text, std::string* out) {
  absl::ConsumeSuffix(&text, "\n");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(out, line.empty() ? "#" : "# ", line, "\n");
  }
}

}  // namespace

std::string ConversionYaml(const Conversion& conversion) {
  std::string text;
  for (const OutputFile& file : Render(conversion)) {
    if (file.name == kResources) {
      text += file.text;
    } else if (file.name != kNotes) {
      absl::StrAppend(&text, "\n# ==== ", file.name, " ====\n");
      AppendAsComment(file.text, &text);
    }
  }
  return text;
}

std::string ConversionJson(const Conversion& conversion) {
  std::string text = "{\"objects\": [";
  absl::string_view separator = "";
  for (const registry::v1::Object& object : conversion.objects) {
    absl::StrAppend(&text, separator, resources::ToJson(object));
    separator = ", ";
  }
  text += "], \"configs\": [";
  separator = "";
  for (const ServiceConfig& config : conversion.configs) {
    absl::StrAppend(&text, separator, "{\"service\": ", Quote(config.service),
                    ", \"yaml\": ", Quote(config.yaml), "}");
    separator = ", ";
  }
  text += "], \"notes\": [";
  separator = "";
  for (const Note& note : conversion.notes) {
    absl::StrAppend(&text, separator, "{\"kind\": ", Quote(KindWord(note.kind)),
                    ", \"key\": ", Quote(note.key),
                    ", \"where\": ", Quote(note.where),
                    ", \"text\": ", Quote(note.text), "}");
    separator = ", ";
  }
  return text + "]}\n";
}

absl::Status WriteConversion(const Conversion& conversion,
                             const std::string& directory, Console* console) {
  const std::filesystem::path top(directory);
  std::error_code error;
  std::filesystem::create_directories(top, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat(directory, ": can't be made: ", error.message()));
  }
  const std::vector<OutputFile> files = Render(conversion);
  for (const OutputFile& file : files) {
    const std::filesystem::path path = top / file.name;
    if (std::filesystem::symlink_status(path, error).type() !=
        std::filesystem::file_type::not_found) {
      return absl::AlreadyExistsError(absl::StrCat(
          path.string(), " is there already; name another directory"));
    }
  }
  for (const OutputFile& file : files) {
    const std::string path = (top / file.name).string();
    RETURN_IF_ERROR(Annotate(files::ReplaceFile(path, file.text), path));
    console->OutLine(Printable(path));
  }
  return absl::OkStatus();
}

bool IsIncomplete(const Conversion& conversion) {
  return std::any_of(
      conversion.notes.begin(), conversion.notes.end(),
      [](const Note& note) { return note.kind == Note::Kind::kNone; });
}

void TellNotes(const Conversion& conversion, bool all, Console* console) {
  for (const Note& note : conversion.notes) {
    const std::string where = absl::StrCat(note.where, ": ", note.key);
    switch (note.kind) {
      case Note::Kind::kNone:
        console->Error(absl::StrCat(where, " has no counterpart: ", note.text));
        break;
      case Note::Kind::kChanged:
        if (all)
          console->Note(
              absl::StrCat(where, " means something else here: ", note.text));
        break;
      case Note::Kind::kToDo:
        if (all) console->Note(note.text);
        break;
      case Note::Kind::kUsed:
        break;
    }
  }
}

}  // namespace insula::insulactl
