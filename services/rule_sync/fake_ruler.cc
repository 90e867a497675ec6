#include "services/rule_sync/fake_ruler.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/http/url.h"
#include "libs/rules/rule_file.h"

namespace insula::rule_sync {
namespace {

namespace asio = boost::asio;

constexpr char kAccepted[] =
    R"({"status":"success","data":null,"errorType":"","error":""})";

// As Go's http.Error() writes it.
http::Response Error(int status, absl::string_view text) {
  http::Response response =
      http::TextResponse(status, absl::StrCat(text, "\n"));
  response.headers.Set("Content-Type", "text/plain; charset=utf-8");
  return response;
}

http::Response Yaml(const YAML::Emitter& emitter) {
  http::Response response =
      http::TextResponse(200, absl::StrCat(emitter.c_str(), "\n"));
  response.headers.Set("Content-Type", "application/yaml");
  return response;
}

http::Response Accepted() {
  http::Response response = http::TextResponse(202, kAccepted);
  response.headers.Set("Content-Type", "application/json");
  return response;
}

// As Prometheus' model.Duration prints it: 1h30m.
std::string Format(absl::Duration duration) {
  int64_t left = absl::ToInt64Milliseconds(duration);
  constexpr std::pair<const char*, int64_t> kUnits[] = {{"d", 86'400'000},
                                                        {"h", 3'600'000},
                                                        {"m", 60'000},
                                                        {"s", 1000},
                                                        {"ms", 1}};
  std::string text;
  for (const auto& [unit, size] : kUnits) {
    if (left / size > 0) absl::StrAppend(&text, left / size, unit);
    left %= size;
  }
  return text;
}

void Emit(const char* key, absl::Duration value, YAML::Emitter* out) {
  if (value == absl::ZeroDuration()) return;
  *out << YAML::Key << key << YAML::Value << Format(value);
}

void Emit(const char* key, const std::string& value, YAML::Emitter* out) {
  if (value.empty()) return;
  *out << YAML::Key << key << YAML::Value << value;
}

void Emit(const char* key, const rules::Labels& value, YAML::Emitter* out) {
  if (value.empty()) return;
  *out << YAML::Key << key << YAML::Value << YAML::BeginMap;
  for (const auto& [name, text] : value) {
    *out << YAML::Key << name << YAML::Value << YAML::DoubleQuoted << text;
  }
  *out << YAML::EndMap;
}

void Emit(const rules::Group& group, YAML::Emitter* out) {
  *out << YAML::BeginMap << YAML::Key << "name" << YAML::Value
       << YAML::DoubleQuoted << group.name;
  Emit("interval", group.interval, out);
  if (group.query_offset.has_value()) {
    *out << YAML::Key << "query_offset" << YAML::Value
         << (*group.query_offset == absl::ZeroDuration()
                 ? "0s"
                 : Format(*group.query_offset));
  }
  if (group.limit > 0) {
    *out << YAML::Key << "limit" << YAML::Value << group.limit;
  }
  *out << YAML::Key << "rules" << YAML::Value << YAML::BeginSeq;
  for (const rules::Rule& rule : group.rules) {
    *out << YAML::BeginMap;
    Emit("record", rule.record, out);
    Emit("alert", rule.alert, out);
    Emit("expr", rule.expr, out);
    Emit("for", rule.for_duration, out);
    Emit("keep_firing_for", rule.keep_firing_for, out);
    Emit("labels", rule.labels, out);
    Emit("annotations", rule.annotations, out);
    *out << YAML::EndMap;
  }
  *out << YAML::EndSeq;
  Emit("labels", group.labels, out);
  *out << YAML::EndMap;
}

// One group out of a body; the text of a 400 in `*error` otherwise.
std::optional<rules::Group> ParseGroup(absl::string_view body,
                                       std::string* error) {
  std::vector<std::string> lines = absl::StrSplit(body, '\n');
  rules::ParseOptions options;
  options.dialect = rules::kPrometheus3;
  const rules::ParsedFile file = rules::Parse(
      absl::StrCat("groups:\n- ", absl::StrJoin(lines, "\n  ")), options);
  if (file.ok() && file.groups.size() == 1) {
    if (!file.groups[0].rules.empty()) return file.groups[0];
    *error = absl::StrCat("invalid rules config: rule group '",
                          file.groups[0].name, "' has no rules");
    return std::nullopt;
  }
  std::vector<std::string> errors;
  for (const rules::Problem& problem : file.problems) {
    if (problem.group_number > 0) errors.push_back(problem.ToString());
  }
  *error = errors.empty() ? "unable to decoded rule group"
                          : absl::StrJoin(errors, ", ");
  return std::nullopt;
}

auto FindGroup(std::vector<rules::Group>* groups, absl::string_view name) {
  return std::find_if(
      groups->begin(), groups->end(),
      [name](const rules::Group& group) { return group.name == name; });
}

// The unescaped elements behind /api/v1/rules; nullopt for another path.
std::optional<std::vector<std::string>> PathOf(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, "/api/v1/rules") &&
      !absl::ConsumePrefix(&path, "/api/prom/rules")) {
    return std::nullopt;
  }
  std::vector<std::string> elements;
  if (path.empty()) return elements;
  if (!absl::ConsumePrefix(&path, "/")) return std::nullopt;
  for (const absl::string_view element : absl::StrSplit(path, '/')) {
    // Paths are cleaned before they are unescaped.
    if (element.empty() || element == "." || element == "..") {
      return std::nullopt;
    }
    const auto decoded = http::PercentDecode(element);
    if (!decoded.ok()) return std::nullopt;
    elements.push_back(*decoded);
  }
  if (elements.size() > 2) return std::nullopt;
  return elements;
}

}  // namespace

