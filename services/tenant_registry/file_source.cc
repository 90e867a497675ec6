#include "services/tenant_registry/file_source.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/files/settled_file.h"
#include "libs/logging/logging.h"
#include "libs/resources/resource_file.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_macros.h"
#include "services/tenant_registry/source_plan.h"

namespace insula::tenant_registry {
namespace {

namespace asio = boost::asio;

constexpr absl::Duration kLookAgain = absl::Milliseconds(20);
constexpr size_t kChunkOperations = 50;
constexpr size_t kChunkBytes = 900 << 10;
constexpr size_t kMaxLoggedErrors = 20;

// Whether a refusal says something about the objects, and not about the moment.
bool IsAboutObjects(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
         absl::IsAborted(status);
}

struct File {
  std::string path;
  std::string source;
  std::optional<files::FileStamp> stamp;
  std::optional<resources::ResourceFile>
      content;             // The last one that could be read.
  std::string unreadable;  // Why the present one can't be.
  bool settled = true;
  bool tried = false;  // It was settled at least once.
  bool dirty = false;  // The content has not been compared yet.
  std::vector<SourceOperation> refused;
  size_t held_deletions = 0;
  std::set<std::string> reported;  // The errors that were logged.
};

}  // namespace

class FileSource::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(std::shared_ptr<Registry> registry, FileSourceOptions options,
       asio::any_io_executor executor, runtime::BlockingPool* blocking)
      : registry_(std::move(registry)),
        options_(std::move(options)),
        blocking_(blocking),
        strand_(asio::make_strand(std::move(executor))),
        wake_(strand_),
        inotify_(strand_) {
    std::set<std::string> sources;
    for (const std::string& path : options_.files) {
      File& file = files_.emplace_back();
      file.path = path;
      file.source = absl::StrCat("file:", path);
      sources.insert(file.source);
    }
    registry_->SetFiles(std::move(sources));
  }

