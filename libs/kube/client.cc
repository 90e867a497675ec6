#include "libs/kube/client.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/kube/api_error.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"

namespace insula::kube {
namespace {

namespace asio = boost::asio;

// Parsing less than this takes less time than to go elsewhere for it.
constexpr size_t kShort = 64 << 10;

http::ClientOptions HttpOptions(const ClientOptions& options) {
  http::ClientOptions http_options;
  http_options.name = "kubernetes";
  http_options.max_response_bytes = options.max_answer_bytes;
  http_options.proxy = options.proxy;
  return http_options;
}

http::Params QueryOf(const Selection& selection) {
  http::Params query;
  if (!selection.label_selector.empty()) {
    query.emplace_back("labelSelector", selection.label_selector);
  }
  return query;
}

absl::Status NotAList(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("the answer is no list: ", what));
}

// The page that `json` is, of `bytes`. An answer that is not wholly a list must
// not be taken for an empty one.
absl::StatusOr<ListPage> ToPage(Json json, size_t bytes) {
  const std::string list_kind = StringAt(json, {"kind"});
  absl::string_view kind = list_kind;
  if (!absl::ConsumeSuffix(&kind, "List") || kind.empty()) {
    return NotAList("its kind does not end in List");
  }
  ListPage page;
  page.bytes = bytes;
  page.resource_version = StringAt(json, {"metadata", "resourceVersion"});
  if (page.resource_version.empty()) return NotAList("no resourceVersion");
  page.continue_token = StringAt(json, {"metadata", "continue"});
  const auto items = json.find("items");
  if (items == json.end()) return NotAList("no items");
  if (items->is_null()) return page;
  if (!items->is_array()) return NotAList("its items are no array");
  const std::string version = StringAt(json, {"apiVersion"});
  page.items.reserve(items->size());
  for (Json& item : *items) {
    if (!item.is_object()) return NotAList("an item is no object");
    // Lists of built-in kinds leave them out.
    if (!item.contains("kind")) item["kind"] = std::string(kind);
    if (!item.contains("apiVersion")) item["apiVersion"] = version;
    page.items.push_back(std::move(item));
  }
  return page;
}

}  // namespace

Client::Client(Cluster cluster, ClientOptions options,
               asio::any_io_executor executor, metrics::Registry* metrics)
    : cluster_(std::move(cluster)),
      options_(std::move(options)),
      credentials_(cluster_, HttpOptions(options_), options_.reload_interval,
                   options_.run_blocking, std::move(executor), metrics) {}

http::ClientRequest Client::ToHttp(const ApiRequest& request,
                                   const std::string& token) const {
  http::ClientRequest result;
  result.method = request.method;
  result.url =
      cluster_.server.Join(request.path, http::EncodeForm(request.query));
  result.headers = {{"Accept", "application/json"}, {"User-Agent", "insula"}};
  if (!token.empty()) {
    result.headers.Add("Authorization", absl::StrCat("Bearer ", token));
  }
  if (!request.body.empty()) {
    result.headers.Add("Content-Type", request.content_type);
  }
  result.body = request.body;
  return result;
}

asio::awaitable<absl::StatusOr<http::Response>> Client::Send(
    ApiRequest request, absl::Time deadline) {
  for (int attempt = 0;; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Credentials::Current current,
                        co_await credentials_.Get());
    http::ClientRequest sent = ToHttp(request, current.token);
    CO_ASSIGN_OR_RETURN(http::Response answer, co_await current.client->Send(
                                                   std::move(sent), deadline));
    if (answer.status / 100 == 2) co_return answer;
    if (answer.status != 401 || attempt > 0 ||
        !credentials_.Doubt(current.token)) {
      co_return ErrorOf(answer,
                        absl::StrCat(request.method, " ", request.path));
    }
  }
}

asio::awaitable<absl::StatusOr<Json>> Client::Parse(std::string text) {
  if (text.size() < kShort || options_.run_blocking == nullptr) {
    co_return ParseJson(text);
  }
  absl::StatusOr<Json> json = absl::InternalError("not parsed");
  const std::function<absl::Status()> parse = [&json, &text] {
    json = ParseJson(text);
    return absl::OkStatus();
  };
  CO_RETURN_IF_ERROR(co_await options_.run_blocking(parse));
  co_return json;
}