FakeRuler::FakeRuler(asio::any_io_executor executor, metrics::Registry* metrics,
                     std::string tenant_header)
    : tenant_header_(std::move(tenant_header)) {
  http::ServerOptions options;
  options.name = "ruler";
  server_ = *http::Server::Start(
      options, std::move(executor),
      [this](http::Request request) {
        return Answer(this, std::move(request));
      },
      metrics);
}

std::string FakeRuler::url() const {
  return absl::StrCat("http://", server_->address());
}

void FakeRuler::SetAuthentication(bool on) {
  sync::MutexLock lock(&mutex_);
  authentication_ = on;
}

void FakeRuler::SetLimits(int64_t groups, int64_t rules) {
  sync::MutexLock lock(&mutex_);
  max_groups_ = groups;
  max_rules_ = rules;
}

void FakeRuler::SetMood(absl::string_view org, Mood mood) {
  sync::MutexLock lock(&mutex_);
  moods_[std::string(org)] = std::move(mood);
}

std::set<FakeRuler::Place> FakeRuler::Places(absl::string_view org) const {
  sync::MutexLock lock(&mutex_);
  std::set<Place> places;
  const auto tenant = tenants_.find(std::string(org));
  if (tenant == tenants_.end()) return places;
  for (const auto& [name_space, groups] : tenant->second) {
    for (const rules::Group& group : groups) {
      places.insert({name_space, group.name});
    }
  }
  return places;
}

std::optional<rules::Group> FakeRuler::Find(absl::string_view org,
                                            const Place& place) const {
  sync::MutexLock lock(&mutex_);
  const auto tenant = tenants_.find(std::string(org));
  if (tenant == tenants_.end()) return std::nullopt;
  const auto groups = tenant->second.find(place.first);
  if (groups == tenant->second.end()) return std::nullopt;
  for (const rules::Group& group : groups->second) {
    if (group.name == place.second) return group;
  }
  return std::nullopt;
}

std::string FakeRuler::Dump(absl::string_view org) const {
  sync::MutexLock lock(&mutex_);
  const auto tenant = tenants_.find(std::string(org));
  if (tenant == tenants_.end()) return "";
  return Get(tenant->second, {}).body;
}

void FakeRuler::Plant(absl::string_view org, absl::string_view name_space,
                      absl::string_view yaml) {
  std::string error;
  std::optional<rules::Group> group = ParseGroup(yaml, &error);
  sync::MutexLock lock(&mutex_);
  Groups& groups = tenants_[std::string(org)][std::string(name_space)];
  groups.push_back(*std::move(group));
}

std::vector<FakeRuler::Seen> FakeRuler::TakeSeen() {
  sync::MutexLock lock(&mutex_);
  return std::exchange(seen_, {});
}

void FakeRuler::AwaitHanging() {
  sync::MutexLock lock(&mutex_);
  while (hanging_.empty()) changed_.wait(mutex_);
}

void FakeRuler::Release() {
  sync::MutexLock lock(&mutex_);
  for (const auto& timer : hanging_) {
    asio::post(timer->get_executor(), [timer] { timer->cancel(); });
  }
  hanging_.clear();
}

std::shared_ptr<asio::steady_timer> FakeRuler::AddHanging(
    asio::any_io_executor executor) {
  auto timer = std::make_shared<asio::steady_timer>(
      executor, asio::steady_timer::time_point::max());
  sync::MutexLock lock(&mutex_);
  hanging_.push_back(timer);
  changed_.notify_all();
  return timer;
}

FakeRuler::Mood FakeRuler::TakeMood(const std::string& org,
                                    const http::Request& request) {
  sync::MutexLock lock(&mutex_);
  seen_.push_back(
      {org, request.method, request.target, std::string(request.body.view())});
  for (const std::string& who : {org, std::string()}) {
    const auto it = moods_.find(who);
    if (it == moods_.end()) continue;
    Mood& mood = it->second;
    if (mood.times == 0 ||
        (!mood.method.empty() && mood.method != request.method) ||
        !absl::StrContains(request.target, mood.contains)) {
      continue;
    }
    if (mood.times > 0) --mood.times;
    return mood;
  }
  return {};
}

