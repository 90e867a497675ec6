// HTTP messages, as the server hands them out and the client takes them.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/http/buffer.h"

namespace insula::http {

// Header fields in the order they came. Names compare without regard to case.
class Headers {
 public:
  using value_type = std::pair<std::string, std::string>;
  using const_iterator = std::vector<value_type>::const_iterator;

  Headers() = default;
  Headers(std::initializer_list<value_type> fields) : fields_(fields) {}

  void Add(absl::string_view name, absl::string_view value);
  // Replaces all fields of that name.
  void Set(absl::string_view name, absl::string_view value);
  void Remove(absl::string_view name);

  // The value of the first such field.
  std::optional<absl::string_view> Get(absl::string_view name) const;
  // How many such fields there are: an identity header that comes twice is an
  // attack.
  size_t Count(absl::string_view name) const;

  const_iterator begin() const { return fields_.begin(); }
  const_iterator end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }

 private:
  // `name` is not in a field.
  void Erase(const std::string& name);

  std::vector<value_type> fields_;
};

// Who is at the other end of the connection.
struct Peer {
  std::string address;  // IP address, without the port.
  // Of the verified client certificate; empty without one.
  std::vector<std::string> san_uris;
  std::vector<std::string> san_dns;
  bool tls = false;
};

struct Request {
  std::string method;
  std::string target;  // As sent: path and, after '?', query. Not decoded.
  Headers headers;
  Buffer body;  // Complete; gzip already decoded, and its header removed.
  Peer peer;
  absl::Time deadline = absl::InfiniteFuture();  // Nobody waits after that.
  std::string id;  // For logs: X-Request-Id if that is sane, else random.

  absl::string_view path() const;   // target up to '?'
  absl::string_view query() const;  // target after '?'
};

class BodySource;

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  // What comes behind `body` and is not here yet, see body_source.h. Null: the
  // body is whole.
  std::shared_ptr<BodySource> rest;
};

// A response with a plain text body.
Response TextResponse(int status, absl::string_view text);

}  // namespace insula::http
