#include "libs/registry_client/followed_copy.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::registry_client {
namespace {

namespace v1 = ::insula::registry::v1;

}  // namespace

// Goes through the steps with a copy of its own.
class FollowedCopy::Checker {
 public:
  Checker(const FollowedCopy* copy, const History* history)
      : copy_(*copy), history_(*history) {}

  absl::Status Run() {
    for (const Step& step : copy_.steps_) {
      const absl::Status status = Check(step);
      if (status.ok()) continue;
      return absl::DataLossError(absl::StrCat(
          copy_.client_id_, " from revision ", revision_, " to ", step.revision,
          step.snapshot ? ", a snapshot: " : ": ", status.message()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Check(const Step& step) {
    if (!step.fault.empty()) return Wrong(step.fault);
    if (step.epoch != copy_.steps_.front().epoch) return Wrong("another epoch");
    if (step.revision < revision_) return Wrong("goes back");
    if (step.revision > history_.revision()) {
      return Wrong("the registry has only ", history_.revision());
    }
    const int64_t from = step.snapshot ? 0 : revision_;
    History::Versions expected = history_.Between(from, step.revision);
    std::erase_if(expected, [&](const auto& item) {
      const auto kind = static_cast<v1::Kind>(item.first.first);
      return (!copy_.kinds_.empty() && !copy_.kinds_.contains(kind)) ||
             (step.snapshot && !item.second.present);
    });
    if (step.snapshot) {
      held_.clear();
      digest_ = tenancy::SetDigest();
    }
    std::set<History::Key> seen;
    for (size_t i = 0; i < step.items.size(); ++i) {
      const auto& [key, version] = step.items[i];
      const std::string name =
          absl::StrCat("kind ", key.first, " ", key.second);
      if (!seen.insert(key).second) return Wrong(name, " is there twice");
      const auto it = expected.find(key);
      if (it == expected.end()) return Wrong(name, " has not changed");
      if (it->second != version) {
        return Wrong(name, " is of revision ", version.mod_revision, ", not ",
                     it->second.mod_revision, ", or has other contents");
      }
      RETURN_IF_ERROR(CheckUid(name, key, version, step.uids[i]));
      Hold(key, version);
    }
    for (const auto& [key, version] : expected) {
      if (seen.contains(key)) continue;
      return Wrong("the change of kind ", key.first, " ", key.second,
                   " at revision ", version.mod_revision, " is missing");
    }
    if (step.snapshot &&
        step.announced != static_cast<int64_t>(step.items.size())) {
      return Wrong("has ", step.items.size(), " objects, announced were ",
                   step.announced);
    }
    revision_ = step.revision;
    if (step.set.has_value() && *step.set != digest_.kinds()) {
      return Wrong("its digest is not that of the objects held");
    }
    return absl::OkStatus();
  }

  // An object keeps its uid for as long as it is there, and no other has it.
  absl::Status CheckUid(const std::string& name, const History::Key& key,
                        const History::Version& version,
                        const std::string& uid) {
    if (!version.present) return absl::OkStatus();
    if (uid.size() != 16) return Wrong(name, " has no uid");
    const auto [it, fresh] =
        uids_.emplace(uid, std::pair(key, version.create_revision));
    if (fresh && created_.contains({key, version.create_revision})) {
      return Wrong(name, " has another uid than before");
    }
    created_.insert({key, version.create_revision});
    if (it->second == std::pair(key, version.create_revision)) {
      return absl::OkStatus();
    }
    return Wrong(name, " has the uid of another object");
  }

  void Hold(const History::Key& key, const History::Version& version) {
    const auto kind = static_cast<v1::Kind>(key.first);
    if (const auto it = held_.find(key); it != held_.end()) {
      digest_.Remove(kind, key.second, it->second);
      held_.erase(it);
    }
    if (!version.present) return;
    held_[key] = version.mod_revision;
    digest_.Add(kind, key.second, version.mod_revision);
  }

  template <typename... Parts>
  static absl::Status Wrong(const Parts&... parts) {
    return absl::DataLossError(absl::StrCat(parts...));
  }

  const FollowedCopy& copy_;
  const History& history_;
  int64_t revision_ = 0;
  std::map<History::Key, int64_t> held_;
  tenancy::SetDigest digest_;
  std::map<std::string, std::pair<History::Key, int64_t>> uids_;
  std::set<std::pair<History::Key, int64_t>> created_;
};

absl::Status FollowedCopy::Check(const History& history) const {
  return Checker(this, &history).Run();
}

v1::Subscribe FollowedCopy::BeginStream() {
  incoming_.reset();
  v1::Subscribe subscribe;
  subscribe.set_client_id(client_id_);
  for (const v1::Kind kind : kinds_) subscribe.add_kinds(kind);
  subscribe.set_resume_revision(revision_);
  subscribe.set_epoch(epoch_);
  return subscribe;
}

void FollowedCopy::Take(const v1::WatchResponse& message) {
  using Response = v1::WatchResponse;
  if (message.phase() == Response::PHASE_RESET) {
    incoming_ = Step();
    incoming_->snapshot = true;
    return;
  }
  Step step;
  const bool of_snapshot = message.phase() == Response::PHASE_SNAPSHOT ||
                           message.phase() == Response::PHASE_SNAPSHOT_END;
  if (of_snapshot != incoming_.has_value()) {
    step.fault = "a message that can't come here";
  } else if (of_snapshot) {
    step = *std::move(incoming_);
  } else if (message.phase() == Response::PHASE_PROGRESS &&
             message.puts_size() + message.deletes_size() > 0) {
    step.fault = "a progress with changes";
  }
  step.revision = message.revision();
  step.epoch = message.epoch();
  for (const v1::Object& object : message.puts()) {
    step.items.emplace_back(History::KeyOf(object), History::VersionOf(object));
    step.uids.push_back(object.meta().uid());
  }
  for (const v1::ObjectRef& ref : message.deletes()) {
    step.items.emplace_back(History::KeyOf(ref), History::Version());
    step.uids.emplace_back();
  }
  if (message.phase() == Response::PHASE_SNAPSHOT) {
    incoming_ = std::move(step);
    return;
  }
  incoming_.reset();
  if (message.has_set()) {
    ++digests_;
    step.set.emplace();
    for (const v1::KindDigest& kind : message.set().kinds()) {
      (*step.set)[kind.kind()] = {kind.count(), kind.sum()};
    }
  }
  if (step.snapshot) {
    step.announced = message.object_count();
    ++resets_;
  } else {
    changes_ += static_cast<int64_t>(step.items.size());
  }
  revision_ = step.revision;
  epoch_ = step.epoch;
  steps_.push_back(std::move(step));
}

}  // namespace insula::registry_client
