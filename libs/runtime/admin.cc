#include "libs/runtime/admin.h"

#include "absl/strings/str_cat.h"

namespace insula::runtime {
namespace {

http::Response Page(absl::string_view type, std::string body) {
  http::Response response;
  response.headers.Set("Content-Type", type);
  response.body = std::move(body);
  return response;
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

http::Response AnswerAdmin(const AdminPages& pages,
                           const http::Request& request) {
  const absl::string_view path = request.path();
  if (path != "/metrics" && path != "/livez" && path != "/readyz" &&
      path != "/config") {
    return http::TextResponse(
        404, "there are /metrics, /livez, /readyz and /config\n");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    http::Response response = http::TextResponse(405, "use GET\n");
    response.headers.Set("Allow", "GET, HEAD");
    return response;
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
