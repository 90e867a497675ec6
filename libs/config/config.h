// Loads a service's configuration into a plain struct.
//
// A struct describes itself once; YAML, environment, flags, --help and the
// documentation all come from that:
//
//   struct TlsConfig {
//     std::string cert_file;
//     void Describe(config::Fields& fields) {
//       fields.Add("cert_file", cert_file, "Certificate chain, PEM.");
//     }
//   };
//   struct Config {
//     std::string listen_address = "127.0.0.1:9701";
//     absl::Duration drain_timeout = absl::Seconds(20);
//     TlsConfig tls;
//     std::vector<ListenerConfig> listeners;
//     void Describe(config::Fields& fields) {
//       fields.Add("listen_address", listen_address, "Where to serve gRPC.");
//       fields.Add("drain_timeout", drain_timeout, "Longest wait at the end.");
//       fields.AddGroup("tls", tls);
//       fields.AddList("listeners", listeners, "HTTP listeners.");
//     }
//     absl::Status Validate() const;
//   };
//
// A key's path is its name everywhere: `tls.cert_file` in YAML,
// `TENANT_REGISTRY_TLS_CERT_FILE` in the environment, `--tls.cert-file` as a
// flag (`-` and `_` are one). Flags win over environment over file over
// defaults. Lists exist in YAML only. Unknown and duplicate keys are errors
// that say "FILE:LINE: KEY: what, cure". Durations and sizes carry units (20s,
// 16MiB).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace insula::config {

// A number of bytes: `512`, `64KiB`, `16MiB`, `1GiB`.
struct Bytes {
  uint64_t value = 0;
  friend bool operator==(Bytes, Bytes) = default;
};
absl::StatusOr<Bytes> ParseBytes(absl::string_view text);
std::string FormatBytes(Bytes bytes);

// A secret; prints as <redacted> wherever a configuration is shown.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  const std::string& Reveal() const { return value_; }

 private:
  std::string value_;
};

class Fields;

// What the fields of a list's elements are, and how to add one.
struct ListField {
  // Describes a fresh element.
  std::function<void(Fields&)> describe_element;
  // Appends a fresh element, describes it and returns a check of it that runs
  // once its fields are set.
  std::function<std::function<absl::Status()>(Fields&)> append;
  // Describes the elements there are, one call each.
  std::function<void(const std::function<void(Fields&)>&)> for_each;
  std::function<void()> clear;
};

// One setting.
struct Field {
  std::string key;   // Its path, e.g. "tls.cert_file".
  std::string help;  // One line.
  std::string default_value;
  std::function<absl::Status(absl::string_view)> set;  // Null for a list.
  std::function<std::string()> get;  // The present value, redacted.
  bool secret = false;
  std::shared_ptr<ListField> list;  // Set for a list of structs.
  std::function<absl::Status(const std::vector<std::string>&)> set_list;
};

// Collects the fields of a struct, from its Describe() method.
class Fields {
 public:
  void Add(absl::string_view key, std::string& value, absl::string_view help);
  void Add(absl::string_view key, bool& value, absl::string_view help);
  void Add(absl::string_view key, int& value, absl::string_view help);
  void Add(absl::string_view key, int64_t& value, absl::string_view help);
  void Add(absl::string_view key, double& value, absl::string_view help);
  void Add(absl::string_view key, absl::Duration& value,
           absl::string_view help);
  void Add(absl::string_view key, Bytes& value, absl::string_view help);
  void Add(absl::string_view key, Secret& value, absl::string_view help);
  // A list of strings; YAML only.
  void Add(absl::string_view key, std::vector<std::string>& value,
           absl::string_view help);

  // The fields of a struct, below `key`.
  template <typename Group>
  void AddGroup(absl::string_view key, Group& group);

  // A list of structs; YAML only. An element may have Validate().
  template <typename Element>
  void AddList(absl::string_view key, std::vector<Element>& list,
               absl::string_view help);

  const std::vector<Field>& fields() const { return fields_; }

 private:
  void AddField(Field field);

  std::string prefix_;  // "" or "group."
  std::vector<Field> fields_;
};

// Where settings come from. `env` is `NAME=value` entries as in environ.
struct Sources {
  std::string service;    // "tenant-registry"; its prefix in env.
  std::string yaml;       // Text of the file, may be empty.
  std::string yaml_name;  // Its name, for messages.
  std::vector<std::string> env;
  std::vector<std::pair<std::string, std::string>> flags;  // key, value
};

// Sets the fields from all sources. INVALID_ARGUMENT names place, key and cure.
absl::Status Apply(const Sources& sources, const Fields& fields);

// The list as --help prints it: flag, default, help; lists with their elements.
std::string Help(const Fields& fields);

// The same list as a Markdown table.
std::string HelpMarkdown(const Fields& fields);

// The present values as YAML, secrets redacted.
std::string Dump(const Fields& fields);

// Loads `sources` over the defaults of `Config` and validates the result.
template <typename Config>
absl::StatusOr<Config> Load(const Sources& sources) {
  Config config;
  Fields fields;
  config.Describe(fields);
  if (absl::Status status = Apply(sources, fields); !status.ok()) return status;
  if (absl::Status status = config.Validate(); !status.ok()) return status;
  return config;
}

template <typename Group>
void Fields::AddGroup(absl::string_view key, Group& group) {
  std::string outer = prefix_;
  prefix_.append(key.data(), key.size());
  prefix_.push_back('.');
  group.Describe(*this);
  prefix_ = std::move(outer);
}

template <typename Element>
void Fields::AddList(absl::string_view key, std::vector<Element>& list,
                     absl::string_view help) {
  auto field = std::make_shared<ListField>();
  field->describe_element = [](Fields& fields) {
    static Element element;
    element = Element();
    element.Describe(fields);
  };
  field->append = [&list](Fields& fields) -> std::function<absl::Status()> {
    // Elements are described in place, so the vector must not move them while
    // they are being set; Apply sets one element before it appends the next.
    list.emplace_back();
    list.back().Describe(fields);
    const size_t index = list.size() - 1;
    return [&list, index]() -> absl::Status {
      if constexpr (requires(const Element& e) { e.Validate(); }) {
        return list[index].Validate();
      }
      return absl::OkStatus();
    };
  };
  field->for_each = [&list](const std::function<void(Fields&)>& visit) {
    for (Element& element : list) {
      Fields fields;
      element.Describe(fields);
      visit(fields);
    }
  };
  field->clear = [&list] { list.clear(); };
  Field entry;
  entry.key = prefix_ + std::string(key);
  entry.help = std::string(help);
  entry.list = std::move(field);
  AddField(std::move(entry));
}

}  // namespace insula::config
