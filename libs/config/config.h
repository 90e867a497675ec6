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
// defaults. Lists exist in YAML only and replace the default as a whole;
// secrets exist in YAML only, too.
//
// Errors say "PLACE: KEY: what, cure", PLACE being FILE:LINE, `environment
// NAME` or `flag --NAME`. Unknown and repeated keys, YAML anchors and tags, and
// variables that name a list are errors; other variables are nobody's business.
// Durations and sizes carry units (20s, 1m30s, 250ms; 16MiB).
//
// Validate() returns INVALID_ARGUMENT with a message that starts with the path
// of the key to change, "tls.key_file: must be set with tls.cert_file"; the
// place where that key was set is put before it. The same holds for Validate()
// of a list's element, with paths from the element on.
#pragma once

#include <cstddef>
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
#include "libs/secret/secret.h"

namespace insula::config {

// A number of bytes: `512`, `64KiB`, `16MiB`, `1GiB`, `2TiB`.
struct Bytes {
  uint64_t value = 0;
  friend bool operator==(Bytes, Bytes) = default;
};
absl::StatusOr<Bytes> ParseBytes(absl::string_view text);
std::string FormatBytes(Bytes bytes);

// `20s`, `1m30s`, `250ms`; finite, not negative. A bare number other than 0 is
// refused.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// Shown as <redacted> by its type, whatever its name. It comes out of the file
// alone: others can read a command line, and children inherit an environment.
using ::insula::Secret;

// OK if `address` is HOST:PORT with a port from 0 to 65535, an IPv6 host in
// brackets.
absl::Status CheckAddress(absl::string_view address);

class Fields;

// A list of structs, without their type.
struct ListField {
  std::function<size_t()> size;
  std::function<void(size_t)> reset;  // Makes it so many fresh elements.
  std::function<void(size_t, Fields&)> describe;  // Describes one of them.
  std::function<absl::Status(size_t)> validate;
  // Shows the fields of a fresh element.
  std::function<void(const std::function<void(const Fields&)>&)> with_fresh;
};

// The type of a field that holds a Secret.
inline constexpr absl::string_view kSecretType = "secret";

// One setting: a value, a list of strings or a list of structs.
struct Field {
  std::string key;   // Its path, e.g. "tls.cert_file".
  std::string help;  // One line.
  std::string type;  // "string", "duration", "list of strings", ...
  std::string default_value;

  // Of a value. `get` returns the present one as text, redacted.
  std::function<absl::Status(absl::string_view)> set;
  std::function<std::string()> get;

  std::vector<std::string>* strings = nullptr;  // Of a list of strings.
  std::shared_ptr<const ListField> list;        // Of a list of structs.
};

// Collects the fields of a struct, from its Describe() method. Keys are
// [a-z][a-z0-9_]*; two with one name are a bug and abort. Refers to the values,
// which must stay where they are.
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
  void AddField(absl::string_view key, absl::string_view help, Field field);

  std::string prefix_;  // "" or "group."
  std::vector<Field> fields_;
};

// Where settings come from. `env` is `NAME=value` entries as in environ.
struct Sources {
  std::string service;    // "tenant-registry"; its prefix in env.
  std::string yaml;       // Text of the file, may be empty. At most 1 MiB.
  std::string yaml_name;  // Its name, for messages.
  std::vector<std::string> env;
  std::vector<std::pair<std::string, std::string>> flags;  // key, value
};

// Sets the fields from all sources, then runs `validate`. All errors are
// INVALID_ARGUMENT and name place, key and cure.
absl::Status Apply(const Sources& sources, const Fields& fields,
                   const std::function<absl::Status()>& validate);

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
  const absl::Status status =
      Apply(sources, fields, [&config] { return config.Validate(); });
  if (!status.ok()) return status;
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
  auto ops = std::make_shared<ListField>();
  ops->size = [&list] { return list.size(); };
  ops->reset = [&list](size_t size) {
    list.clear();
    list.resize(size);
  };
  ops->describe = [&list](size_t i, Fields& fields) {
    list[i].Describe(fields);
  };
  ops->validate = [&list](size_t i) -> absl::Status {
    if constexpr (requires { list[i].Validate(); }) return list[i].Validate();
    return absl::OkStatus();
  };
  ops->with_fresh = [](const std::function<void(const Fields&)>& show) {
    Element fresh;
    Fields fields;
    fresh.Describe(fields);
    show(fields);
  };
  Field field;
  field.type = "list";
  field.list = std::move(ops);
  AddField(key, help, std::move(field));
}

}  // namespace insula::config
