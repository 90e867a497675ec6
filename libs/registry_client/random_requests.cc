#include "libs/registry_client/random_requests.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;

}  // namespace

int RandomRequests::Below(int limit) {
  return static_cast<int>(random_() % static_cast<uint64_t>(limit));
}

std::string RandomRequests::Unique() {
  return absl::StrCat("w", writer_, ".", ++count_);
}

v1::Object RandomRequests::Object(v1::Kind kind, const std::string& id) {
  v1::Object object;
  object.mutable_meta()->set_kind(kind);
  object.mutable_meta()->set_id(id);
  switch (kind) {
    case v1::KIND_UPSTREAM:
      object.mutable_upstream()->set_write_url(
          absl::StrCat("http://127.0.0.1:9/", Unique()));
      object.mutable_upstream()->set_isolation(
          Chance(20) ? v1::Upstream::ISOLATION_LABEL
                     : v1::Upstream::ISOLATION_HEADER);
      break;
    case v1::KIND_LIMITS:
      object.mutable_limits()->set_samples_per_second(
          1'000.0 * static_cast<double>(++count_) + writer_);
      break;
    case v1::KIND_BINDING: {
      // Some want a token that others have.
      std::string token = Chance(10) ? "wanted" : Unique();
      token.resize(32, '.');
      object.mutable_binding()->set_token_sha256(token);
      object.mutable_binding()->add_roles(v1::ROLE_WRITE);
      object.mutable_binding()->add_tenant_ids(absl::StrCat("t", Below(12)));
      // Unlike all before it, though the token may be the same.
      object.mutable_binding()->mutable_not_after()->set_seconds(
          4'000'000'000 + 1000 * ++count_ + writer_);
      break;
    }
    default:
      break;
  }
  return object;
}

v1::Object RandomRequests::Tenant() {
  v1::Object object = Object(v1::KIND_TENANT, absl::StrCat("t", Below(12)));
  v1::Tenant* const tenant = object.mutable_tenant();
  tenant->set_display_name(Unique());
  if (Chance(30)) {
    tenant->set_upstream_id(absl::StrCat("u", Below(3)));
    tenant->set_org_id(Unique());  // Not that of a former tenant.
  }
  if (Chance(20)) tenant->set_limits_id(absl::StrCat("l", Below(3)));
  if (Chance(50)) (*tenant->mutable_enforced_labels())["team"] = Unique();
  return object;
}

void RandomRequests::Add(v1::Operation operation, v1::ApplyRequest* request) {
  const History::Key key = operation.has_put()
                               ? History::KeyOf(operation.put())
                               : History::KeyOf(operation.delete_());
  for (const v1::Operation& other : request->operations()) {
    const History::Key named = other.has_put()
                                   ? History::KeyOf(other.put())
                                   : History::KeyOf(other.delete_());
    if (named == key) return;
  }
  if (Chance(20)) {
    const auto it = known_.find(key);
    operation.set_expected_mod_revision(it == known_.end() ? 0 : it->second);
  }
  *request->add_operations() = std::move(operation);
}

void RandomRequests::AddPut(v1::ApplyRequest* request) {
  v1::Operation operation;
  const int choice = Below(100);
  if (choice < 65) {
    *operation.mutable_put() = Tenant();
  } else if (choice < 75) {
    *operation.mutable_put() =
        Object(v1::KIND_UPSTREAM, absl::StrCat("u", Below(3)));
  } else if (choice < 85) {
    *operation.mutable_put() =
        Object(v1::KIND_LIMITS, absl::StrCat("l", Below(3)));
  } else {
    *operation.mutable_put() =
        Object(v1::KIND_BINDING, absl::StrCat("b", Below(6)));
  }
  Add(std::move(operation), request);
}

void RandomRequests::AddDelete(v1::ApplyRequest* request) {
  struct Pool {
    v1::Kind kind;
    const char* prefix;
    int size;
  };
  static constexpr Pool kPools[] = {{v1::KIND_TENANT, "t", 12},
                                    {v1::KIND_BINDING, "b", 6},
                                    {v1::KIND_UPSTREAM, "u", 3},
                                    {v1::KIND_LIMITS, "l", 3}};
  const Pool& pool = kPools[Below(4)];
  v1::Operation operation;
  operation.mutable_delete_()->set_kind(pool.kind);
  operation.mutable_delete_()->set_id(
      absl::StrCat(pool.prefix, Below(pool.size)));
  Add(std::move(operation), request);
}

v1::ApplyRequest RandomRequests::Next() {
  v1::ApplyRequest request;
  request.set_request_id(Unique());
  const int operations = Chance(60) ? 1 : 2 + Below(3);
  for (int i = 0; i < operations; ++i) {
    if (Chance(20)) {
      AddDelete(&request);
    } else {
      AddPut(&request);
    }
  }
  return request;
}

void RandomRequests::Learn(int64_t revision, const v1::ApplyRequest& request) {
  for (const v1::Operation& operation : request.operations()) {
    if (operation.has_put()) {
      known_[History::KeyOf(operation.put())] = revision;
    } else {
      known_.erase(History::KeyOf(operation.delete_()));
    }
  }
}

}  // namespace insula::registry_client
