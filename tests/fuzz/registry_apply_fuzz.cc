// Changes of the registry: whatever is accepted leaves objects that belong
// together, and what is kept beside them (indexes, digest, audit) agrees with
// them.

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/registry_client/registry_history.h"
#include "libs/resources/references.h"
#include "libs/tenancy/fact.h"
#include "libs/tenancy/set_digest.h"
#include "services/tenant_registry/draft.h"
#include "services/tenant_registry/planner.h"
#include "services/tenant_registry/state.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

using namespace tenant_registry;  // NOLINT
using registry_client::CheckWhole;
using registry_client::History;
using resources::ForEachReference;
using resources::Reference;

constexpr int kMaxRequests = 40;
constexpr v1::Kind kKinds[] = {v1::KIND_TENANT,     v1::KIND_BINDING,
                               v1::KIND_ACCESS,     v1::KIND_UPSTREAM,
                               v1::KIND_CLAIM_RULE, v1::KIND_LIMITS,
                               v1::KIND_POLICY,     v1::KIND_RULE_TARGET,
                               v1::KIND_JOB,        v1::KIND_INSTANCE};

// Few ids, so that references hit.
std::string Id(uint8_t byte) { return std::string(1, "abc"[byte % 3]); }

std::string MaybeId(fuzz::Input* bytes) {
  const uint8_t byte = bytes->Byte();
  return byte % 2 == 0 ? "" : Id(byte / 2);
}

template <typename Ids>
void AddIds(uint8_t mask, Ids* ids) {
  for (uint8_t i = 0; i < 3; ++i) {
    if ((mask >> i & 1) != 0) ids->Add(Id(i));
  }
}

void MakeBinding(fuzz::Input* bytes, v1::Binding* binding) {
  binding->set_token_sha256(
      std::string(32, static_cast<char>('A' + bytes->Byte() % 3)));
  binding->add_roles(v1::ROLE_WRITE);
  const uint8_t mask = bytes->Byte();
  AddIds(mask, binding->mutable_tenant_ids());
  binding->set_every_tenant(mask % 8 == 0);
  binding->set_claim_rule_id(MaybeId(bytes));
}

void MakeAccess(fuzz::Input* bytes, v1::Access* access) {
  access->set_tenant_id(Id(bytes->Byte()));
  access->add_selectors("up");
  const uint8_t mask = bytes->Byte();
  AddIds(mask, access->mutable_source_tenant_ids());
  access->set_every_source(mask % 8 == 0);
}

void MakeTenant(fuzz::Input* bytes, v1::Tenant* tenant) {
  tenant->set_upstream_id(MaybeId(bytes));
  tenant->set_limits_id(MaybeId(bytes));
  tenant->set_rule_target_id(MaybeId(bytes));
  const uint8_t choice = bytes->Byte();
  if (choice % 2 == 0) (*tenant->mutable_enforced_labels())["team"] = "a";
  tenant->set_state(static_cast<v1::Tenant::State>(choice / 2 % 6));
}

v1::Upstream::Isolation MakeIsolation(fuzz::Input* bytes) {
  return bytes->Byte() % 2 == 0 ? v1::Upstream::ISOLATION_HEADER
                                : v1::Upstream::ISOLATION_LABEL;
}

void MakeClaimRule(fuzz::Input* bytes, v1::ClaimRule* rule) {
  rule->set_default_tenant_id(MaybeId(bytes));
  const uint8_t choice = bytes->Byte();
  // Most have a label, as a rule needs one or something else.
  if (choice % 4 != 3) rule->set_label("team");
  if (choice / 4 % 2 == 1) {
    AddIds(bytes->Byte(), rule->mutable_default_tenant_ids());
  }
  if (choice / 8 % 2 == 1) {
    v1::ClaimRule::Values* const values = rule->add_values();
    values->set_label("ns");
    (*values->mutable_tenant_ids())["x"] = MaybeId(bytes);
    (*values->mutable_tenant_ids())["y"] = MaybeId(bytes);
  }
  if (choice / 16 % 2 == 1) {
    v1::ClaimRule::Selection* const selection = rule->add_selections();
    selection->set_selector("up");
    AddIds(bytes->Byte(), selection->mutable_tenant_ids());
  }
  if (choice / 32 % 2 == 1) {
    AddIds(bytes->Byte(), rule->mutable_allowed_tenant_ids());
  }
  rule->set_full_replication(choice / 64 % 2 == 1);
}

