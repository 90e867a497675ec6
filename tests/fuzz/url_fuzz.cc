// URLs, percent-encoding and forms read back as what they are written from.

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/http/url.h"
#include "tests/fuzz/fuzz_target.h"

namespace insula {
namespace {

void CheckUrl(absl::string_view text) {
  const auto url = http::Url::Parse(text);
  if (!url.ok()) return;
  FUZZ_CHECK(url->scheme == "http" || url->scheme == "https", text);
  FUZZ_CHECK(!url->host.empty() && url->port >= 1 && url->port <= 65535, text);
  FUZZ_CHECK(absl::StartsWith(url->target, "/"), text);
  const std::string printed = url->ToString();
  const auto again = http::Url::Parse(printed);
  FUZZ_CHECK(again.ok(), absl::StrCat(printed, again.status().ToString()));
  FUZZ_CHECK(again->scheme == url->scheme && again->host == url->host &&
                 again->port == url->port && again->target == url->target,
             printed);
  const std::string joined = url->Join("/a/b", "c=d").ToString();
  FUZZ_CHECK(http::Url::Parse(joined).ok(), joined);
}

FUZZ_TARGET(url) {
  CheckUrl(input);

  const std::string encoded = http::PercentEncode(input);
  const auto decoded = http::PercentDecode(encoded);
  FUZZ_CHECK(decoded.ok() && *decoded == input, encoded);
  if (const auto plain = http::PercentDecode(input); plain.ok()) {
    FUZZ_CHECK(plain->size() <= input.size(), input);
  }

  const auto form = http::ParseForm(input, 100);
  if (!form.ok()) return;
  FUZZ_CHECK(form->size() <= 100, input);
  const std::string written = http::EncodeForm(*form);
  const auto again = http::ParseForm(written, 100);
  FUZZ_CHECK(again.ok() && *again == *form, written);
}

}  // namespace
}  // namespace insula
