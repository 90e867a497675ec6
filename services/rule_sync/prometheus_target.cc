#include "services/rule_sync/prometheus_target.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/status/status_macros.h"
#include "services/rule_sync/rule_file_name.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

constexpr Backoff::Options kOfferAgain = {.initial = absl::Minutes(2),
                                          .maximum = absl::Hours(1)};
// Reloads of one round; what they leave untried waits for the next round.
constexpr int kMaxReloads = 100;

struct Wanted {
  const DesiredTenant* tenant;
  const DesiredFile* file;
};

}  // namespace

// One Sync(). Lives in its coroutine.
class PrometheusTarget::Round {
 public:
  Round(PrometheusTarget* target, const DesiredUnit* desired, bool may_delete,
        PrometheusClient client)
      : target_(*target),
        desired_(*desired),
        may_delete_(may_delete),
        client_(std::move(client)) {
    for (const auto& [uid, tenant] : desired_.tenants) {
      for (const auto& file : tenant.files) {
        if (file->text.empty()) continue;
        wanted_[FormatRuleFileName({uid, file->stem})] = {&tenant, file.get()};
      }
    }
  }

  asio::awaitable<SyncResult> Run() {
    result_.status = co_await RunSteps();
    result_.failure = failure_.failure;
    result_.retry_after = failure_.retry_after;
    if (result_.status.ok() && result_.refused > 0) {
      result_.failure = Failure::kRefused;
    }
    const auto report = [this] {
      Report();
      return absl::OkStatus();
    };
    const absl::Status reported = co_await target_.blocking_->Run(report);
    if (result_.status.ok()) result_.status = reported;
    if (result_.status.ok() && result_.failure == Failure::kNotSeen) {
      result_.status = absl::UnavailableError(not_seen_);
    }
    co_return std::move(result_);
  }

 private:
  asio::awaitable<absl::Status> RunSteps() {
    // First: a Prometheus that is away must not be left with new files.
    CO_ASSIGN_OR_RETURN(loaded_, co_await client_.ReadRules(&failure_));
    bool all_loaded = false;
    std::vector<std::string> trial;
    const auto look = [this, &all_loaded, &trial] {
      RETURN_IF_ERROR(Look());
      RETURN_IF_ERROR(RemoveAndDrop());
      trial = OnTrial();
      all_loaded = !removed_ && trial.empty() && IsAllLoaded();
      return absl::OkStatus();
    };
    CO_RETURN_IF_ERROR(co_await OnDisk(look));
    if (!all_loaded) {
      CO_RETURN_IF_ERROR(co_await OfferAll(std::move(trial)));
      CO_ASSIGN_OR_RETURN(loaded_, co_await client_.ReadRules(&failure_));
      target_.not_ours_ = Strangers();
    }
    seen_ = true;
    co_return absl::OkStatus();
  }

  // Runs `work` where it may block.
  asio::awaitable<absl::Status> OnDisk(std::function<absl::Status()> work) {
    const absl::Status status =
        co_await target_.blocking_->Run(std::move(work));
    if (!status.ok()) failure_.failure = Failure::kDisk;
    co_return status;
  }

  absl::Status Look() {
    ASSIGN_OR_RETURN(disk_, target_.directory_.Scan());
    return absl::OkStatus();
  }

  const DesiredTenant* TenantOf(const std::string& name) const {
    const auto it = desired_.tenants.find(ParseRuleFileName(name)->uid);
    return it == desired_.tenants.end() ? nullptr : &it->second;
  }

  // Whether groups of that tenant may go because its directory lacks them.
  bool MayDeleteOf(const DesiredTenant& tenant) const {
    return may_delete_ && tenant.complete;
  }

