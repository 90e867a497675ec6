#include "libs/files/write_all.h"

#include <unistd.h>

#include <cerrno>

namespace insula::files {

size_t WriteAll(int descriptor, absl::string_view text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written =
        write(descriptor, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;  // It says nothing itself.
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  return done;
}

}  // namespace insula::files
