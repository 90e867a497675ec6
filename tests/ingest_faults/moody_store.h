// A store that fails in the ways that networks and stores do, below HTTP too.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace insula::ingest_faults {

// What becomes of a write. What is not said to be taken is not.
enum class Mood {
  kWell,         // 204; taken.
  kBusy,         // 429 with Retry-After: 1.
  kFails,        // 503.
  kHangs,        // No answer while the mood lasts, then a reset.
  kResets,       // A reset instead of an answer.
  kHalfAnswers,  // The first bytes of a 204, then the end.
  kLosesAnswer,  // Taken, and then a reset.
};
constexpr int kMoods = 7;

// Listens on a port of 127.0.0.1, a thread for each connection. A mood belongs
// to the value of X-Scope-OrgID. Thread-safe.
class MoodyStore {
 public:
  MoodyStore();
  ~MoodyStore();

  std::string url() const;
  void SetMood(const std::string& tenant, Mood mood);

  struct Taken {
    std::string tenant;
    std::string body;
  };
  // What it has taken since it was last asked.
  std::vector<Taken> Take();
  // Writes that came in a mood.
  int CountOf(Mood mood) const;

 private:
  void Accept();
  void Serve(int fd);
  bool ServeOne(int fd, std::string* input);
  bool Answer(int fd, const std::string& tenant, const std::string& body);
  Mood MoodOf(const std::string& tenant) const;

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::map<std::string, Mood> moods_;
  std::map<Mood, int> counts_;
  std::vector<Taken> taken_;
  std::map<int, std::thread> connections_;  // By socket.
  std::vector<std::thread> ended_;
  std::thread acceptor_;
};

}  // namespace insula::ingest_faults
