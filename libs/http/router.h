// Finds the handler for a request by its path and method.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "libs/http/message.h"
#include "libs/http/server.h"

namespace insula::http {

// Paths match exactly, as they were sent. An unknown path is answered with 404,
// another method with 405 and Allow; HEAD is served by the handler for GET.
// Filled first, then used; copies share the routes.
//
//   Router router;
//   router.Handle("GET", "/livez", Livez);
//   Server::Start(options, executor, router, &metrics);
class Router {
 public:
  Router();

  // One handler each method and path; a second one replaces the first.
  void Handle(absl::string_view method, absl::string_view path,
              Handler handler);
  void Handle(std::initializer_list<absl::string_view> methods,
              absl::string_view path, const Handler& handler);

  boost::asio::awaitable<Response> operator()(Request request) const;

 private:
  using Methods = std::map<std::string, Handler, std::less<>>;
  std::shared_ptr<std::map<std::string, Methods, std::less<>>> routes_;
};

}  // namespace insula::http
