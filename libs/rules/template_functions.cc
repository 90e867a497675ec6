#include "libs/rules/template_functions.h"

#include <algorithm>
#include <iterator>

namespace insula::rules::internal {
namespace {

constexpr absl::string_view kFunctions[] = {
    // Of Go.
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt",
    "ne", "not", "or", "print", "printf", "println", "slice", "urlquery",
    // Of Prometheus.
    "args", "externalURL", "first", "graphLink", "humanize", "humanize1024",
    "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "label",
    "match", "parseDuration", "pathPrefix", "query", "reReplaceAll", "safeHtml",
    "sortByLabel", "stripDomain", "stripPort", "strvalue", "tableLink", "title",
    "toLower", "toTime", "toUpper", "value"};

constexpr absl::string_view kNewerFunctions[] = {"now", "toDuration",
                                                 "urlQueryEscape"};

template <typename Table>
bool Contains(const Table& table, absl::string_view name) {
  return std::find(std::begin(table), std::end(table), name) != std::end(table);
}

}  // namespace

bool IsTemplateFunction(absl::string_view name, const Dialect& dialect) {
  return Contains(kFunctions, name) ||
         (dialect.newer_templates && Contains(kNewerFunctions, name));
}

}  // namespace insula::rules::internal
