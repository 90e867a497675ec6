#include "tests/e2e/harness/http.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace insula::e2e {
namespace {

// The chunks of a chunked body, joined. Nullopt while it is not complete.
std::optional<std::string> Dechunk(absl::string_view body) {
  std::string joined;
  while (true) {
    const size_t end = body.find("\r\n");
    if (end == body.npos) return std::nullopt;
    size_t size = 0;
    if (!absl::SimpleHexAtoi(body.substr(0, end), &size)) return std::nullopt;
    if (body.size() < end + 2 + size + 2) return std::nullopt;
    if (size == 0) return joined;
    absl::StrAppend(&joined, body.substr(end + 2, size));
    body.remove_prefix(end + 2 + size + 2);
  }
}

// Whether `raw` holds a complete answer; fills `*answer` then.
bool Parse(absl::string_view raw, bool closed, HttpAnswer* answer) {
  const size_t end = raw.find("\r\n\r\n");
  if (end == raw.npos || raw.size() < 12) return false;
  const absl::string_view head = raw.substr(0, end);
  const absl::string_view body = raw.substr(end + 4);
  std::optional<std::string> complete;
  size_t length = 0;
  if (absl::EqualsIgnoreCase(HeaderOf(head, "Transfer-Encoding"), "chunked")) {
    complete = Dechunk(body);
  } else if (absl::SimpleAtoi(HeaderOf(head, "Content-Length"), &length)) {
    if (body.size() >= length) complete = std::string(body.substr(0, length));
  } else if (closed || absl::StrContains(head.substr(0, 13), " 204")) {
    complete = std::string(body);
  }
  if (!complete || !absl::SimpleAtoi(head.substr(9, 3), &answer->status)) {
    return false;
  }
  answer->head = std::string(head);
  answer->body = *std::move(complete);
  return true;
}

}  // namespace

std::string HeaderOf(absl::string_view head, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(parts.first, name)) {
      return std::string(absl::StripAsciiWhitespace(parts.second));
    }
  }
  return "";
}

int Connect(int port, absl::Duration timeout) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit = absl::ToTimeval(timeout);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    close(fd);
    return -1;
  }
  return fd;
}

HttpAnswer HttpSend(int port, absl::string_view method,
                    absl::string_view target, const HttpHeaders& headers,
                    absl::string_view body, absl::Duration timeout) {
  const int fd = Connect(port, timeout);
  if (fd < 0) return {};
  std::string request =
      absl::StrCat(method, " ", target, " HTTP/1.1\r\nHost: 127.0.0.1:", port,
                   "\r\nConnection: close\r\n");
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&request, name, ": ", value, "\r\n");
  }
  if (!body.empty() || method == "POST") {
    absl::StrAppend(&request, "Content-Length: ", body.size(), "\r\n");
  }
  absl::StrAppend(&request, "\r\n", body);
  absl::string_view rest = request;
  while (!rest.empty()) {
    const ssize_t sent = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    rest.remove_prefix(static_cast<size_t>(sent));
  }

  HttpAnswer answer;
  std::string raw;
  char buffer[16 << 10];
  ssize_t got = 0;
  while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    raw.append(buffer, static_cast<size_t>(got));
    if (Parse(raw, false, &answer)) break;
  }
  if (answer.status == 0) Parse(raw, got == 0, &answer);
  close(fd);
  return answer;
}

std::string FormEncode(
    const std::vector<std::pair<std::string, std::string>>& params) {
  std::string text;
  const auto append = [&text](absl::string_view part) {
    for (const char c : part) {
      if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
        text.push_back(c);
      } else {
        absl::StrAppendFormat(&text, "%%%02X", static_cast<unsigned char>(c));
      }
    }
  };
  for (const auto& [name, value] : params) {
    if (!text.empty()) text.push_back('&');
    append(name);
    text.push_back('=');
    append(value);
  }
  return text;
}

}  // namespace insula::e2e
