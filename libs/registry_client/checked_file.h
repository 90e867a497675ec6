// A file of messages, each with its length before it, that ends in the SHA-256
// of everything before.
#pragma once

#include <google/protobuf/message_lite.h>
#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace insula::registry_client {

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

// "what 'path': reason of errno", with the code for it: NOT_FOUND for ENOENT.
absl::Status ErrnoStatus(absl::string_view what, absl::string_view path);

class Sha256 {
 public:
  static constexpr size_t kSize = 32;
  Sha256();
  void Update(absl::string_view bytes);
  std::string Finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// Writes a new file, of mode 0600.
class CheckedFileWriter {
 public:
  // Replaces what is at `path`.
  static absl::StatusOr<CheckedFileWriter> Create(std::string path,
                                                  absl::string_view magic);

  absl::Status Append(const google::protobuf::MessageLite& message);
  // Writes the sum; the file is on disk when this returns OK.
  absl::Status Finish();

 private:
  CheckedFileWriter(std::string path, Descriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}
  absl::Status Flush();

  std::string path_;
  Descriptor file_;
  std::string buffer_;
  Sha256 sum_;
};

// Reads such a file from its beginning. Nothing that was read may be used
// before Finish() has returned OK.
class CheckedFileReader {
 public:
  // DATA_LOSS if the file does not begin with `magic`.
  static absl::StatusOr<CheckedFileReader> Open(std::string path,
                                                absl::string_view magic);

  // The next message. DATA_LOSS if it is longer than `max_bytes`, cut off or
  // malformed.
  absl::Status Next(google::protobuf::MessageLite* message, size_t max_bytes);

  // DATA_LOSS unless only the right sum follows.
  absl::Status Finish();

 private:
  CheckedFileReader(std::string path, Descriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}
  // The next `size` bytes, valid until the next call.
  absl::StatusOr<absl::string_view> Take(size_t size);
  absl::Status Damaged(absl::string_view how) const;

  std::string path_;
  Descriptor file_;
  std::string buffer_;
  size_t used_ = 0;  // Of buffer_.
  Sha256 sum_;
};

}  // namespace insula::registry_client
