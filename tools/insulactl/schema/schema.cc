#include "tools/insulactl/schema/schema.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/insulactl/schema/descriptors.h"

namespace insula::insulactl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::SourceLocation;
using Json = nlohmann::ordered_json;

constexpr char kPackage[] = "insula.registry.v1.";

// Kinds that resource files have: not Instance, which comes with a lease.
constexpr const char* kKinds[] = {"Tenant",   "Binding",    "Access",
                                  "Upstream", "ClaimRule",  "Limits",
                                  "Policy",   "RuleTarget", "Job"};

// YAML takes `0` and `on` for something else than texts, the registry does not.
constexpr char kDefs[] = R"json({
  "TenantId": {
    "description": "1 to 150 of [A-Za-z0-9!_.*'()-], not \".\", \"..\", \"__*\" or \"user-index.json.gz\"",
    "type": ["string", "number", "boolean"],
    "pattern": "^(?!\\.{1,2}$)(?!__)(?!user-index\\.json\\.gz$)[A-Za-z0-9!_.*'()-]{1,150}$"
  },
  "ObjectId": {
    "description": "1 to 253 of [A-Za-z0-9._/-] without empty, \".\" or \"..\" segments",
    "type": ["string", "number", "boolean"],
    "pattern": "^(?!(.*/)?\\.{1,2}(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
    "maxLength": 253
  },
  "LabelName": {
    "type": ["string", "boolean"],
    "pattern": "^(?!__name__$)[a-zA-Z_][a-zA-Z0-9_]*$",
    "maxLength": 200
  },
  "Labels": {
    "type": "object",
    "propertyNames": {"pattern": "^(?!__name__$)[a-zA-Z_][a-zA-Z0-9_]{0,199}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 2048},
    "maxProperties": 32
  },
  "Claims": {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 1024},
    "maxProperties": 8
  },
  "TenantsOfValues": {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 2048},
    "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": 150},
    "minProperties": 1,
    "maxProperties": 10000
  },
  "Url": {
    "type": "string",
    "pattern": "^[hH][tT][tT][pP][sS]?://[^@#\\s]+$",
    "maxLength": 2048
  },
  "BaseUrl": {
    "type": "string",
    "pattern": "^[hH][tT][tT][pP][sS]?://[^@#?\\s]+$",
    "maxLength": 2048
  },
  "Sha256": {
    "type": ["string", "number"],
    "pattern": "^([0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=?)$"
  },
  "Bytes": {"type": ["string", "number"]},
  "Duration": {
    "description": "With a unit: 30s, 1m30s, 250ms",
    "type": "string",
    "pattern": "^([0-9]+(\\.[0-9]*)?(ns|us|ms|s|m|h))+$"
  },
  "Time": {
    "description": "RFC 3339: 2030-01-31T00:00:00Z",
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$"
  }
})json";

