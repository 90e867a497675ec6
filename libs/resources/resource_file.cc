#include "libs/resources/resource_file.h"

#include <google/protobuf/descriptor.h>

#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/resources/resource_message.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/snapshot.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::resources {
namespace {

using Kind = ResourceNode::Kind;

constexpr char kKinds[] =
    "Tenant, Binding, Access, Upstream, ClaimRule, Limits, Policy, "
    "RuleTarget or Job";

// The field of Object that holds the spec of a kind.
const google::protobuf::FieldDescriptor* SpecField(v1::Kind kind) {
  const auto* specs = v1::Object::descriptor()->FindOneofByName("spec");
  for (int i = 0; i < specs->field_count(); ++i) {
    if (specs->field(i)->message_type()->name() ==
        std::string(tenancy::KindName(kind))) {
      return specs->field(i);
    }
  }
  return nullptr;
}

// One document on its way to an object.
class DocumentReader {
 public:
  DocumentReader(const ResourceDocument& document, absl::string_view name)
      : document_(document), name_(name) {}

  // Kind and id, as far as they could be read.
  const ObjectKey& key() const { return key_; }
  // Whether they can be those of an object: a quote that is left open makes an
  // id of all that follows.
  bool has_key() const {
    return key_.kind != v1::KIND_UNSPECIFIED && CheckId().ok();
  }
  std::string where(int line) const { return absl::StrCat(name_, ":", line); }

  absl::StatusOr<Resource> Read() {
    const ResourceNode& root = document_.root;
    ResourceError error = FindKey();
    if (!document_.error.empty()) {
      return Error({document_.error_line, "", document_.error});
    }
    if (root.kind != Kind::kMap) {
      return Error({root.line, "", "must be a map with kind, id and spec"});
    }
    if (!error.ok()) return Error(error);
    Resource resource;
    resource.where = where(root.line);
    resource.object.mutable_meta()->set_kind(key_.kind);
    resource.object.mutable_meta()->set_id(key_.id);
    v1::Object& object = resource.object;
    FieldLines lines;
    error = FillMessage(
        *spec_, "spec",
        object.GetReflection()->MutableMessage(&object, SpecField(key_.kind)),
        &lines);
    if (!error.ok()) return Error(error);
    if (const absl::Status status = tenancy::CheckObject(object);
        !status.ok()) {
      return Located(status, lines);
    }
    return resource;
  }

 private:
  absl::Status CheckId() const {
    if (key_.kind == v1::KIND_TENANT) {
      return tenancy::TenantId::Parse(key_.id).status();
    }
    return tenancy::CheckObjectId(key_.id);
  }

  // Finds kind, id and spec. Of a broken document too: the object that it was
  // about is then known to be still wanted.
  ResourceError FindKey() {
    ResourceError error;
    auto keep = [&error](ResourceError found) {
      if (error.ok()) error = std::move(found);
    };
    int kind_line = 0;
    int id_line = 0;
    for (const ResourceNode& child : document_.root.children) {
      if (child.key == "kind" && child.kind == Kind::kScalar) {
        kind_line = child.line;
        key_.kind = tenancy::ParseKind(child.scalar);
        if (key_.kind == v1::KIND_UNSPECIFIED) {
          keep({child.line, "kind",
                absl::StrCat("'", absl::Utf8SafeCEscape(child.scalar),
                             "' is none of ", kKinds)});
        }
      } else if (child.key == "id" && child.kind == Kind::kScalar) {
        key_.id = child.scalar;
        id_line = child.line;
      } else if (child.key == "spec") {
        spec_ = &child;
      } else if (child.key == "kind" || child.key == "id") {
        keep({child.line, child.key, "must be a single value"});
      } else {
        keep({child.line, absl::Utf8SafeCEscape(child.key),
              "is no field; known are kind, id, spec"});
      }
    }
    const int line = document_.root.line;
    if (kind_line == 0)
      keep({line, "kind", absl::StrCat("is missing; give ", kKinds)});
    if (key_.id.empty()) {
      keep({line, "id", "is missing"});
    } else if (const absl::Status status = CheckId();
               key_.kind != v1::KIND_UNSPECIFIED && !status.ok()) {
      keep({id_line, "id", std::string(status.message())});
    }
    if (spec_ == nullptr) {
      keep({line, "spec", "is missing; for an object without fields give {}"});
    }
    return error;
  }

  absl::Status Error(const ResourceError& error) const {
    const bool named = key_.kind != v1::KIND_UNSPECIFIED && !key_.id.empty();
    const std::string name =
        named ? absl::Utf8SafeCEscape(Name(key_)) + ": " : "";
    return absl::InvalidArgumentError(absl::StrCat(
        where(error.line), ": ", name,
        error.field.empty() ? "" : error.field + ": ", error.what));
  }

  // Finds the line of the field that a check of the whole object names:
  // "Tenant/acme: spec.enforced_labels[a-b]: ...".
  absl::Status Located(const absl::Status& status,
                       const FieldLines& lines) const {
    absl::string_view rest = status.message();
    std::string field;
    if (absl::ConsumePrefix(&rest, Name(key_) + ": ")) {
      field = std::string(rest.substr(0, rest.find(": ")));
    }
    while (!field.empty() && !lines.contains(field)) {
      const size_t end = field.find_last_of(".[");
      field = end == std::string::npos ? "" : field.substr(0, end);
    }
    const int line = field.empty() ? document_.root.line : lines.at(field);
    return absl::InvalidArgumentError(
        absl::StrCat(where(line), ": ", status.message()));
  }

  const ResourceDocument& document_;
  const absl::string_view name_;
  ObjectKey key_;
  const ResourceNode* spec_ = nullptr;
};

}  // namespace

absl::StatusOr<ResourceFile> ParseResourceFile(absl::string_view text,
                                               absl::string_view name) {
  ASSIGN_OR_RETURN(const std::vector<ResourceDocument> documents,
                   ParseResourceTrees(text, name));
  ResourceFile file;
  std::map<ObjectKey, std::string> first;
  for (const ResourceDocument& document : documents) {
    DocumentReader reader(document, name);
    absl::StatusOr<Resource> resource = reader.Read();
    const std::string where = reader.where(document.root.line);
    if (!reader.has_key()) {
      file.complete = false;
    } else if (const auto [it, fresh] = first.emplace(reader.key(), where);
               !fresh) {
      file.errors.push_back(absl::StrCat(where, ": ", Name(reader.key()),
                                         ": is given at ", it->second,
                                         " already; keep one"));
      continue;
    } else {
      file.named.insert(reader.key());
    }
    if (resource.ok()) {
      file.resources.push_back(*std::move(resource));
    } else {
      file.errors.emplace_back(resource.status().message());
    }
  }
  return file;
}

}  // namespace insula::resources
