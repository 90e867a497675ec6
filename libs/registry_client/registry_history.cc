#include "libs/registry_client/registry_history.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/fact.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;
using Key = History::Key;
using tenancy::Sha256;

std::string SpecOf(v1::Object object) {
  object.clear_meta();
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  object.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

std::string Show(const Key& key) {
  return absl::StrCat(v1::Kind_Name(static_cast<v1::Kind>(key.first)), "/",
                      key.second);
}

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::DataLossError(absl::StrCat(parts...));
}

// What an object names, written down from the proto and not from the code under
// test.
std::vector<Key> NamedBy(const v1::Object& object) {
  std::vector<Key> named;
  auto one = [&](v1::Kind kind, const std::string& id) {
    if (!id.empty()) named.emplace_back(kind, id);
  };
  if (object.has_tenant()) {
    one(v1::KIND_LIMITS, object.tenant().limits_id());
    one(v1::KIND_UPSTREAM, object.tenant().upstream_id());
    one(v1::KIND_RULE_TARGET, object.tenant().rule_target_id());
  } else if (object.has_binding()) {
    for (const auto& id : object.binding().tenant_ids()) {
      one(v1::KIND_TENANT, id);
    }
    one(v1::KIND_CLAIM_RULE, object.binding().claim_rule_id());
  } else if (object.has_access()) {
    one(v1::KIND_TENANT, object.access().tenant_id());
    for (const auto& id : object.access().source_tenant_ids()) {
      one(v1::KIND_TENANT, id);
    }
  } else if (object.has_claim_rule()) {
    const v1::ClaimRule& rule = object.claim_rule();
    one(v1::KIND_TENANT, rule.default_tenant_id());
    for (const auto& id : rule.default_tenant_ids()) one(v1::KIND_TENANT, id);
    for (const auto& id : rule.allowed_tenant_ids()) one(v1::KIND_TENANT, id);
    for (const auto& values : rule.values()) {
      for (const auto& [value, id] : values.tenant_ids()) {
        one(v1::KIND_TENANT, id);
      }
    }
    for (const auto& selection : rule.selections()) {
      for (const auto& id : selection.tenant_ids()) one(v1::KIND_TENANT, id);
    }
  } else if (object.has_job()) {
    one(v1::KIND_TENANT, object.job().tenant_id());
  } else if (object.has_policy()) {
    one(v1::KIND_UPSTREAM, object.policy().upstream_id());
    one(v1::KIND_RULE_TARGET, object.policy().rule_target_id());
    one(v1::KIND_LIMITS, object.policy().limits_id());
  }
  return named;
}

bool NeedsLabels(const History::Objects& objects, const v1::Object& tenant) {
  const auto upstream =
      objects.find({v1::KIND_UPSTREAM, tenant.tenant().upstream_id()});
  return upstream != objects.end() && upstream->second.upstream().isolation() ==
                                          v1::Upstream::ISOLATION_LABEL;
}

}  // namespace

absl::Status CheckWhole(const History::Objects& objects) {
  std::map<std::string, Key> facts;
  for (const auto& [key, object] : objects) {
    if (History::KeyOf(object) != key) {
      return Wrong(Show(key), " is really ", Show(History::KeyOf(object)));
    }
    for (const Key& named : NamedBy(object)) {
      if (!objects.contains(named)) {
        return Wrong(Show(key), " names ", Show(named), ", which is not there");
      }
    }
    if (object.has_binding()) {
      const auto [it, fresh] =
          facts.emplace(tenancy::FactKeyOf(object.binding()).view(), key);
      if (!fresh) {
        return Wrong(Show(key), " and ", Show(it->second), " share a fact");
      }
    }
    if (object.has_tenant() && object.tenant().enforced_labels().empty() &&
        NeedsLabels(objects, object)) {
      return Wrong(Show(key), " has no labels to be told apart by");
    }
  }
  return absl::OkStatus();
}

Key History::KeyOf(const v1::Object& object) {
  return {object.meta().kind(), object.meta().id()};
}

Key History::KeyOf(const v1::ObjectRef& ref) { return {ref.kind(), ref.id()}; }

History::Version History::VersionOf(const v1::Object& object) {
  return {.present = true,
          .spec = SpecOf(object),
          .create_revision = object.meta().create_revision(),
          .mod_revision = object.meta().mod_revision()};
}

absl::Status History::Record(int64_t revision,
                             const v1::ApplyRequest& request) {
  const bool known = revision <= this->revision();
  if (known || !recorded_.emplace(revision, request).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("revision ", revision, " is the answer to ",
                     request.request_id(), ", and to ",
                     known ? "one that was made before"
                           : recorded_.at(revision).request_id()));
  }
  return absl::OkStatus();
}