v1::Object MakeObject(fuzz::Input* bytes) {
  v1::Object object;
  const v1::Kind kind = kKinds[bytes->Byte() % 10];
  object.mutable_meta()->set_kind(kind);
  object.mutable_meta()->set_id(Id(bytes->Byte()));
  switch (kind) {
    case v1::KIND_TENANT:
      MakeTenant(bytes, object.mutable_tenant());
      break;
    case v1::KIND_BINDING:
      MakeBinding(bytes, object.mutable_binding());
      break;
    case v1::KIND_ACCESS:
      MakeAccess(bytes, object.mutable_access());
      break;
    case v1::KIND_UPSTREAM:
      object.mutable_upstream()->set_write_url("http://a:1/w");
      object.mutable_upstream()->set_isolation(MakeIsolation(bytes));
      break;
    case v1::KIND_CLAIM_RULE:
      MakeClaimRule(bytes, object.mutable_claim_rule());
      break;
    case v1::KIND_LIMITS:
      object.mutable_limits()->set_max_label_names(bytes->Byte());
      break;
    case v1::KIND_POLICY:
      object.mutable_policy()->add_namespaces("n");
      object.mutable_policy()->set_upstream_id(MaybeId(bytes));
      object.mutable_policy()->set_rule_target_id(MaybeId(bytes));
      object.mutable_policy()->set_limits_id(MaybeId(bytes));
      break;
    case v1::KIND_RULE_TARGET:
      object.mutable_rule_target()->set_type(v1::RuleTarget::TYPE_PROMETHEUS);
      object.mutable_rule_target()->set_url("http://a:1");
      object.mutable_rule_target()->set_isolation(
          v1::Upstream::ISOLATION_LABEL);
      break;
    case v1::KIND_JOB:
      object.mutable_job()->set_tenant_id(Id(bytes->Byte()));
      object.mutable_job()->set_source_url("http://a:1/federate");
      object.mutable_job()->add_matches("up");
      break;
    default:
      object.mutable_instance()->set_service("s");
      object.mutable_instance()->mutable_started_at()->set_seconds(
          1 + bytes->Byte());
      break;
  }
  return object;
}

v1::Operation MakeOperation(fuzz::Input* bytes) {
  v1::Operation operation;
  const uint8_t choice = bytes->Byte();
  if (choice % 16 == 15) {
    // Anything: as long a message as the next byte says.
    std::string message;
    for (int left = bytes->Byte(); left > 0; --left) {
      message.push_back(static_cast<char>(bytes->Byte()));
    }
    if (!operation.ParseFromString(message)) operation.Clear();
    return operation;
  }
  if (choice % 4 == 3) {
    operation.mutable_delete_()->set_kind(kKinds[bytes->Byte() % 10]);
    operation.mutable_delete_()->set_id(Id(bytes->Byte()));
  } else {
    *operation.mutable_put() = MakeObject(bytes);
  }
  if (choice >= 224) operation.set_expected_mod_revision(bytes->Byte());
  return operation;
}

ApplyCommand MakeCommand(fuzz::Input* bytes) {
  ApplyCommand command;
  command.actor = "fuzz";
  const uint8_t choice = bytes->Byte();
  switch (choice / 8) {
    case 0:
      command.source = "file:read";
      break;
    case 1:
      command.source = "file:gone";
      break;
    case 2:
      command.source = kLeaseSource;
      break;
    case 3:
      command.source = kRegistrySource;
      break;
    default:
      break;
  }
  for (int i = 0; i <= choice % 8; ++i) {
    *command.request.add_operations() = MakeOperation(bytes);
  }
  return command;
}

History::Objects ObjectsOf(const State& state) {
  History::Objects objects;
  for (const auto& [kind, of_kind] : state.kinds()) {
    for (const auto& [id, object] : of_kind) objects[{kind, id}] = *object;
  }
  return objects;
}

