#include "services/rule_sync/ruler_target.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/rules/write.h"
#include "libs/status/status_macros.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

// After so many failures in a row that say nothing about a group, the others
// wait for the next round.
constexpr int kMaxFailures = 5;

}  // namespace

// One Sync(). Lives in its coroutine.
class RulerTarget::Round {
 public:
  Round(RulerTarget* target, const DesiredUnit* desired, bool may_delete,
        RulerClient client)
      : target_(*target),
        desired_(*desired),
        may_delete_(may_delete),
        begin_(
            absl::StrCat(target->options_.prefix, target->options_.separator)),
        client_(std::move(client)) {
    for (const auto& [uid, tenant] : desired_.tenants) {
      tenants_by_hex_[absl::BytesToHexString(uid)] = uid;
      for (const auto& file : tenant.files) {
        const std::string name_space = NamespaceOf(uid, file->stem);
        for (const CheckedGroup& group : file->checked.groups) {
          Wanted& wanted = wanted_[{name_space, group.group.name}];
          wanted.group = &group;
          wanted.key = {uid, file->stem, group.group.name};
        }
      }
    }
  }

  asio::awaitable<SyncResult> Run() {
    absl::StatusOr<RulerGroups> list = co_await client_.List(&failure_);
    if (list.ok()) {
      const auto compare = [this, &list] {
        Take(*std::move(list));
        Plan();
        return absl::OkStatus();
      };
      const absl::Status planned = co_await target_.blocking_->Run(compare);
      if (!planned.ok()) {
        Fail(planned, Failure::kDisk);
      } else {
        co_await Apply();
        if (changed_) co_await LookAgain();
      }
    } else {
      Fail(list.status(), failure_.failure);
    }
    Report();
    co_return std::move(result_);
  }

 private:
  struct Wanted {
    const CheckedGroup* group = nullptr;
    GroupKey key;
    std::string error;  // Why it could not be brought there in this round.
  };

  std::string NamespaceOf(const std::string& uid,
                          const std::string& stem) const {
    if (!desired_.spec.header.empty()) return absl::StrCat(begin_, stem);
    return absl::StrCat(begin_, absl::BytesToHexString(uid),
                        target_.options_.separator, stem);
  }