  // Removes files that nobody wants, and forgets good versions that are
  // confined to labels that the tenant no longer has.
  absl::Status RemoveAndDrop() {
    for (auto it = disk_.begin(); it != disk_.end();) {
      const auto& [name, state] = *it;
      const DesiredTenant* const tenant = TenantOf(name);
      const bool wanted = wanted_.contains(name);
      if (!wanted && (tenant == nullptr || MayDeleteOf(*tenant) ||
                      !AllConfined(state.text, tenant->confinement))) {
        RETURN_IF_ERROR(target_.directory_.Remove(name));
        target_.culprits_.erase(name);
        ++result_.deleted;
        removed_ = true;
        it = disk_.erase(it);
        continue;
      }
      if (state.good.has_value() && !state.good->empty() &&
          !AllConfined(*state.good, tenant->confinement)) {
        RETURN_IF_ERROR(target_.directory_.DropGood(name));
        it->second.good = "";
      }
      ++it;
    }
    return absl::OkStatus();
  }

  // The files to offer: those that are not there as wanted, and those which
  // were on trial when a process ended.
  std::vector<std::string> OnTrial() {
    std::vector<std::string> trial;
    const absl::Time now = absl::Now();
    for (const auto& [name, wanted] : wanted_) {
      const auto it = disk_.find(name);
      const bool there =
          it != disk_.end() && it->second.text == wanted.file->text;
      if (there && !it->second.good.has_value()) {
        target_.culprits_.erase(name);
        continue;
      }
      if (const auto culprit = target_.culprits_.find(name);
          culprit != target_.culprits_.end()) {
        if (culprit->second.text != wanted.file->text) {
          target_.culprits_.erase(culprit);
        } else if (now < culprit->second.offer_again_at && !there) {
          continue;
        }
      }
      if (!there && it != disk_.end() && Loses(it->second, wanted)) {
        held_.insert(name);
        continue;
      }
      trial.push_back(name);
    }
    // Kept for now, though not wanted, and untried.
    for (const auto& [name, state] : disk_) {
      if (state.good.has_value() &&
          (!wanted_.contains(name) || held_.contains(name))) {
        trial.push_back(name);
      }
    }
    return trial;
  }

  // Whether the file would lose groups that must not go now.
  bool Loses(const RuleFileState& state, const Wanted& wanted) const {
    if (may_delete_) return false;
    // What is confined to former labels must go in any case.
    if (!AllConfined(state.text, wanted.tenant->confinement)) return false;
    const std::set<std::string> before = NamesOf(GroupsOf(state.text));
    const std::set<std::string> after = NamesOf(wanted.file->checked);
    return !std::includes(after.begin(), after.end(), before.begin(),
                          before.end());
  }

  // What Prometheus shows that is ours by its name but neither here nor from
  // elsewhere.
  std::vector<std::string> Strangers() const {
    std::vector<std::string> strangers;
    for (const auto& [name, groups] : loaded_) {
      if (ParseRuleFileName(name).has_value() && !disk_.contains(name)) {
        strangers.push_back(name);
      }
    }
    return strangers;
  }

  bool IsFileLoaded(const std::string& name, const DesiredFile& file) const {
    const auto it = loaded_.find(name);
    return it != loaded_.end() && AreLoaded(file.checked.groups, it->second);
  }

  bool IsThere(const std::string& name) const {
    const auto it = disk_.find(name);
    return it != disk_.end() && !it->second.good.has_value() &&
           it->second.text == wanted_.at(name).file->text;
  }

  bool IsAllLoaded() const {
    for (const auto& [name, wanted] : wanted_) {
      if (IsThere(name) && !IsFileLoaded(name, *wanted.file)) return false;
    }
    return Strangers() == target_.not_ours_;
  }

