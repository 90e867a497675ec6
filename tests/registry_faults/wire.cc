#include "tests/registry_faults/wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/harness/http.h"

namespace insula::registry_faults::wire {
namespace {

enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6
};
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr int kSilenceMs = 300;

std::string Frame(Type type, uint8_t flags, uint32_t stream,
                  absl::string_view payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame.push_back(static_cast<char>(size >> shift & 0xff));
  }
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) {
    frame.push_back(static_cast<char>(stream >> shift & 0xff));
  }
  return absl::StrCat(frame, payload);
}

// A string of HPACK: its length begins in seven bits.
std::string Text(absl::string_view text) {
  std::string bytes;
  if (text.size() < 127) {
    bytes.push_back(static_cast<char>(text.size()));
  } else {
    bytes.push_back(127);
    AppendVarint(text.size() - 127, &bytes);
  }
  return absl::StrCat(bytes, text);
}

}  // namespace

void AppendVarint(uint64_t value, std::string* to) {
  while (value >= 0x80) {
    to->push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  to->push_back(static_cast<char>(value));
}

std::string Preface() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Settings();
}
std::string Settings() { return Frame(kSettings, 0, 0, ""); }
std::string Ping() { return Frame(kPing, 0, 0, "12345678"); }

std::string Headers(uint32_t stream, absl::string_view path) {
  const std::pair<absl::string_view, absl::string_view> fields[] = {
      {":method", "POST"},      {":scheme", "http"},
      {":path", path},          {":authority", "registry"},
      {"te", "trailers"},       {"content-type", "application/grpc"},
      {"grpc-encoding", "gzip"}};
  std::string block;
  for (const auto& [name, value] : fields) {
    block.push_back('\0');  // Literal, not to be remembered.
    absl::StrAppend(&block, Text(name), Text(value));
  }
  return Frame(kHeaders, kEndHeaders, stream, block);
}

std::string Data(uint32_t stream, absl::string_view bytes, bool last) {
  return Frame(kData, last ? kEndStream : 0, stream, bytes);
}

std::string Reset(uint32_t stream) {
  return Frame(kReset, 0, stream, absl::string_view("\0\0\0\x08", 4));
}

bool Converse(int port, absl::string_view bytes) {
  const int fd = e2e::Connect(port);
  if (fd < 0) return false;
  const absl::Cleanup at_exit = [fd] { close(fd); };
  bool sending = true;
  while (true) {
    if (sending && bytes.empty()) {
      shutdown(fd, SHUT_WR);
      sending = false;
    }
    pollfd poll_fd{fd, static_cast<short>(sending ? POLLIN | POLLOUT : POLLIN),
                   0};
    if (poll(&poll_fd, 1, kSilenceMs) <= 0) return true;
    if ((poll_fd.revents & POLLOUT) != 0) {
      const ssize_t sent =
          send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      if (sent < 0) sending = false;
    }
    if ((poll_fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char buffer[4096];
      if (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) <= 0) return true;
    }
  }
}

}  // namespace insula::registry_faults::wire
