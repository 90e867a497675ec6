// A library to preload, for tests of what survives a power cut or a bad disk.
//
// POWER_SHIM_LOG=FILE    appends a line "INODE SIZE" whenever a file has been
//                        synced: so many bytes of it are on the disk. Whoever
//                        kills the process then cuts its files to that.
// POWER_SHIM_MODE=FILE   its text is looked at before each call: "eio" makes
//                        syncs fail with EIO, "enospc" writes with ENOSPC,
//                        "lie" lets syncs of *.log files do nothing and say
//                        that all is well, as a program would that does not
//                        wait for them; "die WHERE N" kills the process the
//                        N-th time that it comes to WHERE: before or behind a
//                        write to a *.log ("log-write", "log-written"), a sync
//                        of one ("log", "log-done") or of another file
//                        ("table", "table-done"), or before a file is renamed
//                        ("rename") or unlinked ("unlink").
//
// A file of which there is no line was never synced: nothing of it is there.
// The number of a file that is unlinked may be given to another one: "INODE 0".
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using SyncFunction = int(int);
using WriteFunction = ssize_t(int, const void*, size_t);
using UnlinkFunction = int(const char*);
using RenameFunction = int(const char*, const char*);
using PwriteFunction = ssize_t(int, const void*, size_t, off_t);

SyncFunction* real_fsync;
SyncFunction* real_fdatasync;
WriteFunction* real_write;
PwriteFunction* real_pwrite;
UnlinkFunction* real_unlink;
RenameFunction* real_rename;
int log_fd = -1;

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

__attribute__((constructor)) void Begin() {
  real_fsync = Next<SyncFunction>("fsync");
  real_fdatasync = Next<SyncFunction>("fdatasync");
  real_write = Next<WriteFunction>("write");
  real_pwrite = Next<PwriteFunction>("pwrite");
  real_unlink = Next<UnlinkFunction>("unlink");
  real_rename = Next<RenameFunction>("rename");
  const char* const path = std::getenv("POWER_SHIM_LOG");
  if (path != nullptr) {
    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
}

struct Mode {
  char text[32] = {};
};

Mode ReadMode() {
  Mode mode;
  const char* const path = std::getenv("POWER_SHIM_MODE");
  if (path == nullptr) return mode;
  const int saved = errno;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (read(fd, mode.text, sizeof(mode.text) - 1) < 0) mode.text[0] = 0;
    close(fd);
  }
  errno = saved;
  return mode;
}

bool ModeIs(const char* name) {
  return std::strncmp(ReadMode().text, name, std::strlen(name)) == 0;
}

std::atomic<int> arrivals = 0;  // At the place to die.

bool MayDie() { return ModeIs("die"); }

void ComeTo(const char* place) {
  const Mode mode = ReadMode();
  char where[16];
  int number = 0;
  if (std::sscanf(mode.text, "die %15s %d", where, &number) == 2 &&
      std::strcmp(where, place) == 0 && ++arrivals == number) {
    kill(getpid(), SIGKILL);
    pause();
  }
}

bool IsLog(int fd) {
  char link[32];
  char path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path));
  return size > 4 && std::memcmp(path + size - 4, ".log", 4) == 0;
}

void Note(const struct stat& about, off_t size) {
  if (log_fd < 0 || !S_ISREG(about.st_mode)) return;
  char line[64];
  const int length =
      std::snprintf(line, sizeof(line), "%llu %llu\n",
                    static_cast<unsigned long long>(about.st_ino),
                    static_cast<unsigned long long>(size));
  if (real_write(log_fd, line, static_cast<size_t>(length)) != length) abort();
}

int Sync(int fd, SyncFunction* sync) {
  if (ModeIs("eio")) {
    errno = EIO;
    return -1;
  }
  const bool is_log = IsLog(fd);
  if (ModeIs("lie") && is_log) return 0;
  ComeTo(is_log ? "log" : "table");
  struct stat before;  // What is written from here on may miss this sync.
  const bool known = fstat(fd, &before) == 0;
  const int result = sync(fd);
  if (result == 0 && known) Note(before, before.st_size);
  ComeTo(is_log ? "log-done" : "table-done");
  return result;
}

// Regular files only: pipes and sockets have no disk. Nor is it for what is
// said of it.
bool IsFull(int fd) {
  struct stat about;
  return fd > STDERR_FILENO && fd != log_fd && ModeIs("enospc") &&
         fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

}  // namespace

extern "C" {

int fsync(int fd) { return Sync(fd, real_fsync); }
int fdatasync(int fd) { return Sync(fd, real_fdatasync); }

int rename(const char* from, const char* to) {
  ComeTo("rename");
  return real_rename(from, to);
}

int unlink(const char* path) {
  ComeTo("unlink");
  struct stat before;
  const bool last = lstat(path, &before) == 0 && before.st_nlink == 1;
  // Before it is gone: who gets its number syncs later.
  if (last) Note(before, 0);
  return real_unlink(path);
}

ssize_t write(int fd, const void* data, size_t size) {
  if (IsFull(fd)) {
    errno = ENOSPC;
    return -1;
  }
  if (!MayDie() || !IsLog(fd)) return real_write(fd, data, size);
  ComeTo("log-write");
  const ssize_t written = real_write(fd, data, size);
  ComeTo("log-written");
  return written;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (IsFull(fd)) {
    errno = ENOSPC;
    return -1;
  }
  return real_pwrite(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}

}  // extern "C"