absl::Status History::Replay(int64_t revision) {
  while (this->revision() < revision) {
    const int64_t next = this->revision() + 1;
    const auto it = recorded_.find(next);
    if (it == recorded_.end()) {
      return Wrong("revision ", next, " of ", revision,
                   " was made, but is no answer to anybody");
    }
    Change change;
    change.request = std::move(it->second);
    recorded_.erase(it);
    RETURN_IF_ERROR(Make(next, &change));
    log_.push_back(std::move(change));
  }
  if (!recorded_.empty()) {
    return Wrong("revision ", recorded_.begin()->first,
                 " was acknowledged, but the registry has only ", revision);
  }
  return absl::OkStatus();
}

absl::Status History::Make(int64_t revision, Change* change) {
  const v1::ApplyRequest& request = change->request;
  const std::string where =
      absl::StrCat("revision ", revision, ", ", request.request_id(), ": ");
  Objects after = objects_;
  std::set<Key> named;
  for (const v1::Operation& operation : request.operations()) {
    const Key key = operation.has_put() ? KeyOf(operation.put())
                                        : KeyOf(operation.delete_());
    if (!named.insert(key).second) return Wrong(where, Show(key), " twice");
    const auto before = objects_.find(key);
    const bool present = before != objects_.end();
    if (operation.has_expected_mod_revision() &&
        operation.expected_mod_revision() !=
            (present ? before->second.meta().mod_revision() : 0)) {
      return Wrong(where, Show(key), " was not at the revision expected");
    }
    const std::string spec_before = present ? SpecOf(before->second) : "";
    Version version;
    if (operation.has_put()) {
      version.present = true;
      version.spec = SpecOf(operation.put());
      if (present && version.spec == spec_before) continue;
      version.create_revision =
          present ? before->second.meta().create_revision() : revision;
      version.mod_revision = revision;
      v1::Object& object = after[key] = operation.put();
      object.mutable_meta()->set_create_revision(version.create_revision);
      object.mutable_meta()->set_mod_revision(revision);
    } else {
      if (!present) return Wrong(where, Show(key), " was not there to delete");
      after.erase(key);
    }
    change->items.emplace_back(key, std::move(version));
    change->before.push_back(spec_before);
  }
  if (change->items.empty()) return Wrong(where, "changes nothing");
  const absl::Status whole = CheckWhole(after);
  if (!whole.ok()) return Wrong(where, whole.message());
  objects_ = std::move(after);
  return absl::OkStatus();
}

History::Versions History::Between(int64_t after, int64_t up_to) const {
  Versions last;
  for (int64_t revision = after + 1; revision <= up_to; ++revision) {
    for (const auto& [key, version] :
         log_[static_cast<size_t>(revision - 1)].items) {
      last[key] = version;
    }
  }
  return last;
}

absl::Status History::CheckObjects(
    const std::vector<v1::Object>& objects) const {
  std::set<Key> seen;
  for (const v1::Object& object : objects) {
    const Key key = KeyOf(object);
    seen.insert(key);
    const auto it = objects_.find(key);
    if (it == objects_.end()) return Wrong(Show(key), " should not be there");
    if (VersionOf(object) != VersionOf(it->second)) {
      return Wrong(Show(key), " is ", object.ShortDebugString(), ", not ",
                   it->second.ShortDebugString());
    }
  }
  for (const auto& [key, object] : objects_) {
    if (!seen.contains(key)) return Wrong(Show(key), " is gone");
  }
  return seen.size() == objects.size() ? absl::OkStatus()
                                       : Wrong("an object is listed twice");
}

absl::Status History::CheckAudit(
    int64_t from, const std::vector<v1::AuditEntry>& entries) const {
  size_t next = 0;
  for (int64_t revision = from; revision <= this->revision(); ++revision) {
    const Change& change = log_[static_cast<size_t>(revision - 1)];
    for (size_t i = 0; i < change.items.size(); ++i, ++next) {
      const auto& [key, version] = change.items[i];
      const std::string where =
          absl::StrCat("the audit of revision ", revision, " ");
      if (next == entries.size()) return Wrong(where, "is missing");
      const v1::AuditEntry& entry = entries[next];
      if (entry.revision() != revision || KeyOf(entry.ref()) != key ||
          entry.request_id() != change.request.request_id()) {
        return Wrong(where, "is ", entry.ShortDebugString(), ", not of ",
                     Show(key), " by ", change.request.request_id());
      }
      const std::string& before = change.before[i];
      if (entry.before_sha256() != (before.empty() ? "" : Sha256(before)) ||
          entry.after_sha256() !=
              (version.present ? Sha256(version.spec) : "")) {
        return Wrong(where, "has other contents of ", Show(key));
      }
    }
  }
  return next == entries.size() ? absl::OkStatus()
                                : Wrong("the audit has too many entries");
}

}  // namespace insula::registry_client