  // The reverse; nullopt for a namespace that is not ours.
  std::optional<GroupKey> KeyOf(absl::string_view name_space) const {
    if (!absl::ConsumePrefix(&name_space, begin_)) return std::nullopt;
    GroupKey key;
    key.stem = std::string(name_space);
    if (!desired_.spec.header.empty()) {
      // One tenant, if any, is all that there can be.
      if (!desired_.tenants.empty()) key.uid = desired_.tenants.begin()->first;
      return key;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(name_space,
                       absl::MaxSplits(target_.options_.separator, 1));
    const auto it = tenants_by_hex_.find(parts.first);
    if (it != tenants_by_hex_.end()) {
      key.uid = it->second;
      key.stem = std::string(parts.second);
    }
    return key;
  }

  // Takes over what the ruler has.
  void Take(RulerGroups list) {
    present_.clear();
    actual_.clear();
    groups_there_ = 0;
    for (auto& [name_space, groups] : list) {
      groups_there_ += static_cast<int64_t>(groups.size());
      const std::optional<GroupKey> owner = KeyOf(name_space);
      if (!owner.has_value()) continue;
      for (rules::Group& group : groups) {
        GroupKey key = *owner;
        key.group = group.name;
        actual_[{name_space, group.name}] = rules::Digest(group);
        if (!wanted_.contains({name_space, group.name}) && !MayGo(key, group)) {
          kept_.insert({name_space, group.name});
        }
        present_.insert(std::move(key));
      }
    }
    seen_ = true;
  }

  // Whether a group that is not wanted may be deleted.
  bool MayGo(const GroupKey& key, const rules::Group& group) const {
    const auto it = desired_.tenants.find(key.uid);
    if (it == desired_.tenants.end()) return true;
    const DesiredTenant& tenant = it->second;
    if (may_delete_ && tenant.complete) return true;
    // What is confined to former labels must go in any case.
    return tenant.confinement && !IsConfined(group, *tenant.confinement);
  }

  void Plan() {
    for (auto& [place, wanted] : wanted_) {
      const auto it = actual_.find(place);
      if (it != actual_.end() && it->second == wanted.group->digest) {
        target_.refused_.erase(place);
        continue;
      }
      const auto refused = target_.refused_.find(place);
      if (refused != target_.refused_.end() &&
          refused->second.digest == wanted.group->digest) {
        wanted.error = refused->second.error;
        continue;
      }
      (it == actual_.end() ? creates_ : updates_).push_back(place);
    }
    for (const auto& [place, digest] : actual_) {
      if (!wanted_.contains(place) && !kept_.contains(place)) {
        deletes_.push_back(place);
      }
    }
    for (auto it = target_.refused_.begin(); it != target_.refused_.end();) {
      it = wanted_.contains(it->first) ? std::next(it)
                                       : target_.refused_.erase(it);
    }
  }

  asio::awaitable<void> Apply() {
    co_await PutAll(&updates_, &result_.updated);
    if (!limit_.has_value()) co_await PutAll(&creates_, &result_.created);
    co_await DeleteAll();
    if (!limit_.has_value()) co_return;
    co_await ReplaceAll();
    co_await PutAll(&creates_, &result_.created);
    // What is left does not fit.
    for (const auto* rest : {&updates_, &creates_}) {
      for (const Place& place : *rest) {
        if (wanted_[place].error.empty()) wanted_[place].error = limit_error_;
        ++result_.refused;
      }
    }
  }

  // Puts groups until the limit is met; those that remain stay in `places`.
  asio::awaitable<void> PutAll(std::vector<Place>* places, size_t* count) {
    std::vector<Place> rest;
    limit_hit_ = false;
    for (const Place& place : *places) {
      bool put = false;
      if (!limit_hit_ && !given_up_) put = co_await Put(place, count);
      if (!put) rest.push_back(place);
    }
    *places = std::move(rest);
  }

  // False if the ruler's limit forbids it.
  asio::awaitable<bool> Put(Place place, size_t* count) {
    Wanted& wanted = wanted_[place];
    CallFailure failure;
    const absl::Status status =
        co_await client_.Put(place.first, &wanted.group->group, &failure);
    if (status.ok()) {
      ++*count;
      changed_ = true;
      failures_ = 0;
      if (!actual_.contains(place)) ++groups_there_;
      actual_[place] = wanted.group->digest;
      co_return true;
    }
    wanted.error = std::string(status.message());
    if (failure.failure != Failure::kRefused) {
      Suffer(status, failure);
      co_return true;
    }
    failures_ = 0;
    if (const auto limit = GroupLimitIn(status.message())) {
      limit_ = limit;
      limit_error_ = wanted.error;
      limit_hit_ = true;
      co_return false;
    }
    target_.refused_[place] = {wanted.group->digest, wanted.error};
    ++result_.refused;
    co_return true;
  }

  asio::awaitable<void> DeleteAll() {
    for (const Place& place : deletes_) {
      if (given_up_) co_return;
      co_await Delete(place);
    }
  }

  asio::awaitable<bool> Delete(Place place) {
    CallFailure failure;
    const absl::Status status =
        co_await client_.Delete(place.first, place.second, &failure);
    if (!status.ok()) {
      Suffer(status, failure);
      co_return false;
    }
    failures_ = 0;
    changed_ = true;
    if (actual_.erase(place) > 0) --groups_there_;
    ++result_.deleted;
    co_return true;
  }

  // Updates at the limit: a ruler counts an update as one group more. If there
  // are more groups than it allows, one that is deleted does not come back, so
  // the old version is better than none.
  asio::awaitable<void> ReplaceAll() {
    std::vector<Place> places = std::exchange(updates_, {});
    for (const Place& place : places) {
      if (groups_there_ > *limit_ || given_up_) {
        updates_.push_back(place);
        continue;
      }
      if (groups_there_ == *limit_) {
        const bool deleted = co_await Delete(place);
        if (!deleted) {
          updates_.push_back(place);
          continue;
        }
      }
      const bool put = co_await Put(place, &result_.updated);
      if (!put) updates_.push_back(place);
    }
  }

  // A failure that says nothing about the group.
  void Suffer(const absl::Status& status, const CallFailure& failure) {
    Fail(status, failure.failure);
    result_.retry_after = std::max(result_.retry_after, failure.retry_after);
    // An evaluator that asks for peace, or is away, gets none of the rest.
    given_up_ = ++failures_ >= kMaxFailures ||
                failure.failure == Failure::kUnreachable ||
                failure.retry_after > absl::ZeroDuration() ||
                absl::IsResourceExhausted(status);
  }

  void Fail(const absl::Status& status, Failure failure) {
    if (!result_.status.ok()) return;
    result_.status = status;
    result_.failure = failure;
    result_.retry_after = std::max(result_.retry_after, failure_.retry_after);
  }

  asio::awaitable<void> LookAgain() {
    absl::StatusOr<RulerGroups> list = co_await client_.List(&failure_);
    if (!list.ok()) {
      seen_ = false;
      Fail(list.status(), failure_.failure);
      co_return;
    }
    const auto take = [this, &list] {
      Take(*std::move(list));
      return absl::OkStatus();
    };
    const absl::Status taken = co_await target_.blocking_->Run(take);
    if (!taken.ok()) {
      seen_ = false;
      Fail(taken, Failure::kDisk);
    }
  }

  void Report() {
    using State = GroupOutcome::State;
    for (const auto& [place, wanted] : wanted_) {
      GroupOutcome outcome;
      outcome.digest = wanted.group->digest;
      const auto it = actual_.find(place);
      if (seen_ && it != actual_.end() && it->second == outcome.digest) {
        outcome.state = State::kActive;
      } else if (!wanted.error.empty()) {
        outcome.state = State::kFailed;
        outcome.error = wanted.error;
      } else if (!result_.status.ok()) {
        outcome.state = State::kFailed;
        outcome.error = std::string(result_.status.message());
      } else {
        outcome.state = State::kFailed;
        outcome.error =
            "the ruler has taken the group, but its list shows another one";
        result_.failure = Failure::kNotSeen;
      }
      result_.outcomes[wanted.key] = std::move(outcome);
    }
    if (seen_) result_.present = std::move(present_);
    if (!result_.status.ok()) return;
    if (result_.failure == Failure::kNotSeen) {
      result_.status = absl::UnavailableError(
          "the ruler has taken groups that its list does not show");
    } else if (result_.refused > 0) {
      result_.failure = Failure::kRefused;
    }
  }

  RulerTarget& target_;
  const DesiredUnit& desired_;
  const bool may_delete_;
  const std::string begin_;  // Of the namespaces that are ours.
  RulerClient client_;
  std::map<Place, Wanted> wanted_;
  std::map<std::string, std::string, std::less<>> tenants_by_hex_;  // Uids.

  SyncResult result_;
  CallFailure failure_;
  std::map<Place, std::string>
      actual_;                  // Digests of our groups that are there.
  std::set<GroupKey> present_;  // The same groups.
  std::set<Place> kept_;        // Not wanted, but to stay for now.
  int64_t groups_there_ = 0;    // Of anybody.
  bool seen_ = false;           // actual_ is what is there now.

  std::vector<Place> updates_;
  std::vector<Place> creates_;
  std::vector<Place> deletes_;
  bool changed_ = false;
  std::optional<int64_t> limit_;  // Met in this round.
  std::string limit_error_;
  bool limit_hit_ = false;  // By the last Put().
  int failures_ = 0;        // In a row.
  bool given_up_ = false;
};

RulerTarget::RulerTarget(RulerTargetOptions options, http::Client* client,
                         runtime::BlockingPool* blocking)
    : options_(std::move(options)), client_(client), blocking_(blocking) {}

asio::awaitable<SyncResult> RulerTarget::Sync(
    std::shared_ptr<const DesiredUnit> desired, bool may_delete) {
  absl::StatusOr<RulerClient> client =
      RulerClient::Create(desired->spec, options_.max_list_bytes, client_);
  if (!client.ok()) {
    SyncResult result;
    result.status = client.status();
    result.failure = Failure::kDenied;
    co_return result;
  }
  Round round(this, desired.get(), may_delete, *std::move(client));
  co_return co_await round.Run();
}

}  // namespace insula::rule_sync
