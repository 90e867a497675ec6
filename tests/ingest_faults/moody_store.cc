#include "tests/ingest_faults/moody_store.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/harness/http.h"

namespace insula::ingest_faults {
namespace {

bool ReadMore(int fd, std::string* input) {
  char buffer[16 << 10];
  const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  input->append(buffer, static_cast<size_t>(got));
  return true;
}

bool SendAll(int fd, absl::string_view text) {
  const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(text.size());
}

// Makes the end of the connection a reset.
bool Reset(int fd) {
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  return false;
}

}  // namespace

MoodyStore::MoodyStore() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 128) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    std::perror("the moody store");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

MoodyStore::~MoodyStore() {
  stop_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  std::map<int, std::thread> open;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [fd, thread] : connections_) shutdown(fd, SHUT_RDWR);
    open.swap(connections_);
  }
  for (auto& [fd, thread] : open) thread.join();
  for (std::thread& thread : ended_) thread.join();
}

std::string MoodyStore::url() const {
  return absl::StrCat("http://127.0.0.1:", port_, "/api/v1/push");
}

void MoodyStore::SetMood(const std::string& tenant, Mood mood) {
  const std::lock_guard<std::mutex> lock(mutex_);
  moods_[tenant] = mood;
}

std::vector<MoodyStore::Taken> MoodyStore::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(taken_, {});
}

int MoodyStore::CountOf(Mood mood) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = counts_.find(mood);
  return it == counts_.end() ? 0 : it->second;
}

Mood MoodyStore::MoodOf(const std::string& tenant) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = moods_.find(tenant);
  return it == moods_.end() ? Mood::kWell : it->second;
}

void MoodyStore::Accept() {
  while (!stop_) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    std::vector<std::thread> ended;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended.swap(ended_);
      connections_[fd] = std::thread([this, fd] { Serve(fd); });
    }
    for (std::thread& thread : ended) thread.join();
  }
}

void MoodyStore::Serve(int fd) {
  std::string input;
  while (!stop_ && ServeOne(fd, &input)) {
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto self = connections_.find(fd);
  if (self != connections_.end()) {  // Else it is being joined.
    ended_.push_back(std::move(self->second));
    connections_.erase(self);
  }
  close(fd);
}

bool MoodyStore::ServeOne(int fd, std::string* input) {
  size_t end;
  while ((end = input->find("\r\n\r\n")) == std::string::npos) {
    if (!ReadMore(fd, input)) return false;
  }
  const std::string head = input->substr(0, end);
  size_t length = 0;
  if (!absl::SimpleAtoi(e2e::HeaderOf(head, "Content-Length"), &length)) {
    return Reset(fd);  // The gateway always says it.
  }
  while (input->size() < end + 4 + length) {
    if (!ReadMore(fd, input)) return false;
  }
  const std::string body = input->substr(end + 4, length);
  input->erase(0, end + 4 + length);
  return Answer(fd, e2e::HeaderOf(head, "X-Scope-OrgID"), body);
}

bool MoodyStore::Answer(int fd, const std::string& tenant,
                        const std::string& body) {
  const Mood mood = MoodOf(tenant);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counts_[mood];
    if (mood == Mood::kWell || mood == Mood::kLosesAnswer) {
      taken_.push_back({tenant, body});
    }
  }
  switch (mood) {
    case Mood::kWell:
      return SendAll(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    case Mood::kBusy:
      return SendAll(fd,
                     "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n"
                     "Content-Length: 0\r\n\r\n");
    case Mood::kFails:
      return SendAll(fd,
                     "HTTP/1.1 503 Service Unavailable\r\n"
                     "Content-Length: 4\r\n\r\nbusy");
    case Mood::kHangs:
      while (!stop_ && MoodOf(tenant) == Mood::kHangs) {
        pollfd about{fd, POLLIN | POLLRDHUP, 0};
        // Until the gateway gives up, or it is time to look at the mood.
        if (poll(&about, 1, 20) > 0) return false;
      }
      return Reset(fd);
    case Mood::kHalfAnswers:
      SendAll(fd, "HTTP/1.1 204 No Content\r\nContent-Le");
      return false;
    case Mood::kResets:
    case Mood::kLosesAnswer:
      break;
  }
  return Reset(fd);
}

}  // namespace insula::ingest_faults