asio::awaitable<absl::StatusOr<Json>> Client::Call(ApiRequest request,
                                                   absl::Time deadline) {
  const std::string what = absl::StrCat(request.method, " ", request.path);
  CO_ASSIGN_OR_RETURN(http::Response answer,
                      co_await Send(std::move(request), deadline));
  absl::StatusOr<Json> json = co_await Parse(std::move(answer.body));
  if (!json.ok()) {
    co_return absl::UnavailableError(
        absl::StrCat(what, ": the answer is ", json.status().message()));
  }
  co_return json;
}

asio::awaitable<absl::StatusOr<ListPage>> Client::List(
    Selection selection, int limit, std::string continue_token,
    absl::Time deadline) {
  ApiRequest request;
  request.path = selection.resource.CollectionPath(selection.namespace_name);
  request.query = QueryOf(selection);
  request.query.emplace_back("limit", absl::StrCat(limit));
  if (!continue_token.empty()) {
    request.query.emplace_back("continue", std::move(continue_token));
  }
  const std::string what = absl::StrCat("GET ", request.path);
  CO_ASSIGN_OR_RETURN(http::Response answer,
                      co_await Send(std::move(request), deadline));
  const size_t bytes = answer.body.size();
  absl::StatusOr<Json> json = co_await Parse(std::move(answer.body));
  if (!json.ok()) {
    co_return Annotate(NotAList(json.status().message()), what);
  }
  absl::StatusOr<ListPage> page = ToPage(*std::move(json), bytes);
  if (!page.ok()) co_return Annotate(page.status(), what);
  co_return page;
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> Client::OpenWatch(
    Selection selection, std::string resource_version, absl::Duration duration,
    absl::Time deadline) {
  ApiRequest request;
  request.path = selection.resource.CollectionPath(selection.namespace_name);
  request.query = QueryOf(selection);
  request.query.emplace_back("watch", "1");
  request.query.emplace_back("allowWatchBookmarks", "true");
  request.query.emplace_back("resourceVersion", std::move(resource_version));
  request.query.emplace_back("timeoutSeconds",
                             absl::StrCat(absl::ToInt64Seconds(duration)));
  for (int attempt = 0;; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Credentials::Current current,
                        co_await credentials_.Get());
    http::ClientRequest sent = ToHttp(request, current.token);
    CO_ASSIGN_OR_RETURN(
        std::unique_ptr<http::ResponseStream> stream,
        co_await current.client->Open(std::move(sent), deadline));
    if (stream->status() == 200) {
      co_return std::make_unique<Watch>(std::move(stream),
                                        options_.max_event_bytes);
    }
    http::Response answer;
    answer.status = stream->status();
    answer.headers = stream->headers();
    while (answer.body.size() < kShort) {
      CO_ASSIGN_OR_RETURN(const absl::string_view piece,
                          co_await stream->Read(deadline));
      if (piece.empty()) break;
      answer.body.append(piece.data(), piece.size());
    }
    if (answer.status != 401 || attempt > 0 ||
        !credentials_.Doubt(current.token)) {
      co_return ErrorOf(answer, absl::StrCat("watch of ", request.path));
    }
  }
}

asio::awaitable<absl::StatusOr<Json>> Client::ApplyStatus(
    Resource resource, Json object, Json status, std::string field_manager,
    absl::Time deadline) {
  const std::string name = StringAt(object, {"metadata", "name"});
  const std::string home = StringAt(object, {"metadata", "namespace"});
  const std::string version = StringAt(object, {"metadata", "resourceVersion"});
  if (name.empty() || version.empty()) {
    co_return absl::InvalidArgumentError(
        "an object without name or resourceVersion has no status");
  }
  Json metadata = {{"name", name}, {"resourceVersion", version}};
  if (!home.empty()) metadata["namespace"] = home;
  Json patch = Json::object();
  patch["apiVersion"] = At(object, {"apiVersion"});
  patch["kind"] = At(object, {"kind"});
  patch["metadata"] = std::move(metadata);
  patch["status"] = std::move(status);
  ApiRequest request;
  request.method = "PATCH";
  request.path = resource.ObjectPath(home, name, "status");
  request.query = {{"fieldManager", std::move(field_manager)},
                   {"force", "true"}};
  request.body = ToText(patch);
  request.content_type = "application/apply-patch+yaml";
  co_return co_await Call(std::move(request), deadline);
}

}  // namespace insula::kube
