#include "libs/rules/ruler_answer.h"

#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/rules/decoder.h"
#include "libs/rules/group_reader.h"
#include "libs/rules/reporter.h"
#include "libs/rules/yaml_document.h"
#include "libs/status/status_macros.h"

namespace insula::rules {
namespace {

using internal::Decoder;
using internal::Entry;
using internal::GroupReader;
using internal::Reporter;
using internal::YamlNode;

using Namespaces = std::map<std::string, std::vector<Group>>;

absl::Status Error(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the ruler's list of rules: ", what));
}

// Reads one answer.
class AnswerReader {
 public:
  explicit AnswerReader(const RulerAnswerOptions& options)
      : decoder_(options.max_nodes, options.max_bytes, &reporter_),
        group_reader_({.dialect = kPrometheus3,
                       .keep_foreign_keys = true,
                       .max_rules = std::numeric_limits<size_t>::max()},
                      &decoder_, &reporter_) {}

  absl::StatusOr<Namespaces> Read(const YamlNode& root) && {
    Namespaces namespaces;
    std::vector<Entry> entries;
    if (!decoder_.Entries(root, "the map of namespaces", &entries)) {
      return Failure();
    }
    for (const Entry& entry : entries) {
      RETURN_IF_ERROR(ReadNamespace(entry, &namespaces[entry.key]));
    }
    return namespaces;
  }

 private:
  // What was reported, of which the first says enough.
  absl::Status Failure() {
    const std::vector<Problem> problems = reporter_.Take();
    return Error(problems.empty() ? "unreadable" : problems[0].ToString());
  }

  absl::Status ReadNamespace(const Entry& entry, std::vector<Group>* groups) {
    const std::string place =
        absl::StrCat("namespace ", internal::Show(entry.key));
    if (entry.value->kind != YamlNode::Kind::kList) {
      return Error(absl::StrCat(place, " must be a list of groups, not ",
                                internal::Name(entry.value->kind)));
    }
    std::set<std::string> names;
    for (const YamlNode* node : entry.value->children) {
      std::optional<Group> group =
          group_reader_.Read(*node, static_cast<int>(groups->size()) + 1);
      if (!group.has_value()) return Failure();
      if (group->name.empty()) {
        return Error(absl::StrCat(place, " has a group without a name"));
      }
      if (!names.insert(group->name).second) {
        return Error(absl::StrCat(place, " has two groups ",
                                  internal::Show(group->name)));
      }
      groups->push_back(*std::move(group));
    }
    return absl::OkStatus();
  }

  Reporter reporter_;
  Decoder decoder_;
  GroupReader group_reader_;
};

}  // namespace

absl::StatusOr<Namespaces> ParseRulerAnswer(absl::string_view text,
                                            const RulerAnswerOptions& options) {
  if (text.size() > options.max_bytes) {
    return Error(absl::StrCat("has ", text.size(), " bytes, more than the ",
                              options.max_bytes, " allowed"));
  }
  const internal::YamlDocument document =
      internal::ReadYaml(text, options.max_nodes);
  if (document.error.has_value()) {
    Problem problem;
    problem.position = document.error->position;
    problem.message = document.error->message;
    return Error(problem.ToString());
  }
  if (document.root == nullptr) {
    return Error("empty; without rules it would be {}");
  }
  if (document.next_document.has_value()) {
    return Error("goes on after its end");
  }
  return AnswerReader(options).Read(*document.root);
}

}  // namespace insula::rules
