// Writes of remote write 2.0 to a WriteHandler, for the tests here.
#pragma once

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/ingest_gateway/v2_requests.h"
#include "services/ingest_gateway/write_fixture.h"

namespace insula::ingest_gateway {

inline constexpr char kV2Type[] =
    "application/x-protobuf;proto=io.prometheus.write.v2.Request";
inline constexpr char kPrefix[] = "X-Prometheus-Remote-Write-";

// "samples histograms exemplars" as the headers say; "-" for one that is not
// there.
inline std::string Written(const http::Response& response) {
  std::string all;
  for (const char* what : {"Samples", "Histograms", "Exemplars"}) {
    const auto value =
        response.headers.Get(absl::StrCat(kPrefix, what, "-Written"));
    absl::StrAppend(&all, all.empty() ? "" : " ", value.value_or("-"));
  }
  return all;
}

inline V2Builder::Labels Of(const std::string& metric,
                            const std::string& tenant) {
  return {{"__name__", metric}, {"namespace", tenant}};
}

class WriteV2Fixture : public WriteFixture {
 protected:
  http::Response WriteV2(const std::string& token, const std::string& message) {
    http::Request request = Request(token, Compressed(message));
    request.headers.Set("Content-Type", kV2Type);
    return Handle(std::move(request));
  }
  http::Response WriteV2(const std::string& token, const V2Builder& builder) {
    return WriteV2(token, builder.request.SerializeAsString());
  }

  registry::v1::Upstream* Store() {
    return objects_[absl::StrCat(registry::v1::KIND_UPSTREAM, "/store")]
        .mutable_upstream();
  }
};

}  // namespace insula::ingest_gateway
