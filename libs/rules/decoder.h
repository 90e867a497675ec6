// Turns YAML nodes into values, strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/rules/group.h"
#include "libs/rules/reporter.h"
#include "libs/rules/yaml_document.h"

namespace insula::rules::internal {

// A key of a map with its value.
struct Entry {
  std::string key;
  Position key_position;
  const YamlNode* value;
};

// Reports what is wrong and then returns false. Null is, as for Prometheus, the
// same as leaving a key out: the value stays as it is and true is returned.
//
// Aliases let a small text stand for a large one, so each value read counts,
// and each byte: what is beyond `max_nodes` and `max_bytes` is not read. Then
// spent() is true, the error is reported once, and all that follows is false.
class Decoder {
 public:
  Decoder(size_t max_nodes, size_t max_bytes, Reporter* reporter)
      : nodes_left_(max_nodes), bytes_left_(max_bytes), reporter_(reporter) {}

  bool spent() const { return spent_; }

  // The entries of a map with those that its merge keys (`<<`) bring, none of
  // them twice. `what` is "a rule" or the like.
  bool Entries(const YamlNode& node, absl::string_view what,
               std::vector<Entry>* entries) {
    return Entries(node, what, 0, entries);
  }

  // `key` names the value in messages, "expr" or the like.
  bool String(const YamlNode& node, absl::string_view key, std::string* value);
  bool Duration(const YamlNode& node, absl::string_view key,
                absl::Duration* value);
  bool Integer(const YamlNode& node, absl::string_view key, int64_t* value);
  bool Strings(const YamlNode& node, absl::string_view key, Labels* values);

  // The value as one line, for a key that is only to be compared. Empty for
  // what is as good as no value: null, "", 0, false, [], {}.
  bool AnyValue(const YamlNode& node, std::string* text) {
    return AnyValue(node, 0, text);
  }

 private:
  bool Spend(const YamlNode& node);
  bool Fail(const YamlNode& node, absl::string_view message);
  bool Entries(const YamlNode& node, absl::string_view what, int depth,
               std::vector<Entry>* entries);
  bool AnyValue(const YamlNode& node, int depth, std::string* text);
  bool OwnEntries(const YamlNode& node, absl::string_view what,
                  std::vector<Entry>* entries,
                  std::vector<const YamlNode*>* merged);

  size_t nodes_left_;
  size_t bytes_left_;
  bool spent_ = false;
  Reporter* const reporter_;
};

// A duration as Prometheus writes it, zero included: `1h30m`, `0`, `0s`. False
// if `text` is none, or longer than 292 years.
bool ReadDuration(absl::string_view text, absl::Duration* duration);

}  // namespace insula::rules::internal
