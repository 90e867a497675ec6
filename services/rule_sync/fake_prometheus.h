// A Prometheus for tests, as far as rule files go: reloads all or nothing, and
// shows what it has.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/http/message.h"
#include "libs/http/server.h"
#include "libs/metrics/metrics.h"
#include "libs/rules/rule_file.h"
#include "libs/sync/mutex.h"

namespace insula::rule_sync {

// Thread-safe. It refuses to load files that contain REFUSE_ME.
class FakePrometheus {
 public:
  FakePrometheus(boost::asio::any_io_executor executor,
                 metrics::Registry* metrics, std::string directory)
      : directory_(std::move(directory)) {
    http::ServerOptions options;
    options.name = "prometheus";
    server_ = *http::Server::Start(
        options, std::move(executor),
        [this](http::Request request) { return Answer(this, request.target); },
        metrics);
  }

  std::string url() const {
    return absl::StrCat("http://", server_->address());
  }

  // What it answers to a reload, or to the question for its rules, if not 0.
  void SetReloadStatus(int status) {
    sync::MutexLock lock(&mutex_);
    reload_status_ = status;
  }
  void SetRulesStatus(int status) {
    sync::MutexLock lock(&mutex_);
    rules_status_ = status;
  }

  // Starts anew. False if it can't, because of a file that it refuses.
  bool Restart() {
    sync::MutexLock lock(&mutex_);
    loaded_.clear();
    return Load();
  }

  // "FILE/GROUP" of all that it has loaded.
  std::vector<std::string> Loaded() const {
    sync::MutexLock lock(&mutex_);
    std::vector<std::string> names;
    for (const auto& [file, groups] : loaded_) {
      for (const rules::Group& group : groups) {
        names.push_back(absl::StrCat(file, "/", group.name));
      }
    }
    return names;
  }
  int reloads() const {
    sync::MutexLock lock(&mutex_);
    return reloads_;
  }
  bool last_reload_ok() const {
    sync::MutexLock lock(&mutex_);
    return last_reload_ok_;
  }

 private:
  static boost::asio::awaitable<http::Response> Answer(FakePrometheus* self,
                                                       std::string target) {
    sync::MutexLock lock(&self->mutex_);
    if (target == "/-/reload") co_return self->Reload();
    if (target == "/api/v1/rules") co_return self->Show();
    co_return http::TextResponse(404, "404 page not found");
  }

  http::Response Reload() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++reloads_;
    if (reload_status_ != 0) {
      last_reload_ok_ = false;
      return http::TextResponse(reload_status_, "not now");
    }
    last_reload_ok_ = Load();
    if (last_reload_ok_) return http::TextResponse(200, "");
    return http::TextResponse(
        500,
        "failed to reload config: one or more errors occurred while "
        "applying the new configuration\n");
  }

  bool Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::map<std::string, std::vector<rules::Group>> next;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().extension() != ".yaml") continue;
      std::ifstream file(entry.path());
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      rules::ParsedFile parsed = rules::Parse(text);
      if (!parsed.ok() || absl::StrContains(text, "REFUSE_ME")) return false;
      next[entry.path().filename()] = std::move(parsed.groups);
    }
    loaded_ = std::move(next);
    return true;
  }

  http::Response Show() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (rules_status_ != 0) return http::TextResponse(rules_status_, "no");
    nlohmann::json groups = nlohmann::json::array();
    for (const auto& [file, loaded] : loaded_) {
      for (const rules::Group& group : loaded) {
        nlohmann::json members = nlohmann::json::array();
        for (const rules::Rule& rule : group.rules) {
          nlohmann::json member = {{"name", rule.name()},
                                   {"query", rule.expr},
                                   {"labels", rule.labels},
                                   {"health", "unknown"}};
          member["type"] = rule.alert.empty() ? "recording" : "alerting";
          if (!rule.alert.empty()) {
            member["duration"] = absl::ToDoubleSeconds(rule.for_duration);
            member["annotations"] = rule.annotations;
          }
          members.push_back(std::move(member));
        }
        groups.push_back(
            {{"name", group.name},
             {"file", absl::StrCat("/elsewhere/", file)},
             {"interval", group.interval == absl::ZeroDuration()
                              ? 60.0
                              : absl::ToDoubleSeconds(group.interval)},
             {"rules", std::move(members)}});
      }
    }
    http::Response response = http::TextResponse(
        200, nlohmann::json{{"status", "success"},
                            {"data", {{"groups", std::move(groups)}}}}
                 .dump());
    response.headers.Set("Content-Type", "application/json");
    return response;
  }

  const std::string directory_;
  mutable sync::Mutex mutex_;
  std::map<std::string, std::vector<rules::Group>> loaded_
      ABSL_GUARDED_BY(mutex_);
  int reload_status_ ABSL_GUARDED_BY(mutex_) = 0;
  int rules_status_ ABSL_GUARDED_BY(mutex_) = 0;
  int reloads_ ABSL_GUARDED_BY(mutex_) = 0;
  bool last_reload_ok_ ABSL_GUARDED_BY(mutex_) = true;
  std::unique_ptr<http::Server> server_;
};

}  // namespace insula::rule_sync
