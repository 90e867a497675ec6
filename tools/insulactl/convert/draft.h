// What a conversion makes, while it is being made.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "tools/insulactl/convert/config_draft.h"
#include "tools/insulactl/convert/convert.h"
#include "tools/insulactl/convert/settings.h"

namespace insula::insulactl {

namespace v1 = ::insula::registry::v1;

// Objects are made at their first mention, and come out in the order in which
// they can be applied, those of a kind in that of their first mention. Ids must
// be valid. What is returned by reference stays where it is.
class Draft {
 public:
  explicit Draft(System system) : system_(system) {}

  v1::Tenant& tenant(absl::string_view id);
  v1::Binding& binding(absl::string_view id);
  v1::Access& access(absl::string_view id);
  v1::Upstream& upstream(absl::string_view id);
  v1::ClaimRule& claim_rule(absl::string_view id);
  v1::Limits& limits(absl::string_view id);
  v1::Policy& policy(absl::string_view id);
  v1::RuleTarget& rule_target(absl::string_view id);
  v1::Job& job(absl::string_view id);

  // Tenants in the order of their first mention.
  std::vector<std::string> tenant_ids() const;
  bool has_claim_rule(absl::string_view id) const;

  // Of a service; with the address of the registry and a state directory in it.
  ConfigDraft& config(absl::string_view service);

  // What became of a setting. Each one that was given must be told once or
  // more.
  void Used(const Setting& setting, absl::string_view became);
  void Changed(const Setting& setting, absl::string_view became,
               absl::string_view difference);
  void None(const Setting& setting, absl::string_view instead);
  void ToDo(absl::string_view text);

  // The setting if it was given with a value, else null; of an empty one it is
  // told that it is as if it were left out.
  const Setting* Given(const Settings& settings, absl::string_view name);

  // Tells of all that have no counterpart by the table of those known.
  void NoneOfKnown(const Settings& settings);

  // INTERNAL if nothing became of a setting: a fault in here.
  absl::StatusOr<Conversion> Finish(const Settings& settings);

 private:
  v1::Object& object(v1::Kind kind, absl::string_view id);
  void Tell(Note::Kind kind, const Setting& setting, std::string text);

  const System system_;
  std::map<std::pair<v1::Kind, std::string>, size_t> index_;
  // Callers refer to what is in them.
  std::deque<v1::Object> objects_;
  std::deque<std::pair<std::string, ConfigDraft>> configs_;
  std::vector<Note> notes_;
  std::set<std::string> told_;  // Names of settings.
};

// An object id of letters, digits and "._-" that resembles `text`, which may be
// anything. Texts that differ may get the same.
std::string IdLike(absl::string_view text);

// A selector of series, as `match[]` takes it, that selects less than all.
// INVALID_ARGUMENT says where it is wrong.
absl::Status CheckSelector(absl::string_view selector);

// The selectors of a file with one on each line; empty lines and comments (#)
// are left out.
absl::StatusOr<std::vector<std::string>> ReadSelectors(const InputFile& file);

// The tenants that the caller told of.
absl::Status AddGivenTenants(const ConvertInput& input, Draft& draft);

// The binding of a sender whose series a claim rule gives to tenants: of those
// named, or with `every_tenant` of all. Without a token, says what is to be
// done.
void AddSender(const ConvertInput& input, absl::string_view id,
               const std::vector<std::string>& tenant_ids, bool every_tenant,
               absl::string_view claim_rule_id, Draft& draft);

// Sets a binding's tenants: those, or every tenant if they are too many for
// one.
void SetTenants(const std::vector<std::string>& tenant_ids,
                absl::string_view id, v1::Binding& binding, Draft& draft);

}  // namespace insula::insulactl