// What the descriptors don't tell. Must agree with tenancy::CheckObject.
struct Bound {
  const char* field;  // "Tenant.display_name"
  const char* json;   // Merged into its schema; of a list "items" is, too.
};
constexpr Bound kBounds[] = {
    {"Tenant.display_name", R"({"maxLength": 256})"},
    {"Tenant.org_id", R"({"$ref": "#/$defs/TenantId"})"},
    {"Tenant.inherits_uids",
     R"({"maxItems": 50, "uniqueItems": true, "items":
         {"pattern": "^[0-9a-f]{32}$"}})"},
    {"Binding.token_sha256", R"({"$ref": "#/$defs/Sha256"})"},
    {"Binding.api_key_sha256", R"({"$ref": "#/$defs/Sha256"})"},
    {"Binding.tenant_ids", R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Binding.roles", R"({"minItems": 1, "uniqueItems": true})"},
    {"Access.selectors",
     R"({"minItems": 1, "maxItems": 1000, "items": {"minLength": 1}})"},
    {"Access.source_tenant_ids", R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Upstream.write_url", R"({"$ref": "#/$defs/Url"})"},
    {"Upstream.query_url", R"({"$ref": "#/$defs/BaseUrl"})"},
    {"Upstream.more_write_urls",
     R"({"maxItems": 15, "uniqueItems": true,
         "items": {"$ref": "#/$defs/Url"}})"},
    {"Upstream.more_query_urls",
     R"({"maxItems": 15, "uniqueItems": true,
         "items": {"$ref": "#/$defs/BaseUrl"}})"},
    {"Upstream.query_file",
     R"({"pattern": "^([A-Za-z0-9_-][A-Za-z0-9._-]{0,127})?$"})"},
    {"Upstream.tenant_header",
     R"({"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"})"},
    {"RuleTarget.url", R"({"$ref": "#/$defs/BaseUrl"})"},
    {"RuleTarget.tenant_header",
     R"({"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"})"},
    {"Job.source_url", R"({"$ref": "#/$defs/BaseUrl"})"},
    {"Job.matches",
     R"({"minItems": 1, "maxItems": 100, "items": {"minLength": 1}})"},
    {"ClaimRule.label", R"({"$ref": "#/$defs/LabelName"})"},
    {"ClaimRule.labels",
     R"({"maxItems": 16, "uniqueItems": true,
         "items": {"$ref": "#/$defs/LabelName"}})"},
    {"ClaimRule.values", R"({"maxItems": 16})"},
    {"ClaimRule.selections", R"({"maxItems": 100})"},
    {"ClaimRule.default_tenant_ids",
     R"({"maxItems": 4096, "uniqueItems": true})"},
    {"ClaimRule.allowed_tenant_ids",
     R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Values.label", R"({"$ref": "#/$defs/LabelName"})"},
    {"Selection.selector", R"({"minLength": 1})"},
    {"Selection.tenant_ids", R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Limits.max_label_names", R"({"maximum": 1000})"},
    {"Limits.max_label_name_bytes", R"({"maximum": 1048576})"},
    {"Limits.max_label_value_bytes", R"({"maximum": 1048576})"},
    {"Limits.max_query_bytes", R"({"maximum": 1048576})"},
    {"Limits.samples_per_second", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.samples_burst", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.write_requests_per_second", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.write_requests_burst", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.write_bytes_per_second", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.write_bytes_burst", R"({"minimum": 0, "maximum": 1e12})"},
    {"Limits.max_series_per_write", R"({"maximum": 10000000})"},
    {"Limits.max_active_series", R"({"maximum": 1000000000})"},
    {"Limits.max_queue_bytes", R"({"maximum": 1125899906842624})"},
    {"Limits.max_concurrent_queries", R"({"maximum": 10000})"},
    {"Limits.max_queued_queries", R"({"maximum": 100000})"},
    {"Limits.max_query_steps", R"({"maximum": 11001})"},
    {"Limits.max_query_selectors", R"({"maximum": 10000})"},
    {"Limits.max_response_bytes", R"({"maximum": 1073741824})"},
    {"Limits.max_response_series", R"({"maximum": 10000000})"},
    {"Limits.max_cache_bytes", R"({"maximum": 1099511627776})"},
    {"Rate.per_second", R"({"minimum": 0, "maximum": 1e6})"},
    {"Rate.burst", R"({"maximum": 1000000})"},
    {"Policy.namespaces",
     R"({"minItems": 1, "maxItems": 4096, "uniqueItems": true, "items":
         {"pattern": "^(\\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$"}})"},
    {"Policy.tenant_ids", R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Policy.source_tenant_ids", R"({"maxItems": 4096, "uniqueItems": true})"},
    {"Policy.target_namespaces",
     R"({"maxItems": 4096, "uniqueItems": true, "items":
         {"pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}})"},
    {"Policy.target_urls", R"({"items": {"$ref": "#/$defs/Url"}})"},
    {"Policy.enforced_label", R"({"$ref": "#/$defs/LabelName"})"},
};

// Fields that a spec must have; of those in one string, one at least.
struct Needed {
  const char* kind;
  const char* fields;  // "write_url query_url"
};
constexpr Needed kNeeded[] = {
    {"Binding", "roles"},
    {"Access", "tenant_id"},
    {"Access", "selectors"},
    {"Upstream", "isolation"},
    {"Upstream", "write_url query_url"},
    {"ClaimRule",
     "label labels values selections default_tenant_id default_tenant_ids"},
    {"Values", "label"},
    {"Values", "tenant_ids"},
    {"Selection", "selector"},
    {"Policy", "namespaces"},
    {"RuleTarget", "type"},
    {"RuleTarget", "url"},
    {"RuleTarget", "isolation"},
    {"Job", "tenant_id"},
    {"Job", "source_url"},
    {"Job", "matches"},
};

// The files of the descriptors, with their comments.
const DescriptorPool& Pool() {
  static const DescriptorPool* const pool = [] {
    auto* made = new DescriptorPool;
    google::protobuf::FileDescriptorSet set;
    set.ParseFromArray(internal::kDescriptors,
                       static_cast<int>(internal::kDescriptorsSize));
    for (const auto& file : set.file()) made->BuildFile(file);
    return made;
  }();
  return *pool;
}

// The comment before a field, message or value, without what makes it one.
template <typename Thing>
std::string Comment(const Thing& thing) {
  SourceLocation location;
  if (!thing.GetSourceLocation(&location)) return "";
  std::string text;
  for (absl::string_view line :
       absl::StrSplit(location.leading_comments, '\n')) {
    absl::ConsumePrefix(&line, " ");
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

Json Ref(absl::string_view name) {
  return {{"$ref", absl::StrCat("#/$defs/", name)}};
}

class Schema {
 public:
  std::string Print() {
    Json defs = Json::parse(kDefs);
    Json kinds = Json::array();
    Json cases = Json::array();
    for (const char* kind : kKinds) {
      const Descriptor* type =
          Pool().FindMessageTypeByName(absl::StrCat(kPackage, kind));
      defs[kind] = Message(*type);
      AddSubMessages(*type, &defs);
      kinds.push_back(kind);
      const char* id = strcmp(kind, "Tenant") == 0 ? "TenantId" : "ObjectId";
      cases.push_back(
          {{"if",
            {{"properties", {{"kind", {{"const", kind}}}}},
             {"required", {"kind"}}}},
           {"then", {{"properties", {{"id", Ref(id)}, {"spec", Ref(kind)}}}}}});
    }
    Json schema = {
        {"$schema", "https://json-schema.org/draft/2020-12/schema"},
        {"title", "Resource file of the tenant-registry of Insula"},
        {"description", "One object; a file may have several, as documents."},
        {"type", "object"},
        {"properties",
         {{"kind", {{"description", "What the object is."}, {"enum", kinds}}},
          {"id", {{"description", "Its name among those of its kind."}}},
          {"spec", {{"description", "Its fields."}, {"type", "object"}}}}},
        {"required", {"kind", "id", "spec"}},
        {"additionalProperties", false},
        {"allOf", cases},
        {"$defs", defs}};
    return schema.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }

 private:
  Json Message(const Descriptor& type) {
    Json schema = {{"description", Comment(type)}, {"type", "object"}};
    Json& properties = schema["properties"] = Json::object();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      properties[field.name()] = Field(type, field);
      // The other spelling that is taken.
      if (field.json_name() != field.name()) {
        properties[field.json_name()] =
            Ref(absl::StrCat(type.name(), "/properties/", field.name()));
      }
    }
    schema["additionalProperties"] = false;
    AddNeeded(type, schema);
    return schema;
  }

  // The definitions of what the fields of a message refer to.
  void AddSubMessages(const Descriptor& type, Json* defs) {
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.type() != FieldDescriptor::TYPE_MESSAGE || field.is_map()) {
        continue;
      }
      const Descriptor& part = *field.message_type();
      if (!absl::StartsWith(part.full_name(), kPackage) ||
          defs->contains(part.name())) {
        continue;
      }
      (*defs)[part.name()] = Message(part);
      AddSubMessages(part, defs);
    }
  }

  static Json Has(const FieldDescriptor& field) {
    Json has = {{"required", {field.name()}}};
    if (field.json_name() == field.name()) return has;
    return {{"anyOf", {has, {{"required", {field.json_name()}}}}}};
  }

  static void AddNeeded(const Descriptor& type, Json& schema) {
    Json all = Json::array();
    for (const Needed& needed : kNeeded) {
      if (type.name() != needed.kind) continue;
      Json any = Json::array();
      for (const absl::string_view name : absl::StrSplit(needed.fields, ' ')) {
        any.push_back(Has(*type.FindFieldByName(std::string(name))));
      }
      all.push_back(any.size() == 1 ? any[0] : Json{{"anyOf", any}});
    }
    for (int i = 0; i < type.oneof_decl_count(); ++i) {
      const auto& oneof = *type.oneof_decl(i);
      Json one = Json::array();
      for (int j = 0; j < oneof.field_count(); ++j) {
        one.push_back(Has(*oneof.field(j)));
      }
      all.push_back(one.size() == 1 ? one[0] : Json{{"oneOf", one}});
    }
    if (!all.empty()) schema["allOf"] = all;
  }

  static Json Field(const Descriptor& type, const FieldDescriptor& field) {
    Json value = Value(field);
    Json schema = field.is_repeated() && !field.is_map()
                      ? Json{{"type", "array"}, {"items", value}}
                      : value;
    const std::string name = absl::StrCat(type.name(), ".", field.name());
    for (const Bound& bound : kBounds) {
      if (name != bound.field) continue;
      const Json more = Json::parse(bound.json);
      if (more.contains("$ref")) schema = Json::object();
      if (more.contains("items") && more["items"].contains("$ref")) {
        schema["items"] = Json::object();
      }
      schema.merge_patch(more);
    }
    const std::string description = Describe(field);
    if (!description.empty()) schema["description"] = description;
    return schema;
  }

  static std::string Describe(const FieldDescriptor& field) {
    std::string text = Comment(field);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) return text;
    const EnumDescriptor& type = *field.enum_type();
    for (int i = 1; i < type.value_count(); ++i) {
      const std::string comment = Comment(*type.value(i));
      if (comment.empty()) continue;
      absl::StrAppend(&text, text.empty() ? "" : "\n", ShortName(type, i), ": ",
                      comment);
    }
    return text;
  }

  // Without the prefix that all values have.
  static std::string ShortName(const EnumDescriptor& type, int index) {
    const absl::string_view zero = type.value(0)->name();
    absl::string_view name = type.value(index)->name();
    if (absl::EndsWith(zero, "UNSPECIFIED")) {
      absl::ConsumePrefix(&name,
                          zero.substr(0, zero.size() - strlen("UNSPECIFIED")));
    }
    return std::string(name);
  }

  static Json Value(const FieldDescriptor& field) {
    // Claims of tokens have names of any kind.
    if (field.name() == "required_claims") return Ref("Claims");
    if (field.full_name() ==
        absl::StrCat(kPackage, "ClaimRule.Values.tenant_ids")) {
      return Ref("TenantsOfValues");
    }
    if (field.is_map()) return Ref("Labels");
    switch (field.type()) {
      case FieldDescriptor::TYPE_STRING:
        return Text(field.name());
      case FieldDescriptor::TYPE_BYTES:
        return Ref("Bytes");
      case FieldDescriptor::TYPE_BOOL:
        return {{"type", "boolean"}};
      case FieldDescriptor::TYPE_DOUBLE:
        return {{"type", "number"}};
      case FieldDescriptor::TYPE_UINT32:
        return {{"type", "integer"}, {"minimum", 0}, {"maximum", UINT32_MAX}};
      case FieldDescriptor::TYPE_UINT64:
        return {{"type", "integer"}, {"minimum", 0}};
      case FieldDescriptor::TYPE_INT32:
        return {{"type", "integer"},
                {"minimum", INT32_MIN},
                {"maximum", INT32_MAX}};
      case FieldDescriptor::TYPE_INT64:
        return {{"type", "integer"}};
      case FieldDescriptor::TYPE_ENUM:
        return Enum(*field.enum_type());
      case FieldDescriptor::TYPE_MESSAGE:
        return SubMessage(*field.message_type());
      default:
        return Json::object();
    }
  }

  static Json Text(absl::string_view name) {
    if (absl::EndsWith(name, "tenant_id") ||
        absl::EndsWith(name, "tenant_ids")) {
      return Ref("TenantId");
    }
    // What is OpenStack's names no object here.
    const bool foreign = absl::StartsWith(name, "project_");
    if (absl::EndsWith(name, "_id") && !foreign) return Ref("ObjectId");
    // Spelled out, so that bounds can stand beside it.
    return {{"type", {"string", "number", "boolean"}}};
  }

  static Json Enum(const EnumDescriptor& type) {
    Json names = Json::array();
    for (int i = 1; i < type.value_count(); ++i) {
      names.push_back(ShortName(type, i));
    }
    for (int i = 1; i < type.value_count(); ++i) {
      if (ShortName(type, i) != type.value(i)->name()) {
        names.push_back(type.value(i)->name());
      }
    }
    return {{"enum", names}};
  }

  static Json SubMessage(const Descriptor& type) {
    if (type.full_name() == "google.protobuf.Duration") return Ref("Duration");
    if (type.full_name() == "google.protobuf.Timestamp") return Ref("Time");
    return Ref(type.name());
  }
};

}  // namespace

std::string ResourceSchema() { return Schema().Print(); }

std::vector<std::string> BoundedFields() {
  std::vector<std::string> fields;
  for (const Bound& bound : kBounds) fields.emplace_back(bound.field);
  for (const Needed& needed : kNeeded) {
    for (const absl::string_view name : absl::StrSplit(needed.fields, ' ')) {
      fields.push_back(absl::StrCat(needed.kind, ".", name));
    }
  }
  return fields;
}

}  // namespace insula::insulactl
