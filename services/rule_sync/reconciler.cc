#include "services/rule_sync/reconciler.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <future>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/logging/logging.h"
#include "libs/status/annotate.h"
#include "libs/sync/mutex.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

// When a file that somebody writes is looked at again.
constexpr absl::Duration kLookAgain = absl::Milliseconds(20);
// Least time between two comparisons, which look at all tenants.
constexpr absl::Duration kLeastPause = absl::Milliseconds(50);
constexpr size_t kMaxLogged = 20;

// Logs those of `now` that were not there before.
void LogFresh(const char* msg, const std::set<std::string>& before,
              const std::set<std::string>& now) {
  size_t logged = 0;
  for (const std::string& error : now) {
    if (before.contains(error)) continue;
    if (++logged <= kMaxLogged) logging::Warn(msg, {{"err", error}});
  }
  if (logged > kMaxLogged) {
    logging::Warn(msg,
                  {{"err", "there are more"}, {"count", logged - kMaxLogged}});
  }
}

}  // namespace

class Reconciler::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(ReconcilerOptions options, Ledger ledger, FileOwners owners,
       Dispatcher::MakeTarget make_target, asio::any_io_executor executor,
       runtime::BlockingPool* blocking, Metrics* metrics)
      : options_(std::move(options)),
        source_(options_.source, std::move(owners)),
        compiler_(options_.compiler),
        ledger_(std::move(ledger)),
        blocking_(*blocking),
        metrics_(*metrics),
        strand_(asio::make_strand(executor)),
        wake_(strand_),
        dispatcher_(std::make_shared<Dispatcher>(
            options_.dispatcher, std::move(make_target), strand_,
            std::move(executor), metrics)) {
    std::map<std::string, UnitSpec> units = ledger_.units();
    // Without their directory nothing can be done about rule files.
    if (!options_.compiler.rule_files) {
      std::erase_if(units, [](const auto& unit) {
        return unit.second.type == UnitSpec::Type::kPrometheus;
      });
    }
    dispatcher_->Remember(units);
  }

  void Start() {
    asio::co_spawn(
        strand_, Run(), [self = shared_from_this()](std::exception_ptr) {
          self->dispatcher_->Stop([self] { self->ended_.set_value(); });
        });
  }

  void Stop() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stopped_ = true;
      self->wake_.cancel();
    });
    ended_.get_future().wait();
  }

  void Follow(std::shared_ptr<const tenancy::Snapshot> snapshot) {
    asio::post(strand_, [self = shared_from_this(),
                         snapshot = std::move(snapshot)]() mutable {
      self->snapshot_ = std::move(snapshot);
      self->changed_ = true;
      self->wake_.cancel();
    });
  }

  void Rescan() {
    asio::post(strand_, [self = shared_from_this()] {
      self->scan_at_ = absl::InfinitePast();
      self->wake_.cancel();
    });
  }

  absl::Status DirectoryReady() const {
    sync::MutexLock lock(&mutex_);
    return scanned_;
  }

  asio::awaitable<std::optional<ListedRules>> List(std::string tenant_id) {
    return asio::co_spawn(strand_, ListHere(std::move(tenant_id)),
                          asio::use_awaitable);
  }

 private:
  asio::awaitable<void> Run() {
    while (!stopped_) {
      if (snapshot_ != nullptr) {
        if (absl::Now() >= scan_at_ || HasNewTenant()) co_await Scan();
        if (changed_ && view_ != nullptr && !stopped_) co_await Compare();
        co_await ForgetUnits();
      }
      co_await Sleep();
    }
  }

  // Until there is something to do.
  asio::awaitable<void> Sleep() {
    if (stopped_) co_return;
    wake_.expires_after(absl::ToChronoNanoseconds(kLeastPause));
    co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    while (!stopped_ && !changed_ && absl::Now() < scan_at_) {
      wake_.expires_after(absl::ToChronoNanoseconds(
          std::min(scan_at_ - absl::Now(), absl::Hours(1))));
      co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  // Whether a directory has got its tenant, or another one, since it was last
  // looked at.
  bool HasNewTenant() const {
    if (view_ == nullptr || !changed_) return false;
    const bool got = std::any_of(view_->unknown.begin(), view_->unknown.end(),
                                 [this](const std::string& id) {
                                   return snapshot_->FindTenant(id) != nullptr;
                                 });
    return got || std::any_of(view_->tenants.begin(), view_->tenants.end(),
                              [this](const auto& known) {
                                const tenancy::Tenant* const tenant =
                                    snapshot_->FindTenant(known.first);
                                return tenant != nullptr &&
                                       tenant->uid != known.second.uid;
                              });
  }

  asio::awaitable<void> Scan() {
    absl::StatusOr<std::shared_ptr<const SourceView>> view =
        absl::UnknownError("not read");
    const auto scan = [this, &view, snapshot = snapshot_] {
      view = source_.Scan(
          [&snapshot](absl::string_view id) -> std::optional<std::string> {
            const tenancy::Tenant* const tenant = snapshot->FindTenant(id);
            if (tenant == nullptr) return std::nullopt;
            return tenant->uid;
          },
          absl::Now());
      return view.status();
    };
    const absl::Status status = co_await blocking_.Run(scan);
    NoteScan(status);
    scan_at_ = absl::Now() + options_.rescan_interval;
    if (!status.ok()) co_return;
    NoteOwners();
    if (!(*view)->settled) scan_at_ = absl::Now() + kLookAgain;
    if (*view == view_) co_return;
    view_ = *std::move(view);
    changed_ = true;
    std::set<std::string> errors(view_->errors.begin(), view_->errors.end());
    metrics_.source_errors.Set(static_cast<double>(errors.size()));
    LogFresh("rule directory", errors_, errors);
    errors_ = std::move(errors);
  }

  void NoteScan(const absl::Status& status) {
    sync::MutexLock lock(&mutex_);
    if (!status.ok()) {
      metrics_.scan_failures.Increment();
      if (scanned_.message() != status.message()) {
        logging::Error("the rule directory can't be read, what was read stays",
                       {{"err", status}});
      }
    } else if (!scanned_.ok() && failed_) {
      logging::Info("the rule directory can be read");
    }
    failed_ = !status.ok();
    scanned_ = status.ok() ? absl::OkStatus()
                           : absl::UnavailableError(status.message());
  }

  // What can't be made durable holds until the process ends.
  void NoteOwners() {
    const absl::Status& saved = source_.owners_saved();
    if (!saved.ok()) {
      metrics_.ledger_failures.Increment();
      if (owners_saved_.ok()) {
        logging::Error("whose each rule file is can't be written",
                       {{"err", saved}});
      }
    }
    owners_saved_ = saved;
  }

  // Tells the dispatcher what must be there now.
  asio::awaitable<void> Compare() {
    changed_ = false;
    std::shared_ptr<const Desired> desired;
    const auto compile = [this, &desired, snapshot = snapshot_, view = view_] {
      desired = compiler_.Compile(*snapshot, *view);
      return absl::OkStatus();
    };
    const absl::Status compiled = co_await blocking_.Run(compile);
    if (!compiled.ok()) {
      logging::Warn("rules are not compared yet", {{"err", compiled}});
      changed_ = true;
      co_return;
    }
    NoteRefusals(*desired);
    std::vector<UnitSpec> added = dispatcher_->NewUnits(*desired);
    std::vector<std::string> none;
    co_await ChangeLedger(std::move(added), std::move(none));
    if (stopped_) co_return;
    desired_ = std::move(desired);
    dispatcher_->Update(desired_);
  }

  void NoteRefusals(const Desired& desired) {
    std::set<std::string> refusals;
    size_t refused = 0;
    for (const auto& [id, tenant] : desired.tenants) {
      for (const auto& file : tenant.files) {
        for (const RefusedGroup& group : file->checked.refused) {
          ++refused;
          if (refusals.size() >= 10'000) continue;  // Enough for a log.
          refusals.insert(absl::StrCat(id, "/", file->source, ":",
                                       group.problems[0].ToString()));
        }
      }
    }
    metrics_.refused.Set(static_cast<double>(refused));
    LogFresh("rules refused", refusals_, refusals);
    refusals_ = std::move(refusals);
  }

  asio::awaitable<void> ForgetUnits() {
    std::vector<std::string> forgotten = dispatcher_->TakeForgotten();
    std::vector<UnitSpec> none;
    co_await ChangeLedger(std::move(none), std::move(forgotten));
  }

  // A ledger that can't be written does not keep rules from their evaluator.
  asio::awaitable<void> ChangeLedger(std::vector<UnitSpec> added,
                                     std::vector<std::string> forgotten) {
    if (added.empty() && forgotten.empty()) co_return;
    const auto change = [this, &added, &forgotten] {
      return ledger_.Change(added, forgotten);
    };
    const absl::Status status = co_await blocking_.Run(change);
    if (status.ok()) co_return;
    metrics_.ledger_failures.Increment();
    logging::Error("the ledger of targets can't be written", {{"err", status}});
  }

  asio::awaitable<std::optional<ListedRules>> ListHere(std::string tenant_id) {
    if (desired_ == nullptr) co_return std::nullopt;
    ListedRules listed;
    const auto it = desired_->tenants.find(tenant_id);
    if (it == desired_->tenants.end()) co_return listed;
    const TenantRules& tenant = it->second;
    listed.target_id = tenant.target_id;
    for (const auto& file : tenant.files) {
      for (const CheckedGroup& group : file->checked.groups) {
        listed.groups.push_back(
            {file, &group, nullptr,
             dispatcher_->ProgressOf(tenant.unit_id,
                                     {tenant.uid, file->stem, group.group.name},
                                     group.digest)});
      }
      for (const RefusedGroup& refused : file->checked.refused) {
        listed.groups.push_back({file, nullptr, &refused, {}});
      }
    }
    co_return listed;
  }

  const ReconcilerOptions options_;
  // Of the blocking pool, while one of the coroutines below waits for it.
  RuleSource source_;
  Compiler compiler_;
  Ledger ledger_;
  runtime::BlockingPool& blocking_;
  Metrics& metrics_;
  std::promise<void> ended_;

  mutable sync::Mutex mutex_;
  absl::Status scanned_ ABSL_GUARDED_BY(mutex_) =
      absl::UnavailableError("the rule directory has not been read yet");

  bool failed_ ABSL_GUARDED_BY(mutex_) = false;  // The last scan.

  // Of the strand.
  Dispatcher::Strand strand_;
  asio::steady_timer wake_;
  const std::shared_ptr<Dispatcher> dispatcher_;
  std::shared_ptr<const tenancy::Snapshot> snapshot_;
  std::shared_ptr<const SourceView> view_;
  std::shared_ptr<const Desired> desired_;
  absl::Status owners_saved_;
  std::set<std::string> errors_;
  std::set<std::string> refusals_;
  absl::Time scan_at_ = absl::InfinitePast();
  bool changed_ = false;
  bool stopped_ = false;
};

Reconciler::Reconciler(ReconcilerOptions options, Ledger ledger,
                       FileOwners owners, Dispatcher::MakeTarget make_target,
                       asio::any_io_executor executor,
                       runtime::BlockingPool* blocking, Metrics* metrics)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(ledger),
                                   std::move(owners), std::move(make_target),
                                   std::move(executor), blocking, metrics)) {
  impl_->Start();
}

Reconciler::~Reconciler() { impl_->Stop(); }

void Reconciler::Follow(std::shared_ptr<const tenancy::Snapshot> snapshot) {
  impl_->Follow(std::move(snapshot));
}

void Reconciler::Rescan() { impl_->Rescan(); }

absl::Status Reconciler::DirectoryReady() const {
  return impl_->DirectoryReady();
}

asio::awaitable<std::optional<ListedRules>> Reconciler::List(
    std::string tenant_id) {
  return impl_->List(std::move(tenant_id));
}

}  // namespace insula::rule_sync
