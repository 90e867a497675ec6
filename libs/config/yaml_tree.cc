#include "libs/config/yaml_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <optional>
#include <set>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::config::internal {
namespace {

// Builds the tree from the parser's events. After the first error the events
// are dropped: an exception could not say more.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(absl::string_view name) : name_(name) {}

  absl::StatusOr<YamlNode> Finish() {
    if (!error_.ok()) return error_;
    return std::move(root_);
  }

  bool ok() const { return error_.ok(); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // At a ',' where a document should begin the parser makes one empty
    // document after the other, without end.
    if (++documents_ > 1 && last_start_ == mark.pos) {
      Fail(mark, "no value can begin here; remove the stray ','");
    } else if (documents_ > 1) {
      Fail(mark, "only one document is allowed");
    }
    last_start_ = mark.pos;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Check(mark, "", anchor)) Add(mark, YamlNode::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(mark, "aliases (*name) are not allowed; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    if (Check(mark, tag, anchor)) Add(mark, YamlNode::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    if (Check(mark, tag, anchor)) Open(mark, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    if (Check(mark, tag, anchor)) Open(mark, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map that is being read.
  struct Level {
    YamlNode node;
    std::optional<std::string> key;  // Read already, its value is next.
    int key_line = 0;
    std::set<std::string> keys;
  };

  void Fail(const YAML::Mark& mark, absl::string_view what) {
    if (!error_.ok()) return;
    error_ = absl::InvalidArgumentError(
        absl::StrCat(name_, ":", mark.line + 1, ": ", what));
  }

  bool Check(const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      Fail(mark, "anchors (&name) are not allowed; write the value out");
    }
    // "?" is a plain scalar or collection, "!" a quoted scalar.
    if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(mark, absl::StrCat("tag '", absl::CHexEscape(tag),
                              "' is not allowed; remove it"));
    }
    return error_.ok();
  }

  bool ExpectsKey() const {
    return !levels_.empty() &&
           levels_.back().node.kind == YamlNode::Kind::kMap &&
           !levels_.back().key.has_value();
  }

  void Add(const YAML::Mark& mark, YamlNode::Kind kind,
           const std::string& value) {
    if (ExpectsKey()) {
      AddKey(mark, kind, value);
      return;
    }
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.scalar = value;
    Place(std::move(node));
  }

  void AddKey(const YAML::Mark& mark, YamlNode::Kind kind,
              const std::string& value) {
    if (kind != YamlNode::Kind::kScalar) {
      Fail(mark, "a key is missing before ':'");
      return;
    }
    Level& level = levels_.back();
    if (!level.keys.insert(value).second) {
      Fail(mark, absl::StrCat(absl::CHexEscape(value),
                              ": is there twice; keep one of them"));
      return;
    }
    level.key = value;
    level.key_line = mark.line + 1;
  }

  void Open(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (ExpectsKey()) {
      Fail(mark, "a key must be a plain word");
      return;
    }
    if (levels_.size() >= kMaxYamlDepth) {
      Fail(mark, absl::StrCat("is nested deeper than ", kMaxYamlDepth));
      return;
    }
    Level level;
    level.node.kind = kind;
    level.node.line = mark.line + 1;
    levels_.push_back(std::move(level));
  }

  void Close() {
    if (!error_.ok()) return;
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    Place(std::move(node));
  }

  // Puts a complete node where it belongs.
  void Place(YamlNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.key.has_value()) {
      node.key = *std::move(level.key);
      node.line = level.key_line;
      level.key.reset();
    }
    level.node.children.push_back(std::move(node));
  }

  const absl::string_view name_;
  int documents_ = 0;
  int last_start_ = 0;  // Offset of the last of them.
  absl::Status error_;
  YamlNode root_;
  std::vector<Level> levels_;
};

}  // namespace

absl::StatusOr<YamlNode> ParseYaml(absl::string_view text,
                                   absl::string_view name) {
  if (text.size() > kMaxYamlBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has ", text.size(), " bytes, at most ",
                     kMaxYamlBytes, " are allowed"));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder(name);
    while (parser.HandleNextDocument(builder) && builder.ok()) {
    }
    return builder.Finish();
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ":", error.mark.line + 1, ": is not valid YAML: ", error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is not valid YAML: ", error.what()));
  }
}

}  // namespace insula::config::internal
