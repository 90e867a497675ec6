#include "services/ingest_gateway/request_head.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace insula::ingest_gateway {
namespace {

// Where Prometheus, Cortex, Mimir and Thanos take remote write, and where the
// predecessor did.
constexpr absl::string_view kPaths[] = {"/", "/api/v1/write", "/api/v1/push",
                                        "/api/prom/push", "/api/v1/receive"};

http::Response NotAllowed(absl::string_view allow) {
  http::Response response =
      http::TextResponse(405, "insula: writes are sent here with POST");
  response.headers.Set("Allow", allow);
  return response;
}

enum class Media { kWrite1, kWrite2, kOther };

Media ParseMedia(absl::string_view content_type) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(content_type, ';');
  if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts[0]),
                              "application/x-protobuf")) {
    return Media::kOther;
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parameter =
        absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parameter.first),
                                "proto")) {
      continue;
    }
    absl::string_view proto = absl::StripAsciiWhitespace(parameter.second);
    if (absl::ConsumePrefix(&proto, "\"")) absl::ConsumeSuffix(&proto, "\"");
    if (proto == "io.prometheus.write.v2.Request") return Media::kWrite2;
    if (proto != "prometheus.WriteRequest") return Media::kOther;
  }
  return Media::kWrite1;
}

Media MediaOf(const http::Request& request) {
  return ParseMedia(
      request.headers.Get("Content-Type").value_or("application/x-protobuf"));
}

}  // namespace

std::optional<http::Response> AnswerByHead(const http::Request& request) {
  const absl::string_view path = request.path();
  if (std::find(std::begin(kPaths), std::end(kPaths), path) ==
      std::end(kPaths)) {
    return http::TextResponse(
        404, "insula: no such path; remote write goes to /api/v1/write");
  }
  if (path == "/" && request.method == "GET") {
    http::Response up = http::TextResponse(200, "");
    up.body = "Up";
    return up;
  }
  if (request.method != "POST") {
    return NotAllowed(path == "/" ? "GET, POST" : "POST");
  }
  if (request.headers.Count("Content-Type") > 1 ||
      request.headers.Count("Content-Encoding") > 1) {
    return http::TextResponse(
        400, "insula: send Content-Type and Content-Encoding once each");
  }
  if (MediaOf(request) == Media::kOther) {
    return http::TextResponse(
        415,
        "insula: Content-Type must be application/x-protobuf, with `proto` "
        "prometheus.WriteRequest or io.prometheus.write.v2.Request if any");
  }
  if (!absl::EqualsIgnoreCase(
          request.headers.Get("Content-Encoding").value_or("snappy"),
          "snappy")) {
    return http::TextResponse(415, "insula: Content-Encoding must be snappy");
  }
  return std::nullopt;
}

Protocol ProtocolOf(const http::Request& request) {
  return MediaOf(request) == Media::kWrite2 ? Protocol::kWrite2
                                            : Protocol::kWrite1;
}

}  // namespace insula::ingest_gateway
