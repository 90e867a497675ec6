#include "libs/rules/yaml_document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/emitterstyle.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libs/labels/validity.h"
#include "libs/promql/quote.h"
#include "libs/rules/reporter.h"

namespace insula::rules::internal {
namespace {

constexpr size_t kMaxDepth = 100;

Position At(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// Builds the tree from the parser's events. After the first error they are
// dropped.
class Builder final : public YAML::EventHandler {
 public:
  Builder(size_t max_nodes, YamlDocument* document)
      : max_nodes_(max_nodes), document_(document) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (LacksColon(mark)) Fail(mark, "not valid YAML: ':' is missing");
    if (YamlNode* node = New(mark, YamlNode::Kind::kNull)) {
      Complete(node, anchor);
    }
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (failed()) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Fail(mark, "the value of an anchor holds itself; write it out");
      return;
    }
    Place(mark, found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    YamlNode* node = New(mark, YamlNode::Kind::kScalar);
    if (node == nullptr) return;
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") {
      RefuseTag(mark, tag);
      return;
    }
    node->scalar = value;
    node->quoted = tag != "?";
    Complete(node, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, "tag:yaml.org,2002:seq", anchor, YamlNode::Kind::kList,
         false);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    Open(mark, tag, "tag:yaml.org,2002:map", anchor, YamlNode::Kind::kMap,
         style == YAML::EmitterStyle::Block);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map that is being read.
  struct Level {
    YamlNode* node;
    YAML::anchor_t anchor;
    bool block;      // A map without braces.
    YAML::Mark key;  // Of a map: where its latest key is.
  };

  // At the end of the text the parser takes a word for a key although no colon
  // follows, and puts its null where the key is.
  bool LacksColon(const YAML::Mark& null) const {
    if (levels_.empty() || !levels_.back().block) return false;
    const Level& level = levels_.back();
    return level.node->children.size() % 2 == 1 && level.key.pos == null.pos;
  }

  bool failed() const { return document_->error.has_value(); }

  void Fail(const YAML::Mark& mark, absl::string_view message) {
    if (!failed()) document_->error = YamlError{At(mark), std::string(message)};
  }

  void RefuseTag(const YAML::Mark& mark, absl::string_view tag) {
    Fail(mark,
         absl::StrCat("tag ", Show(tag), " is not understood; leave it out"));
  }

  YamlNode* New(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (failed()) return nullptr;
    if (!levels_.empty() && levels_.back().node->children.size() % 2 == 0) {
      levels_.back().key = mark;
    }
    if (document_->nodes.size() >= max_nodes_) {
      Fail(mark,
           absl::StrCat("more than ", max_nodes_, " values; split the file"));
      return nullptr;
    }
    YamlNode& node = document_->nodes.emplace_back();
    node.kind = kind;
    node.position = At(mark);
    return &node;
  }

  void Open(const YAML::Mark& mark, absl::string_view tag,
            absl::string_view own_tag, YAML::anchor_t anchor,
            YamlNode::Kind kind, bool block) {
    YamlNode* node = New(mark, kind);
    if (node == nullptr) return;
    if (!tag.empty() && tag != "?" && tag != "!" && tag != own_tag) {
      RefuseTag(mark, tag);
    } else if (levels_.size() >= kMaxDepth) {
      Fail(mark, absl::StrCat("nested deeper than ", kMaxDepth, " levels"));
    } else {
      levels_.push_back({node, anchor, block, {}});
    }
  }

  void Close() {
    if (failed()) return;
    const Level level = levels_.back();
    levels_.pop_back();
    Complete(level.node, level.anchor);
  }

  void Complete(const YamlNode* node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    if (levels_.empty()) {
      document_->root = node;
    } else {
      levels_.back().node->children.push_back(node);
    }
  }

  void Place(const YAML::Mark& mark, const YamlNode* node) {
    // An alias costs as much as a value.
    if (New(mark, YamlNode::Kind::kNull) == nullptr) return;
    Complete(node, YAML::NullAnchor);
  }

  const size_t max_nodes_;
  YamlDocument* const document_;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, const YamlNode*> anchors_;
};

// Looks only where a document begins.
class Spotter final : public YAML::EventHandler {
 public:
  explicit Spotter(std::optional<Position>* start) : start_(start) {}
  void OnDocumentStart(const YAML::Mark& mark) override { *start_ = At(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  std::optional<Position>* const start_;
};

// Control characters are not YAML. U+0085, U+2028, U+2029 and a carriage return
// alone are line ends for some readers and not for others, which would then see
// another file.
bool IsAllowed(char32_t c, absl::string_view rest) {
  if (c == '\r') return absl::StartsWith(rest, "\n");
  if (c < 0x20) return c == '\t' || c == '\n';
  if (c < 0xA0) return c < 0x7F;
  return c != 0x2028 && c != 0x2029 && c != 0xFFFE && c != 0xFFFF;
}

std::optional<YamlError> CheckCharacters(absl::string_view text) {
  Position position{1, 1};
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = promql::DecodeCharacter(text, &c);
    if (length == 1 && c == promql::kReplacement) {
      return YamlError{position, "not UTF-8; save the file as UTF-8"};
    }
    if (!IsAllowed(c, text.substr(length))) {
      return YamlError{position,
                       absl::StrCat("character ", promql::QuotedCharacter(c),
                                    " is not allowed; remove it, or write it "
                                    "as an escape in double quotes")};
    }
    // The parser does not look at all of them.
    if (c == '%' && position.column == 1) {
      return YamlError{position,
                       "directives (%) are not understood; leave them out"};
    }
    text.remove_prefix(length);
    ++position.column;
    if (c == '\n') position = {position.line + 1, 1};
  }
  return std::nullopt;
}

// Whether a marker (`---`, `...`) is what ends the document before the line
// `line`. If not, the parser has stopped in the middle of something.
bool EndsByMarker(absl::string_view text, int line) {
  bool marked = false;
  for (absl::string_view each : absl::StrSplit(text, '\n')) {
    if (--line == 0) return marked || absl::StartsWith(each, "---");
    marked = marked || absl::StartsWith(each, "...");
  }
  return false;
}

// At the end of the text the parser takes an open quote for a closed one: a
// file that was cut there would be good. Quotes do not go on across a marker.
std::string WithEndMarker(absl::string_view text) {
  const bool ended = text.empty() || text.back() == '\n';
  return absl::StrCat(text, ended ? "---\n" : "\n---\n");
}

int CountLines(absl::string_view text) {
  const auto ends = std::count(text.begin(), text.end(), '\n');
  return static_cast<int>(text.empty() || text.back() == '\n' ? ends
                                                              : ends + 1);
}

void FindNextDocument(absl::string_view text, YAML::Parser& parser,
                      YamlDocument* document) {
  std::optional<Position> start;
  Spotter spotter(&start);
  try {
    parser.HandleNextDocument(spotter);
  } catch (const std::exception&) {
    // Nobody reads it, so it may be anything.
  }
  // The end marker begins a document, too.
  if (!start.has_value() || start->line > CountLines(text)) return;
  if (EndsByMarker(text, start->line)) {
    document->next_document = start;
  } else {
    document->error = YamlError{*start, "not valid YAML: unexpected here"};
  }
}

YamlError Describe(const YAML::Exception& error, absl::string_view text) {
  const Position position = At(error.mark);
  if (position.line > CountLines(text)) {
    return {position,
            "not valid YAML: ends too early, a quote, bracket or brace is not "
            "closed"};
  }
  return {position, absl::StrCat("not valid YAML: ", error.msg)};
}

}  // namespace

absl::string_view Name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull:
      return "null";
    case YamlNode::Kind::kScalar:
      return "a string";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "unknown";
}

YamlDocument ReadYaml(absl::string_view text, size_t max_nodes) {
  YamlDocument document;
  document.error = CheckCharacters(text);
  if (document.error.has_value()) return document;
  try {
    std::istringstream stream(WithEndMarker(text));
    YAML::Parser parser(stream);
    Builder builder(max_nodes, &document);
    parser.HandleNextDocument(builder);
    if (!document.error.has_value()) FindNextDocument(text, parser, &document);
  } catch (const YAML::Exception& error) {
    if (!document.error.has_value()) document.error = Describe(error, text);
  } catch (const std::exception& error) {
    if (!document.error.has_value()) {
      document.error =
          YamlError{{}, absl::StrCat("not valid YAML: ", error.what())};
    }
  }
  return document;
}

}  // namespace insula::rules::internal