// What the state keeps beside its objects is theirs.
void CheckState(const State& state) {
  const History::Objects objects = ObjectsOf(state);
  const absl::Status whole = CheckWhole(objects);
  FUZZ_CHECK(whole.ok(), whole.ToString());
  tenancy::SetDigest digest;
  std::set<std::string> deleting;
  std::set<std::string> uids;
  for (const auto& [key, object] : objects) {
    const v1::Meta& meta = object.meta();
    FUZZ_CHECK(tenancy::CheckObject(object).ok(), object.ShortDebugString());
    FUZZ_CHECK(0 < meta.create_revision() &&
                   meta.create_revision() <= meta.mod_revision() &&
                   meta.mod_revision() <= state.revision(),
               object.ShortDebugString());
    FUZZ_CHECK(uids.insert(meta.uid()).second, object.ShortDebugString());
    digest.Add(meta.kind(), meta.id(), meta.mod_revision());
    const bool goes = object.tenant().state() == v1::Tenant::STATE_DELETING;
    if (goes) deleting.insert(meta.id());
    FUZZ_CHECK(goes == meta.has_delete_at(), object.ShortDebugString());
    if (object.has_binding()) {
      const v1::Object* const holder =
          state.index().FactHolder(tenancy::FactKeyOf(object.binding()));
      FUZZ_CHECK(holder != nullptr && holder->meta().id() == meta.id(),
                 object.ShortDebugString());
    }
    ForEachReference(object, [&](const Reference& reference) {
      const auto* const referrers =
          state.index().ReferrersOf(reference.target());
      FUZZ_CHECK(referrers != nullptr &&
                     referrers->contains(state.Find(KeyOf(object)).get()),
                 object.ShortDebugString());
    });
  }
  FUZZ_CHECK(digest.kinds() == state.digest().kinds(), "digest");
  FUZZ_CHECK(deleting == state.deleting(), "deleting");
}

void CheckPlan(const Plan& plan, const Draft& draft) {
  const int64_t revision = draft.revision();
  FUZZ_CHECK(plan.change.items.size() == plan.audit.size(), "audit");
  FUZZ_CHECK(
      plan.change.revision == revision + (plan.change.items.empty() ? 0 : 1),
      absl::StrCat(plan.change.revision, " after ", revision));
  for (size_t i = 0; i < plan.audit.size(); ++i) {
    const Change::Item& item = plan.change.items[i];
    const v1::AuditEntry& entry = plan.audit[i].entry;
    // That somebody else keeps it from now on is a change as well.
    const ObjectPtr before = draft.Find(item.key);
    const bool passes_on =
        before != nullptr && item.object != nullptr &&
        before->meta().source() != item.object->meta().source();
    FUZZ_CHECK(KeyOf(entry.ref()) == item.key &&
                   entry.revision() == plan.change.revision &&
                   entry.after_sha256().empty() == (item.object == nullptr) &&
                   (passes_on || entry.before_sha256() != entry.after_sha256()),
               entry.ShortDebugString());
  }
}

FUZZ_TARGET(registry_apply) {
  fuzz::Input bytes(input);
  State state;
  state.SetFiles({"file:read"});
  absl::Time now = absl::FromUnixSeconds(1'790'000'000);
  for (int i = 0; i < kMaxRequests && !bytes.rest().empty();) {
    // A group is planned as a whole, then stored.
    Draft draft(&state);
    std::vector<Change> group;
    for (int left = 1 + bytes.Byte() % 3; left > 0; --left, ++i) {
      now += absl::Seconds(1);
      const ApplyCommand command = MakeCommand(&bytes);
      const absl::StatusOr<Plan> plan =
          PlanApply(draft, command, {now, absl::Minutes(10)});
      if (!plan.ok()) {
        const absl::StatusCode code = plan.status().code();
        FUZZ_CHECK(code == absl::StatusCode::kInvalidArgument ||
                       code == absl::StatusCode::kAborted ||
                       code == absl::StatusCode::kNotFound ||
                       code == absl::StatusCode::kFailedPrecondition,
                   plan.status().ToString());
        continue;
      }
      CheckPlan(*plan, draft);
      if (plan->change.items.empty()) continue;
      draft.Add(plan->change);
      group.push_back(plan->change);
    }
    for (const Change& change : group) {
      state.Commit(change);
      CheckState(state);
    }
  }
}

}  // namespace
}  // namespace insula
