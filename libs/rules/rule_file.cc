#include "libs/rules/rule_file.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/rules/check_group.h"
#include "libs/rules/decoder.h"
#include "libs/rules/duplicates.h"
#include "libs/rules/group_reader.h"
#include "libs/rules/reporter.h"
#include "libs/rules/yaml_document.h"

namespace insula::rules {
namespace {

using internal::Decoder;
using internal::Entry;
using internal::GroupReader;
using internal::Reporter;
using internal::Show;
using internal::YamlDocument;
using internal::YamlNode;

// Reads one file.
class FileReader {
 public:
  explicit FileReader(const ParseOptions& options)
      : options_(options),
        // The text itself, and as much again behind aliases.
        decoder_(options.max_nodes, 2 * options.max_bytes, &reporter_),
        group_reader_({.dialect = options.dialect,
                       .keep_foreign_keys = false,
                       .max_rules = options.max_rules},
                      &decoder_, &reporter_),
        regex_cost_left_(options.max_regex_cost) {}

  ParsedFile Read(absl::string_view text) && {
    if (!ReadFile(text) || decoder_.spent()) groups_.clear();
    for (Problem& problem : FindDuplicates(groups_)) {
      // It counts among the good groups, this among all.
      problem.group_number = numbers_[problem.group_number - 1];
      reporter_.Add(std::move(problem));
    }
    return {std::move(groups_), std::move(reporter_).Take()};
  }

 private:
  // False if the file as a whole is bad.
  bool ReadFile(absl::string_view text) {
    if (text.size() > options_.max_bytes) {
      reporter_.Error(
          {}, absl::StrCat("has ", text.size(), " bytes, more than the ",
                           options_.max_bytes, " allowed; split the file"));
      return false;
    }
    const YamlDocument document = internal::ReadYaml(text, options_.max_nodes);
    if (document.error.has_value()) {
      reporter_.Error(document.error->position, document.error->message);
      return false;
    }
    const bool empty = document.root == nullptr ||
                       document.root->kind == YamlNode::Kind::kNull;
    if (document.next_document.has_value()) {
      constexpr absl::string_view kUnread =
          "only the first document is read; put all groups into it";
      if (empty) {
        reporter_.Error(*document.next_document, kUnread);
        return false;
      }
      reporter_.Warning(*document.next_document, kUnread);
    }
    if (empty) return true;
    return ReadRoot(*document.root);
  }

  bool ReadRoot(const YamlNode& root) {
    std::vector<Entry> entries;
    if (!decoder_.Entries(root, "a rule file", &entries)) return false;
    bool good = true;
    for (const Entry& entry : entries) {
      if (entry.key == "groups") {
        good = ReadGroups(*entry.value) && good;
      } else {
        reporter_.Error(
            entry.key_position,
            absl::StrCat("field ", Show(entry.key),
                         " not found; a rule file has only groups"));
        good = false;
      }
    }
    return good;
  }

  bool ReadGroups(const YamlNode& list) {
    if (list.kind == YamlNode::Kind::kNull) return true;
    if (list.kind != YamlNode::Kind::kList) {
      reporter_.Error(list.position,
                      absl::StrCat("field 'groups' must be a list, not ",
                                   internal::Name(list.kind)));
      return false;
    }
    if (list.children.size() > options_.max_groups) {
      reporter_.Error(
          list.position,
          absl::StrCat("has ", list.children.size(), " groups, more than the ",
                       options_.max_groups, " allowed; split the file"));
      return false;
    }
    for (size_t i = 0; i < list.children.size(); ++i) {
      // As Prometheus does: what is not there is no group.
      if (list.children[i]->kind == YamlNode::Kind::kNull) continue;
      ReadGroup(*list.children[i], static_cast<int>(i) + 1);
    }
    return true;
  }

  void ReadGroup(const YamlNode& node, int number) {
    const size_t errors = reporter_.errors();
    std::optional<Group> group = group_reader_.Read(node, number);
    if (!group.has_value()) return;
    internal::CheckGroup(*group, number, options_, &regex_cost_left_,
                         &reporter_);
    if (!names_.insert(group->name).second && !group->name.empty()) {
      reporter_.EnterGroup(number, group->name);
      reporter_.Error(node.position,
                      absl::StrCat("groupname: ", Show(group->name),
                                   " is repeated in the same file; rename it"));
      reporter_.LeaveGroup();
    }
    if (reporter_.errors() != errors) return;
    groups_.push_back(*std::move(group));
    numbers_.push_back(number);
  }

  const ParseOptions& options_;
  Reporter reporter_;
  Decoder decoder_;
  GroupReader group_reader_;
  size_t regex_cost_left_;
  std::set<std::string> names_;
  std::vector<Group> groups_;
  std::vector<int> numbers_;  // Of groups_, in the file.
};

}  // namespace

bool ParsedFile::ok() const {
  return std::none_of(
      problems.begin(), problems.end(),
      [](const Problem& problem) { return problem.is_error(); });
}

ParsedFile Parse(absl::string_view text, const ParseOptions& options) {
  return FileReader(options).Read(text);
}

}  // namespace insula::rules
