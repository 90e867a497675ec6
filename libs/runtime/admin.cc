#include "libs/runtime/admin.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/http/status_code.h"

namespace insula::runtime {
namespace {

http::Response Page(absl::string_view type, std::string body) {
  http::Response response;
  response.headers.Set("Content-Type", type);
  response.body = std::move(body);
  return response;
}

http::Response NoSuchPage(const AdminPages& pages) {
  const std::string debug = pages.debug->Paths();
  return http::TextResponse(
      404, absl::StrCat("there are /metrics, /livez, /readyz and /config",
                        debug.empty() ? "" : ", and ", debug, "\n"));
}

}  // namespace

void Readiness::Add(std::string name, Check check) {
  sync::MutexLock lock(&mutex_);
  checks_.emplace_back(std::move(name), std::move(check));
}

void Readiness::SetReady() {
  sync::MutexLock lock(&mutex_);
  if (phase_ == Phase::kStarting) phase_ = Phase::kServing;
}

void Readiness::SetDraining() {
  sync::MutexLock lock(&mutex_);
  phase_ = Phase::kDraining;
}

http::Response Readiness::Answer() {
  sync::MutexLock lock(&mutex_);
  if (phase_ == Phase::kStarting) {
    return http::TextResponse(503, "process: still starting\n");
  }
  if (phase_ == Phase::kDraining) {
    return http::TextResponse(503, "process: draining\n");
  }
  std::string passed;
  std::string failed;
  for (const auto& [name, check] : checks_) {
    const absl::Status status = check();
    if (status.ok()) {
      absl::StrAppend(&passed, name, ": ok\n");
    } else {
      absl::StrAppend(&failed, name, ": ", status.message(), "\n");
    }
  }
  if (!failed.empty()) return http::TextResponse(503, failed + passed);
  return http::TextResponse(200, absl::StrCat("ok\n", passed));
}

void DebugPages::Add(std::string path, Render page) {
  sync::MutexLock lock(&mutex_);
  pages_[std::move(path)] = std::move(page);
}

void DebugPages::Open() {
  sync::MutexLock lock(&mutex_);
  open_ = true;
}

void DebugPages::Close() {
  sync::MutexLock lock(&mutex_);
  open_ = false;
}

std::optional<http::Response> DebugPages::Answer(absl::string_view path,
                                                 absl::string_view query) {
  sync::MutexLock lock(&mutex_);
  const auto at = pages_.find(std::string(path));
  if (at == pages_.end()) return std::nullopt;
  if (!open_) return http::TextResponse(503, "process: not serving\n");
  absl::StatusOr<std::string> body = at->second(query);
  http::Response response =
      body.ok()
          ? Page("application/json; charset=utf-8", *std::move(body))
          : http::TextResponse(http::ToHttpStatus(body.status().code()),
                               absl::StrCat(body.status().message(), "\n"));
  // What senders wrote may be in it: nothing is to guess that it is a page.
  response.headers.Set("X-Content-Type-Options", "nosniff");
  response.headers.Set("Cache-Control", "no-store");
  return response;
}

std::string DebugPages::Paths() const {
  sync::MutexLock lock(&mutex_);
  return absl::StrJoin(pages_, ", ", [](std::string* out, const auto& page) {
    absl::StrAppend(out, page.first);
  });
}

http::Response AnswerAdmin(const AdminPages& pages,
                           const http::Request& request) {
  const absl::string_view path = request.path();
  const bool debug = absl::StartsWith(path, "/debug/");
  if (!debug && path != "/metrics" && path != "/livez" && path != "/readyz" &&
      path != "/config") {
    return NoSuchPage(pages);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    http::Response response = http::TextResponse(405, "use GET\n");
    response.headers.Set("Allow", "GET, HEAD");
    return response;
  }
  if (debug) {
    auto answer = pages.debug->Answer(path, request.query());
    return answer ? *std::move(answer) : NoSuchPage(pages);
  }
  if (path == "/metrics") {
    return Page("text/plain; version=0.0.4; charset=utf-8",
                pages.metrics->Expose());
  }
  if (path == "/livez") return http::TextResponse(200, "ok\n");
  if (path == "/readyz") return pages.readiness->Answer();
  return Page("application/yaml; charset=utf-8", *pages.config_dump);
}

}  // namespace insula::runtime
