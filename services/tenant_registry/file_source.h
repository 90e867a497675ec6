// Imports resource files into the registry and follows their changes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/runtime/blocking_pool.h"
#include "services/tenant_registry/registry.h"

namespace insula::tenant_registry {

struct FileSourceOptions {
  std::vector<std::string> files;
  // More vanished objects than that, and more than 10, are kept until the limit
  // is raised or the file names them again.
  int max_deletion_percent = 20;
  // Changes are seen at once by inotify; this finds what it misses (network
  // file systems, links that lead elsewhere) and tries refused objects again.
  absl::Duration poll_interval = absl::Seconds(5);
};

// Each file is a source of its own, "file:PATH". An invalid object is refused,
// its last good version stays, and so does the rest of the file; a file that
// can't be read keeps its objects. Objects may refer to ones in other files.
// Thread-safe.
class FileSource {
 public:
  // Starts to import. `blocking` outlives the source.
  FileSource(std::shared_ptr<Registry> registry, FileSourceOptions options,
             boost::asio::any_io_executor executor,
             runtime::BlockingPool* blocking);

  // Ends, and waits for a change that is being made. Blocks.
  ~FileSource();

  // For /readyz: OK once the import of each file has been tried, whatever was
  // in it. A file that is being written is tried when that is over.
  absl::Status Ready() const;

  // Waits for Ready(), or gives up after `timeout`. Blocks.
  absl::Status WaitUntilReady(absl::Duration timeout) const;

  // Looks at the files now.
  void Reload();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace insula::tenant_registry
