#include "libs/resources/resource_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::resources {
namespace {

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxDocuments = 2'000'000;

// Builds trees from the parser's events. After the first error of a document
// its further events are dropped.
class Builder final : public YAML::EventHandler {
 public:
  std::vector<ResourceDocument> Take() { return std::move(documents_); }

  // Where the parser goes on making empty documents without end: at a ',' where
  // a document should begin.
  const std::optional<int>& stuck_line() const { return stuck_line_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (last_start_ == mark.pos) stuck_line_ = mark.line + 1;
    last_start_ = mark.pos;
    document_ = ResourceDocument();
    document_.root.line = mark.line + 1;
    levels_.clear();
    if (documents_.size() >= kMaxDocuments) Fail(mark, "too many documents");
  }
  void OnDocumentEnd() override {
    // Of a document that went wrong half-way, what its top level said so far.
    if (!levels_.empty()) document_.root = std::move(levels_.front().node);
    if (document_.root.kind != ResourceNode::Kind::kNull ||
        !document_.error.empty()) {
      documents_.push_back(std::move(document_));
    }
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Check(mark, "", anchor)) Add(mark, ResourceNode::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    Fail(mark, "aliases (*name) are not allowed; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    if (Check(mark, tag, anchor)) Add(mark, ResourceNode::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    if (Check(mark, tag, anchor)) Open(mark, ResourceNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    if (Check(mark, tag, anchor)) Open(mark, ResourceNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map that is being read.
  struct Level {
    ResourceNode node;
    std::optional<std::string> key;  // Read already, its value is next.
    int key_line = 0;
    std::set<std::string> keys;
  };

  void Fail(const YAML::Mark& mark, absl::string_view what) {
    if (!document_.error.empty()) return;
    document_.error_line = mark.line + 1;
    document_.error = std::string(what);
  }

  bool Check(const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      Fail(mark, "anchors (&name) are not allowed; write the value out");
    }
    // "?" is a plain scalar or collection, "!" a quoted scalar.
    if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(mark, "tags (!name) are not allowed; leave the tag out");
    }
    return document_.error.empty();
  }

  bool ExpectsKey() const {
    return !levels_.empty() &&
           levels_.back().node.kind == ResourceNode::Kind::kMap &&
           !levels_.back().key.has_value();
  }

  void Add(const YAML::Mark& mark, ResourceNode::Kind kind,
           const std::string& scalar) {
    if (ExpectsKey()) return AddKey(mark, kind, scalar);
    ResourceNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.scalar = scalar;
    Place(std::move(node));
  }

  void AddKey(const YAML::Mark& mark, ResourceNode::Kind kind,
              const std::string& key) {
    Level& level = levels_.back();
    if (kind != ResourceNode::Kind::kScalar || key.empty()) {
      return Fail(mark, "a key is empty; give it a name");
    }
    if (!level.keys.insert(key).second) {
      return Fail(mark, absl::StrCat("key '", absl::CHexEscape(key),
                                     "' is there twice; keep one"));
    }
    level.key = key;
    level.key_line = mark.line + 1;
  }

  void Open(const YAML::Mark& mark, ResourceNode::Kind kind) {
    if (ExpectsKey()) return Fail(mark, "a key must be a plain word");
    if (levels_.size() >= kMaxDepth) {
      return Fail(mark, absl::StrCat("nested deeper than ", kMaxDepth));
    }
    Level& level = levels_.emplace_back();
    level.node.kind = kind;
    level.node.line = mark.line + 1;
  }

  void Close() {
    if (!document_.error.empty() || levels_.empty()) return;
    ResourceNode node = std::move(levels_.back().node);
    levels_.pop_back();
    Place(std::move(node));
  }

  void Place(ResourceNode node) {
    if (levels_.empty()) {
      document_.root = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == ResourceNode::Kind::kMap) {
      node.key = *std::exchange(level.key, std::nullopt);
      node.line = level.key_line;
    }
    level.node.children.push_back(std::move(node));
  }

  ResourceDocument document_;
  std::vector<Level> levels_;
  std::vector<ResourceDocument> documents_;
  std::optional<int> last_start_;  // Offset of the last document.
  std::optional<int> stuck_line_;
};

}  // namespace

absl::StatusOr<std::vector<ResourceDocument>> ParseResourceTrees(
    absl::string_view text, absl::string_view name) {
  if (text.size() > kMaxResourceFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has ", text.size(), " bytes, at most ",
                     kMaxResourceFileBytes, " are read; split the file"));
  }
  if (const size_t nul = text.find('\0'); nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": has a NUL byte at offset ", nul, "; is this a text file?"));
  }
  // yaml-cpp reports by exceptions; they end here.
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder;
    while (parser.HandleNextDocument(builder)) {
      if (!builder.stuck_line()) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          name, ":", *builder.stuck_line(),
          ": not YAML: no value can begin here, remove the stray ','"));
    }
    return builder.Take();
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", e.mark.line + 1, ": not YAML: ", e.msg));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": can't be parsed: ", e.what()));
  }
}

}  // namespace insula::resources