  // Offers everything at once, and if that fails, in parts.
  asio::awaitable<absl::Status> OfferAll(std::vector<std::string> trial) {
    const absl::Status all = co_await Offer(trial);
    if (failure_.failure != Failure::kRefused) co_return all;
    // Was it one of ours? Then it takes what it had.
    absl::Status before = all;
    if (!trial.empty()) before = co_await Reload();
    if (!before.ok()) {
      if (failure_.failure == Failure::kRefused) {
        failure_.failure = Failure::kDenied;
        co_return absl::UnavailableError(absl::StrCat(
            "Prometheus does not load even what it had, look at its own "
            "configuration: ",
            before.message()));
      }
      co_return before;
    }
    if (trial.size() == 1) {
      Blame(trial[0], all);
      co_return absl::OkStatus();
    }
    std::vector<std::vector<std::string>> parts;
    Halve(std::move(trial), &parts);
    bool refused_last = false;
    while (!parts.empty() && reloads_ < kMaxReloads) {
      std::vector<std::string> part = std::move(parts.back());
      parts.pop_back();
      const absl::Status status = co_await Offer(part);
      refused_last = failure_.failure == Failure::kRefused;
      if (!status.ok() && !refused_last) co_return status;
      if (status.ok()) continue;
      if (part.size() == 1) {
        Blame(part[0], status);
      } else {
        Halve(std::move(part), &parts);
      }
    }
    failure_.failure = Failure::kNone;
    // So that Prometheus' own metrics say that all is well.
    if (refused_last) co_return co_await Reload();
    co_return absl::OkStatus();
  }

  static void Halve(std::vector<std::string> names,
                    std::vector<std::vector<std::string>>* parts) {
    const auto middle =
        names.begin() + static_cast<ptrdiff_t>(names.size() / 2);
    parts->emplace_back(middle, names.end());
    parts->emplace_back(names.begin(), middle);
  }

  asio::awaitable<absl::Status> Reload() {
    ++reloads_;
    failure_ = CallFailure();
    co_return co_await client_.Reload(&failure_);
  }

  // Puts the files there and reloads. Unless that works they are as before.
  asio::awaitable<absl::Status> Offer(std::vector<std::string> names) {
    const auto stage = [this, &names] {
      const absl::Status status = StageAll(names);
      // What could not be offered must not lie there untried.
      if (!status.ok()) RollBackAll(names).IgnoreError();
      return status;
    };
    CO_RETURN_IF_ERROR(co_await OnDisk(stage));
    const absl::Status reloaded = co_await Reload();
    const CallFailure failure = failure_;
    const auto settle = [this, &names, &reloaded] {
      return reloaded.ok() ? AcceptAll(names) : RollBackAll(names);
    };
    CO_RETURN_IF_ERROR(co_await OnDisk(settle));
    if (reloaded.ok()) result_.updated += names.size();
    failure_ = failure;
    co_return reloaded;
  }

