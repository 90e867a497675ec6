#include "libs/registry_client/checked_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_macros.h"

namespace insula::registry_client {
namespace {

constexpr size_t kBlockBytes = 256 << 10;

void AppendVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ErrnoStatus(absl::string_view what, absl::string_view path) {
  const int error = errno;
  return absl::ErrnoToStatus(error, absl::StrCat(what, " '", path, "'"));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void Sha256::Update(absl::string_view bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Sha256::Finish() {
  std::string sum(kSize, '\0');
  EVP_DigestFinal_ex(context_.get(),
                     reinterpret_cast<unsigned char*>(sum.data()), nullptr);
  return sum;
}

absl::StatusOr<CheckedFileWriter> CheckedFileWriter::Create(
    std::string path, absl::string_view magic) {
  // A new file, so that nobody else has it open or has chosen its mode.
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("removing", path);
  }
  Descriptor file(open(path.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       0600));
  if (file.get() < 0) return ErrnoStatus("creating", path);
  CheckedFileWriter writer(std::move(path), std::move(file));
  writer.buffer_.assign(magic.data(), magic.size());
  return writer;
}

absl::Status CheckedFileWriter::Append(
    const google::protobuf::MessageLite& message) {
  AppendVarint(&buffer_, message.ByteSizeLong());
  if (!message.AppendToString(&buffer_)) {
    return absl::InternalError("a message can't be serialized");
  }
  return buffer_.size() < kBlockBytes ? absl::OkStatus() : Flush();
}

absl::Status CheckedFileWriter::Flush() {
  sum_.Update(buffer_);
  for (absl::string_view rest = buffer_; !rest.empty();) {
    const ssize_t written = write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("writing", path_);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status CheckedFileWriter::Finish() {
  RETURN_IF_ERROR(Flush());
  buffer_ = sum_.Finish();
  RETURN_IF_ERROR(Flush());
  if (fsync(file_.get()) != 0) return ErrnoStatus("syncing", path_);
  return absl::OkStatus();
}

absl::StatusOr<CheckedFileReader> CheckedFileReader::Open(
    std::string path, absl::string_view magic) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.get() < 0) return ErrnoStatus("opening", path);
  CheckedFileReader reader(std::move(path), std::move(file));
  ASSIGN_OR_RETURN(const absl::string_view begin, reader.Take(magic.size()));
  if (begin != magic) return reader.Damaged("is of another format");
  reader.sum_.Update(begin);
  return reader;
}

absl::StatusOr<absl::string_view> CheckedFileReader::Take(size_t size) {
  if (buffer_.size() - used_ < size) {
    buffer_.erase(0, used_);
    used_ = 0;
    size_t have = buffer_.size();
    buffer_.resize(std::max(size, kBlockBytes));
    while (have < buffer_.size()) {
      const ssize_t got =
          read(file_.get(), buffer_.data() + have, buffer_.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus("reading", path_);
      if (got == 0) break;
      have += static_cast<size_t>(got);
    }
    buffer_.resize(have);
    if (have < size) return Damaged("is cut off");
  }
  used_ += size;
  return absl::string_view(buffer_).substr(used_ - size, size);
}

absl::Status CheckedFileReader::Next(google::protobuf::MessageLite* message,
                                     size_t max_bytes) {
  uint64_t size = 0;
  for (int shift = 0;; shift += 7) {
    ASSIGN_OR_RETURN(const absl::string_view byte, Take(1));
    sum_.Update(byte);
    size |= static_cast<uint64_t>(byte[0] & 0x7f) << shift;
    if ((byte[0] & 0x80) == 0) break;
    if (shift >= 28) return Damaged("has a bad length");
  }
  if (size > max_bytes) return Damaged("has a bad length");
  ASSIGN_OR_RETURN(const absl::string_view bytes, Take(size));
  sum_.Update(bytes);
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Damaged("has a malformed message");
  }
  return absl::OkStatus();
}

absl::Status CheckedFileReader::Finish() {
  ASSIGN_OR_RETURN(const absl::string_view sum, Take(Sha256::kSize));
  if (sum != sum_.Finish()) return Damaged("does not match its checksum");
  if (Take(1).ok()) return Damaged("has more than belongs to it");
  return absl::OkStatus();
}

absl::Status CheckedFileReader::Damaged(absl::string_view how) const {
  return absl::DataLossError(absl::StrCat("file '", path_, "' ", how));
}

}  // namespace insula::registry_client
