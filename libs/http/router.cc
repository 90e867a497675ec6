#include "libs/http/router.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace insula::http {
namespace {

namespace asio = boost::asio;

asio::awaitable<Response> Ready(Response response) { co_return response; }

Response NotFound(absl::string_view path) {
  return TextResponse(404,
                      absl::StrCat("no such path: '",
                                   absl::CHexEscape(path.substr(0, 200)), "'"));
}

}  // namespace

Router::Router()
    : routes_(std::make_shared<std::map<std::string, Methods, std::less<>>>()) {
}

void Router::Handle(absl::string_view method, absl::string_view path,
                    Handler handler) {
  (*routes_)[std::string(path)][std::string(method)] = std::move(handler);
}

void Router::Handle(std::initializer_list<absl::string_view> methods,
                    absl::string_view path, const Handler& handler) {
  for (const absl::string_view method : methods) Handle(method, path, handler);
}

asio::awaitable<Response> Router::operator()(Request request) const {
  const auto route = routes_->find(request.path());
  if (route == routes_->end()) return Ready(NotFound(request.path()));
  const Methods& methods = route->second;
  auto found = methods.find(request.method);
  if (found == methods.end() && request.method == "HEAD") {
    found = methods.find(absl::string_view("GET"));
  }
  if (found != methods.end()) return found->second(std::move(request));

  std::string allowed;
  for (const auto& [method, handler] : methods) {
    absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", method);
    if (method == "GET" && !methods.contains(absl::string_view("HEAD"))) {
      allowed.append(", HEAD");
    }
  }
  Response response = TextResponse(405, absl::StrCat("use one of: ", allowed));
  response.headers.Add("Allow", allowed);
  return Ready(std::move(response));
}

}  // namespace insula::http