  absl::Status StageAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto wanted = wanted_.find(name);
      const auto present = disk_.find(name);
      // Kept as it is.
      if (wanted == wanted_.end() || held_.contains(name)) continue;
      const std::string& text = wanted->second.file->text;
      if (present != disk_.end() && present->second.good.has_value() &&
          present->second.text == text) {
        continue;
      }
      const bool keep =
          present != disk_.end() &&
          AllConfined(present->second.text, wanted->second.tenant->confinement);
      RETURN_IF_ERROR(target_.directory_.Stage(name, text, keep));
      RuleFileState& state = disk_[name];
      if (!keep) {
        state.good = "";
      } else if (!state.good.has_value()) {
        state.good = state.text;
      }
      state.text = text;
    }
    return absl::OkStatus();
  }

  absl::Status AcceptAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      RETURN_IF_ERROR(target_.directory_.Accept(name));
      disk_[name].good.reset();
      target_.culprits_.erase(name);
    }
    return absl::OkStatus();
  }

  absl::Status RollBackAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto it = disk_.find(name);
      if (it == disk_.end() || !it->second.good.has_value()) continue;
      RETURN_IF_ERROR(target_.directory_.RollBack(name));
      RuleFileState& state = it->second;
      if (state.good->empty()) {
        disk_.erase(it);
      } else {
        state.text = *std::move(state.good);
        state.good.reset();
      }
      ++result_.rolled_back;
    }
    return absl::OkStatus();
  }

  void Blame(const std::string& name, const absl::Status& why) {
    failure_.failure = Failure::kNone;
    ++result_.refused;
    const auto wanted = wanted_.find(name);
    if (wanted == wanted_.end() || held_.contains(name)) return;
    auto [it, fresh] = target_.culprits_.try_emplace(
        name, Culprit{"", "", absl::InfinitePast(), Backoff(kOfferAgain)});
    Culprit& culprit = it->second;
    culprit.text = wanted->second.file->text;
    culprit.error = absl::StrCat("Prometheus refuses the rules of this file: ",
                                 why.message());
    culprit.offer_again_at = absl::Now() + culprit.backoff.Next();
  }

  void Report() {
    for (const auto& [name, wanted] : wanted_) {
      GroupOutcome outcome = OutcomeOf(name, wanted);
      for (const CheckedGroup& group : wanted.file->checked.groups) {
        outcome.digest = group.digest;
        result_.outcomes[{wanted.tenant->uid, wanted.file->stem,
                          group.group.name}] = outcome;
      }
      if (const auto it = target_.culprits_.find(name);
          it != target_.culprits_.end()) {
        result_.offer_again_after =
            std::min(result_.offer_again_after,
                     std::max(it->second.offer_again_at - absl::Now(),
                              absl::ZeroDuration()));
      }
    }
    if (!seen_) return;
    result_.present.emplace();
    for (const auto& [name, state] : disk_) {
      const RuleFileName id = *ParseRuleFileName(name);
      const auto wanted = wanted_.find(name);
      for (const std::string& group :
           wanted != wanted_.end() && wanted->second.file->text == state.text
               ? NamesOf(wanted->second.file->checked)
               : NamesOf(GroupsOf(state.text))) {
        result_.present->insert({id.uid, id.stem, group});
      }
    }
  }

  GroupOutcome OutcomeOf(const std::string& name, const Wanted& wanted) {
    using State = GroupOutcome::State;
    GroupOutcome outcome;
    if (const auto culprit = target_.culprits_.find(name);
        culprit != target_.culprits_.end()) {
      outcome.state = State::kFailed;
      outcome.error = culprit->second.error;
    } else if (!result_.status.ok()) {
      outcome.error = std::string(result_.status.message());
      outcome.state = State::kFailed;
    } else if (held_.contains(name)) {
      outcome.error =
          "too many groups vanished at once, so that those which this file has "
          "lost are kept; raise rules.max_deletion_percent if it is right";
    } else if (!IsThere(name)) {
      outcome.error = "waits for its turn";
    } else if (IsFileLoaded(name, *wanted.file)) {
      outcome.state = State::kActive;
    } else {
      outcome.state = State::kFailed;
      outcome.error = absl::StrCat(
          "Prometheus has reloaded, but /api/v1/rules does not show ", name,
          " as it is; do its rule_files name ", target_.directory_path_,
          "/*.yaml?");
      result_.failure = Failure::kNotSeen;
      not_seen_ = outcome.error;
    }
    return outcome;
  }

  PrometheusTarget& target_;
  const DesiredUnit& desired_;
  const bool may_delete_;
  PrometheusClient client_;
  std::map<std::string, Wanted> wanted_;  // By file name.

  SyncResult result_;
  CallFailure failure_;
  LoadedRules loaded_;
  std::map<std::string, RuleFileState> disk_;
  std::set<std::string> held_;  // Files that stay as they are for now.
  std::string not_seen_;
  bool removed_ = false;
  bool seen_ = false;  // loaded_ and disk_ are what is there now.
  int reloads_ = 0;
};

PrometheusTarget::PrometheusTarget(std::string directory, http::Client* client,
                                   runtime::BlockingPool* blocking)
    : directory_path_(directory),
      directory_(std::move(directory)),
      client_(client),
      blocking_(blocking) {}

asio::awaitable<SyncResult> PrometheusTarget::Sync(
    std::shared_ptr<const DesiredUnit> desired, bool may_delete) {
  absl::StatusOr<PrometheusClient> client = PrometheusClient::Create(
      desired->spec.url, desired->spec.timeout, client_);
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