asio::awaitable<http::Response> FakeRuler::Answer(FakeRuler* self,
                                                  http::Request request) {
  std::string org = "fake";
  bool authentication;
  {
    sync::MutexLock lock(&self->mutex_);
    authentication = self->authentication_;
  }
  if (authentication) {
    org = std::string(request.headers.Get(self->tenant_header_).value_or(""));
  }
  const Mood mood = self->TakeMood(org, request);
  if (org.empty()) co_return Error(401, "no org id");
  if (mood.kind == Mood::Kind::kAnswers) {
    http::Response response = http::TextResponse(mood.status, mood.body);
    response.headers.Set("Content-Type", mood.content_type);
    if (!mood.retry_after.empty()) {
      response.headers.Set("Retry-After", mood.retry_after);
    }
    co_return response;
  }
  if (mood.kind == Mood::Kind::kHangs) {
    const auto timer = self->AddHanging(co_await asio::this_coro::executor);
    // Also ends, by an exception, when the client goes away.
    co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
  }
  http::Response response =
      self->Do(request, org, mood.kind == Mood::Kind::kForgets);
  if (mood.kind == Mood::Kind::kHalf) {
    response.body.resize(response.body.size() / 2);
  }
  co_return response;
}

http::Response FakeRuler::Do(const http::Request& request,
                             const std::string& org, bool forget) {
  const auto path = PathOf(request.path());
  if (!path.has_value()) return Error(404, "404 page not found");
  sync::MutexLock lock(&mutex_);
  Namespaces copy = tenants_[org];
  Namespaces* const all = forget ? &copy : &tenants_[org];
  if (request.method == "GET") return Get(*all, *path);
  if (request.method == "POST" && path->size() == 1) {
    return Post(all, (*path)[0], request.body.view());
  }
  if (request.method != "DELETE" || path->empty()) {
    return Error(405, "Method Not Allowed");
  }
  const auto groups = all->find((*path)[0]);
  if (path->size() == 1) {
    if (groups == all->end()) {
      return Error(404, "group namespace does not exist");
    }
    all->erase(groups);
    return Accepted();
  }
  if (groups == all->end()) return Error(404, "group does not exist");
  const auto group = FindGroup(&groups->second, (*path)[1]);
  if (group == groups->second.end()) return Error(404, "group does not exist");
  groups->second.erase(group);
  if (groups->second.empty()) all->erase(groups);
  return Accepted();
}

http::Response FakeRuler::Get(const Namespaces& all,
                              const std::vector<std::string>& path) const {
  YAML::Emitter emitter;
  if (path.size() == 2) {
    const auto groups = all.find(path[0]);
    if (groups == all.end()) return Error(404, "group does not exist");
    for (const rules::Group& group : groups->second) {
      if (group.name != path[1]) continue;
      Emit(group, &emitter);
      return Yaml(emitter);
    }
    return Error(404, "group does not exist");
  }
  emitter << YAML::BeginMap;
  bool any = false;
  for (const auto& [name_space, groups] : all) {
    if (!path.empty() && path[0] != name_space) continue;
    any = any || !groups.empty();
    emitter << YAML::Key << YAML::DoubleQuoted << name_space << YAML::Value
            << YAML::BeginSeq;
    for (const rules::Group& group : groups) Emit(group, &emitter);
    emitter << YAML::EndSeq;
  }
  emitter << YAML::EndMap;
  return any ? Yaml(emitter) : Error(404, "no rule groups found");
}

http::Response FakeRuler::Post(Namespaces* all, const std::string& name_space,
                               absl::string_view body) {
  std::string error;
  std::optional<rules::Group> group = ParseGroup(body, &error);
  if (!group.has_value()) return Error(400, error);
  const auto rules = static_cast<int64_t>(group->rules.size());
  if (max_rules_ > 0 && rules > max_rules_) {
    return Error(400,
                 absl::StrCat("per-user rules per rule group limit (limit: ",
                              max_rules_, " actual: ", rules, ") exceeded"));
  }
  int64_t groups = 1;  // One more, also if it replaces one.
  for (const auto& [ignored, present] : *all) {
    groups += static_cast<int64_t>(present.size());
  }
  if (max_groups_ > 0 && groups > max_groups_) {
    return Error(
        400, absl::StrCat("per-user rule groups limit (limit: ", max_groups_,
                          " actual: ", groups, ") exceeded"));
  }
  Groups& present = (*all)[name_space];
  const auto it = FindGroup(&present, group->name);
  if (it == present.end()) {
    present.push_back(*std::move(group));
  } else {
    *it = *std::move(group);
  }
  return Accepted();
}

}  // namespace insula::rule_sync
