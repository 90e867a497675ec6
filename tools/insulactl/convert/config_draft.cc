#include "tools/insulactl/convert/config_draft.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/resources/resource_printer.h"

namespace insula::insulactl {
namespace {

// As it is if no reader of YAML could take it for something else.
std::string Scalar(absl::string_view text) {
  const bool plain =
      !text.empty() &&
      absl::ascii_isalnum(static_cast<unsigned char>(text[0])) &&
      !absl::EndsWith(text, ":") &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) ||
               absl::string_view("._/:+-").find(static_cast<char>(c)) !=
                   absl::string_view::npos;
      });
  return plain ? std::string(text) : resources::Quote(text);
}

}  // namespace

ConfigDraft::Node& ConfigDraft::At(absl::string_view path) {
  Node* node = &root_;
  for (absl::string_view step : absl::StrSplit(path, '.')) {
    const size_t bracket = step.find('[');
    const std::string key(step.substr(0, bracket));
    node->kind = Node::Kind::kMap;
    auto it =
        std::find_if(node->children.begin(), node->children.end(),
                     [&key](const auto& child) { return child.first == key; });
    if (it == node->children.end()) {
      it = node->children.insert(it, {key, Node()});
    }
    node = &it->second;
    if (bracket == absl::string_view::npos) continue;
    size_t index = 0;
    if (!absl::SimpleAtoi(step.substr(bracket + 1, step.size() - bracket - 2),
                          &index)) {
      continue;  // Paths are written in here, and never so.
    }
    node->kind = Node::Kind::kList;
    while (node->children.size() <= index) node->children.emplace_back();
    node = &node->children[index].second;
  }
  return *node;
}

void ConfigDraft::Set(absl::string_view path, absl::string_view value) {
  Node& node = At(path);
  node.kind = Node::Kind::kValue;
  node.value = std::string(value);
}

void ConfigDraft::SetList(absl::string_view path,
                          std::vector<std::string> values) {
  Node& node = At(path);
  node.kind = Node::Kind::kValues;
  node.values = std::move(values);
}

void ConfigDraft::Print(const Node& node, int depth, std::string& out) {
  const std::string indent(2 * depth, ' ');
  for (const auto& [key, child] : node.children) {
    if (node.kind == Node::Kind::kList) {
      // The first key stands beside the dash.
      std::string item;
      Print(child, depth + 1, item);
      absl::StrAppend(&out, indent, "- ",
                      absl::string_view(item).substr(2 * (depth + 1)));
      continue;
    }
    absl::StrAppend(&out, indent, key, ":");
    switch (child.kind) {
      case Node::Kind::kNone:
        absl::StrAppend(&out, "\n");
        break;
      case Node::Kind::kValue:
        absl::StrAppend(&out, " ", Scalar(child.value), "\n");
        break;
      case Node::Kind::kValues:
        absl::StrAppend(&out, " [",
                        absl::StrJoin(child.values, ", ",
                                      [](std::string* to, const auto& value) {
                                        absl::StrAppend(
                                            to, resources::Quote(value));
                                      }),
                        "]\n");
        break;
      case Node::Kind::kMap:
      case Node::Kind::kList:
        absl::StrAppend(&out, "\n");
        Print(child, depth + 1, out);
        break;
    }
  }
}

std::string ConfigDraft::Yaml() const {
  std::string out;
  Print(root_, 0, out);
  return out;
}

}  // namespace insula::insulactl