  void Start() {
    asio::co_spawn(strand_, RunBoth(),
                   [self = shared_from_this()](std::exception_ptr) {
                     self->ended_.set_value();
                   });
  }
  void Stop() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stopped_ = true;
      self->wake_.cancel();
      boost::system::error_code ignored;
      self->inotify_.close(ignored);
    });
    ended_.get_future().wait();
  }
  void Reload() {
    asio::post(strand_, [self = shared_from_this()] { self->Trigger(); });
  }
  // Whether the import of each file has been tried, if need be after `timeout`.
  bool WaitUntilTried(absl::Duration timeout) const {
    return all_tried_.wait_for(absl::ToChronoNanoseconds(timeout)) ==
           std::future_status::ready;
  }

 private:
  asio::awaitable<void> RunBoth() {
    using namespace asio::experimental::awaitable_operators;  // NOLINT
    OpenInotify();
    co_await (Run() && ReadEvents());
  }

  void Trigger() {
    triggered_ = true;
    wake_.cancel();
  }

  asio::awaitable<void> Run() {
    while (!stopped_) {
      WatchDirectories();
      triggered_ = false;
      bool settled = true;
      bool tried = true;
      for (File& file : files_) {
        co_await Look(&file);
        settled = settled && file.settled;
        file.tried = file.tried || file.settled;
        tried = tried && file.tried;
      }
      co_await Reconcile();
      if (tried && !std::exchange(told_tried_, true)) tried_.set_value();
      if (triggered_ || stopped_) continue;
      wake_.expires_after(absl::ToChronoNanoseconds(
          settled ? options_.poll_interval : kLookAgain));
      co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

  // Directories are watched, not files: editors and ConfigMaps put another file
  // in the place of the old one.
  void OpenInotify() {
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
      logging::Warn("inotify is not available, files are polled",
                    {{"err", strerror(errno)}});
      return;
    }
    inotify_.assign(fd);
  }

  // Again and again: a directory may have been replaced.
  void WatchDirectories() {
    if (!inotify_.is_open()) return;
    for (const File& file : files_) {
      const std::filesystem::path directory =
          std::filesystem::path(file.path).parent_path();
      inotify_add_watch(
          inotify_.native_handle(), directory.empty() ? "." : directory.c_str(),
          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE);
    }
  }

  asio::awaitable<void> ReadEvents() {
    std::array<char, 4096> buffer;
    while (!stopped_ && inotify_.is_open()) {
      const auto [error, size] = co_await inotify_.async_read_some(
          asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
      if (error) co_return;
      Trigger();
    }
  }

  // Reads and parses a file that has changed.
  asio::awaitable<void> Look(File* file) {
    struct Result {
      absl::StatusOr<files::SettledFile> read = absl::UnknownError("not read");
      absl::StatusOr<resources::ResourceFile> parsed =
          absl::UnknownError("not parsed");
    };
    const auto result = std::make_shared<Result>();
    auto work = [result, path = file->path, stamp = file->stamp] {
      files::SettledFileOptions options;
      options.max_bytes = resources::kMaxResourceFileBytes;
      result->read = files::ReadSettledFile(path, stamp, options, absl::Now());
      if (result->read.ok() && result->read->text.has_value()) {
        result->parsed =
            resources::ParseResourceFile(*result->read->text, path);
      }
      return absl::OkStatus();
    };
    const absl::Status ran = co_await blocking_->Run(work);
    if (!ran.ok()) result->read = ran;
    if (!result->read.ok()) {
      file->unreadable = std::string(result->read.status().message());
      file->stamp.reset();
      file->settled = true;
      co_return;
    }
    file->settled = result->read->settled;
    if (!result->read->text.has_value()) co_return;
    file->stamp = result->read->stamp;
    if (result->parsed.ok()) {
      file->content = *std::move(result->parsed);
      file->unreadable.clear();
      file->dirty = true;
    } else {
      file->unreadable = std::string(result->parsed.status().message());
    }
  }

  asio::awaitable<void> Reconcile() {
    for (File& file : files_) {
      if (!file.content.has_value()) continue;
      if (!file.dirty && file.refused.empty()) continue;
      SourcePlan plan =
          PlanSource(*file.content, file.path, PresentOf(file.source),
                     options_.max_deletion_percent);
      file.dirty = false;
      file.refused = std::move(plan.operations);
      file.held_deletions = plan.held_deletions;
    }
    // What one file lacks another one may bring, so as long as there is
    // progress, everybody gets another chance.
    bool progress = true;
    while (progress && !stopped_) {
      progress = false;
      for (File& file : files_) {
        if (file.refused.empty()) continue;
        std::vector<SourceOperation> operations = std::move(file.refused);
        file.refused.clear();
        const size_t before = operations.size();
        co_await ApplyAll(&file, std::move(operations));
        progress = progress || file.refused.size() < before;
      }
    }
    Report();
  }

  std::vector<ObjectPtr> PresentOf(const std::string& source) const {
    std::vector<ObjectPtr> present;
    const auto view = registry_->CurrentView();
    for (const ObjectPtr& object : view->objects) {
      if (object->meta().source() == source) present.push_back(object);
    }
    return present;
  }

  // Applies in chunks; what is refused ends up in file->refused.
  asio::awaitable<void> ApplyAll(File* file,
                                 std::vector<SourceOperation> operations) {
    std::vector<SourceOperation> chunk;
    size_t bytes = 0;
    for (SourceOperation& operation : operations) {
      const size_t size = operation.operation.ByteSizeLong() + 16;
      if (chunk.size() == kChunkOperations ||
          (!chunk.empty() && bytes + size > kChunkBytes)) {
        co_await ApplyChunk(file, std::move(chunk));
        chunk.clear();
        bytes = 0;
      }
      chunk.push_back(std::move(operation));
      bytes += size;
    }
    if (!chunk.empty()) co_await ApplyChunk(file, std::move(chunk));
  }

  // Halves a refused chunk until the bad operations stand alone.
  asio::awaitable<void> ApplyChunk(File* file,
                                   std::vector<SourceOperation> chunk) {
    ApplyCommand command;
    command.source = file->source;
    command.actor = file->source;
    for (const SourceOperation& operation : chunk) {
      *command.request.add_operations() = operation.operation;
    }
    const absl::StatusOr<int64_t> applied =
        co_await registry_->Apply(std::move(command));
    if (applied.ok()) {
      logging::Info("file imported", {{"file", file->path},
                                      {"operations", chunk.size()},
                                      {"revision", *applied}});
      co_return;
    }
    if (chunk.size() == 1 || !IsAboutObjects(applied.status())) {
      for (SourceOperation& operation : chunk) {
        operation.error = std::string(applied.status().message());
        file->refused.push_back(std::move(operation));
      }
      co_return;
    }
    const auto middle =
        chunk.begin() + static_cast<ptrdiff_t>(chunk.size() / 2);
    std::vector<SourceOperation> rest(std::make_move_iterator(middle),
                                      std::make_move_iterator(chunk.end()));
    chunk.erase(middle, chunk.end());
    co_await ApplyChunk(file, std::move(chunk));
    co_await ApplyChunk(file, std::move(rest));
  }

  static std::set<std::string> ErrorsOf(const File& file) {
    std::set<std::string> errors;
    if (!file.unreadable.empty()) errors.insert(file.unreadable);
    if (file.content.has_value()) {
      errors.insert(file.content->errors.begin(), file.content->errors.end());
    }
    for (const SourceOperation& operation : file.refused) {
      errors.insert(absl::StrCat(operation.where, ": ", operation.error));
    }
    if (file.held_deletions > 0) {
      errors.insert(absl::StrCat(
          file.path, ": ", file.held_deletions,
          " objects are no longer in the file, too many to be meant; they are "
          "kept. Raise sources.max_deletion_percent if it is right"));
    }
    return errors;
  }

  // Counts the errors there are, and logs the new ones.
  void Report() {
    size_t errors = 0;
    size_t held = 0;
    for (File& file : files_) {
      std::set<std::string> present = ErrorsOf(file);
      size_t logged = 0;
      for (const std::string& error : present) {
        if (file.reported.contains(error)) continue;
        if (++logged > kMaxLoggedErrors) continue;
        logging::Warn("file source", {{"file", file.path}, {"err", error}});
      }
      if (logged > kMaxLoggedErrors) {
        logging::Warn(
            "file source: further errors",
            {{"file", file.path}, {"count", logged - kMaxLoggedErrors}});
      }
      errors += present.size();
      held += file.held_deletions;
      file.reported = std::move(present);
    }
    registry_->metrics().source_errors.Set(static_cast<double>(errors));
    registry_->metrics().source_held_deletions.Set(static_cast<double>(held));
  }

  const std::shared_ptr<Registry> registry_;
  const FileSourceOptions options_;
  runtime::BlockingPool* const blocking_;
  asio::strand<asio::any_io_executor> strand_;
  std::promise<void> tried_;
  const std::shared_future<void> all_tried_ = tried_.get_future().share();
  std::promise<void> ended_;

  // Of the strand.
  asio::steady_timer wake_;
  asio::posix::stream_descriptor inotify_;
  std::vector<File> files_;
  bool told_tried_ = false;
  bool triggered_ = false;
  bool stopped_ = false;
};

FileSource::FileSource(std::shared_ptr<Registry> registry,
                       FileSourceOptions options,
                       asio::any_io_executor executor,
                       runtime::BlockingPool* blocking)
    : impl_(std::make_shared<Impl>(std::move(registry), std::move(options),
                                   std::move(executor), blocking)) {
  impl_->Start();
}

FileSource::~FileSource() { impl_->Stop(); }

absl::Status FileSource::Ready() const {
  return WaitUntilReady(absl::ZeroDuration());
}

absl::Status FileSource::WaitUntilReady(absl::Duration timeout) const {
  if (impl_->WaitUntilTried(timeout)) return absl::OkStatus();
  return absl::UnavailableError("the resource files are still being read");
}

void FileSource::Reload() { impl_->Reload(); }

}  // namespace insula::tenant_registry
