#include "libs/exposition/metadata_reader.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/exposition/metric_type.h"
#include "libs/labels/validity.h"
#include "libs/status/status_macros.h"

namespace insula::exposition {
namespace {

using Kind = Metadata::Kind;

// Takes `word` and a blank behind it, if they are next.
bool TakeKeyword(absl::string_view word, LineReader* reader) {
  const absl::string_view rest = reader->Rest();
  if (!absl::StartsWith(rest, word) || rest.size() == word.size()) return false;
  const char behind = rest[word.size()];
  if (behind != ' ' && (behind != '\t' || reader->is_open_metrics())) {
    return false;
  }
  reader->Skip(word.size() + 1);
  return true;
}

// Behind the '#'.
Kind TakeKind(LineReader* reader) {
  const bool open_metrics = reader->is_open_metrics();
  if (open_metrics && reader->Rest() == " EOF") return Kind::kEof;
  const char* const gap = reader->at();
  if (open_metrics) {
    if (reader->Peek() == ' ') reader->Skip(1);
  } else {
    reader->SkipBlanks();
  }
  if (reader->at() == gap) return Kind::kNone;
  if (TakeKeyword("HELP", reader)) return Kind::kHelp;
  if (TakeKeyword("TYPE", reader)) return Kind::kType;
  if (open_metrics && TakeKeyword("UNIT", reader)) return Kind::kUnit;
  return Kind::kNone;
}

absl::Status ReadName(LineReader* reader, absl::string_view* name) {
  const char* const where = reader->at();
  if (reader->Peek() == '"' && reader->options().utf8_names) {
    RETURN_IF_ERROR(reader->TakeString(name));
  } else {
    *name = reader->TakeMetricName();
  }
  if (name->empty()) return reader->Expected("the name of a metric family");
  const size_t limit = reader->options().max_name_bytes;
  if (name->size() > limit) {
    return reader->TooLong(where, "name", name->size(), limit);
  }
  return absl::OkStatus();
}

absl::Status CheckUnit(const LineReader& reader, const Metadata& metadata) {
  const absl::string_view unit = metadata.text;
  absl::string_view stem = metadata.name;
  if (unit.empty() ||
      (absl::ConsumeSuffix(&stem, unit) && absl::EndsWith(stem, "_"))) {
    return absl::OkStatus();
  }
  return reader.Error(
      unit.data(),
      absl::StrCat("the name of the family does not end in its unit, '_",
                   absl::CHexEscape(unit.substr(0, 40)), "'"));
}

}  // namespace

absl::Status ReadComment(absl::string_view line, LineReader* reader,
                         Metadata* metadata) {
  *metadata = Metadata();
  reader->Start(line);
  if (!reader->is_open_metrics()) reader->SkipBlanks();
  const char* const hash = reader->at();
  reader->Skip(1);
  metadata->kind = TakeKind(reader);
  if (metadata->kind == Kind::kEof) return absl::OkStatus();
  if (metadata->kind == Kind::kNone) {
    if (!reader->is_open_metrics()) return absl::OkStatus();
    return reader->Error(hash,
                         "OpenMetrics has no comments but '# HELP', '# TYPE', "
                         "'# UNIT' and '# EOF', with single blanks");
  }

  if (!reader->is_open_metrics()) reader->SkipBlanks();
  RETURN_IF_ERROR(ReadName(reader, &metadata->name));
  const char behind = reader->Peek();
  if (behind != ' ' &&
      (reader->is_open_metrics() || (behind != '\t' && !reader->AtEnd()))) {
    return reader->Expected("a blank behind the name");
  }
  if (!reader->AtEnd()) reader->Skip(1);

  const char* const where = reader->at();
  metadata->text = reader->Rest();
  if (metadata->kind == Kind::kType) {
    const std::optional<MetricType> type =
        ParseMetricType(reader->options().format, metadata->text);
    if (!type) {
      return reader->Error(
          where,
          absl::StrCat("'", absl::CHexEscape(metadata->text.substr(0, 40)),
                       "' is no metric type, write one of ",
                       MetricTypeNames(reader->options().format)));
    }
    metadata->type = *type;
    return absl::OkStatus();
  }
  if (!labels::IsValidUtf8(metadata->text)) {
    return reader->Error(where, "the text is not valid UTF-8");
  }
  if (metadata->kind == Kind::kUnit) return CheckUnit(*reader, *metadata);
  if (absl::StrContains(metadata->text, '\\')) {
    metadata->text =
        reader->Unescaped(metadata->text, reader->is_open_metrics());
  }
  return absl::OkStatus();
}

}  // namespace insula::exposition
