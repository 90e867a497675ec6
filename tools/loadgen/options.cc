#include "tools/loadgen/options.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstddef>
#include <fstream>
#include <ios>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/runtime/version.h"
#include "libs/status/status_macros.h"

namespace insula::loadgen {
namespace {

constexpr int64_t kMaxSeriesOfAPass = 10'000'000;  // 4.5 GB.
constexpr size_t kMaxTokenBytes = 64 << 10;

// As written on the command line.
struct Given {
  std::string url;
  std::string token_file;
  std::vector<std::string> headers;
  std::string corpus = "runs";
  std::string protocol = "1.0";
  std::string duration;
  std::string timeout = "30s";
};

void Declare(Given* given, Options* options, CLI::App* app) {
  app->add_option(
         "--url", given->url,
         "Where to write, such as http://127.0.0.1:19093/api/v1/write.")
      ->type_name("URL");
  app->add_option("--bearer-token-file", given->token_file,
                  "File with the token to show.")
      ->type_name("FILE");
  app->add_option("--header", given->headers,
                  "A header to send; may be given several times.")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false);
  app->add_option("--tenant-header", options->tenant_header,
                  "Every request is of one tenant, by turns, and names it in "
                  "this header.")
      ->type_name("NAME");
  app->add_option("--ca-file", options->ca_file,
                  "PEM file of the CAs that https trusts, in place of the "
                  "system's.")
      ->type_name("FILE");
  app->add_option("--corpus", given->corpus,
                  "runs: neighbours share a target; interleaved: every series "
                  "is of another tenant and pod.")
      ->check(CLI::IsMember({"runs", "interleaved"}))
      ->capture_default_str();
  app->add_option("--protocol", given->protocol, "Of remote write.")
      ->check(CLI::IsMember({"1.0", "2.0"}))
      ->capture_default_str();
  app->add_option("--tenants", options->load.tenants,
                  "Tenants, by the label namespace: team-0, team-1 and so on.")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app->add_option("--series-per-request", options->load.series,
                  "Series of a request, each with one sample.")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app->add_option("--requests", options->load.requests,
                  "Different requests; all of them are a pass. The next pass "
                  "has the same series with other values.")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--connections", options->connections,
                  "Connections that send at the same time.")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app->add_option("--passes", options->passes, "End after as many passes.")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
  app->add_option("--duration", given->duration,
                  "End after so long; 10s if --passes is not given either.")
      ->type_name("DURATION");
  app->add_option("--rate", options->rate,
                  "Requests a second of all connections; 0: as fast as they "
                  "are answered.")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app->add_option("--timeout", given->timeout,
                  "How long a request may wait for its answer.")
      ->type_name("DURATION")
      ->capture_default_str();
  app->add_flag("--quiet", options->quiet, "No progress on standard error.");
  app->set_help_flag("-h,--help", "Say this.");
  app->set_version_flag("--version",
                        absl::StrCat("loadgen ", runtime::Version()),
                        "Print the version.");
}

absl::Status Invalid(absl::string_view option, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(option, ": ", what));
}

absl::StatusOr<absl::Duration> Duration(absl::string_view option,
                                        absl::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) ||
      duration <= absl::ZeroDuration()) {
    return Invalid(option, absl::StrCat("'", text,
                                        "' is not a duration above 0 with a "
                                        "unit, such as 30s"));
  }
  return duration;
}

// Nothing that could begin another line of the request.
bool IsHeaderText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
  });
}

bool IsHeaderName(absl::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_';
         });
}

absl::Status AddHeaders(const Given& given, http::Headers* headers) {
  if (!given.token_file.empty()) {
    std::string text(kMaxTokenBytes, '\0');
    std::ifstream file(given.token_file, std::ios::binary);
    if (!file.is_open()) {
      return Invalid("--bearer-token-file",
                     absl::StrCat("can't read ", given.token_file));
    }
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    const absl::string_view token = absl::StripAsciiWhitespace(text);
    if (token.empty() || !IsHeaderText(token)) {
      return Invalid(
          "--bearer-token-file",
          absl::StrCat(given.token_file, " must hold one line, the token"));
    }
    headers->Add("Authorization", absl::StrCat("Bearer ", token));
  }
  for (const std::string& header : given.headers) {
    const size_t colon = header.find(':');
    const absl::string_view text = header;
    if (colon == std::string::npos || !IsHeaderName(text.substr(0, colon)) ||
        !IsHeaderText(text)) {
      return Invalid("--header", absl::StrCat("'", header,
                                              "' is not of the form 'Name: "
                                              "value'"));
    }
    headers->Add(text.substr(0, colon),
                 absl::StripAsciiWhitespace(text.substr(colon + 1)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Options> Finish(const Given& given, Options options) {
  if (given.url.empty()) {
    return absl::InvalidArgumentError(
        "--url is missing: where to write, such as "
        "http://127.0.0.1:19093/api/v1/write");
  }
  const auto url = http::Url::Parse(given.url);
  if (!url.ok()) return Invalid("--url", url.status().message());
  options.url = *url;
  RETURN_IF_ERROR(AddHeaders(given, &options.headers));
  if (!options.tenant_header.empty() && !IsHeaderName(options.tenant_header)) {
    return Invalid("--tenant-header", "is not the name of a header");
  }
  options.load.one_tenant_a_request = !options.tenant_header.empty();
  if (given.corpus == "interleaved") options.load.series_of_a_target = 1;
  if (given.protocol == "2.0") options.protocol = Protocol::kV2;
  if (int64_t{options.load.series} * options.load.requests >
      kMaxSeriesOfAPass) {
    return Invalid("--requests",
                   absl::StrCat("times --series-per-request must be at most ",
                                kMaxSeriesOfAPass));
  }
  if (options.connections > options.load.requests) {
    return Invalid("--connections",
                   "must be at most --requests, since each sends requests of "
                   "its own so that samples arrive in order");
  }
  ASSIGN_OR_RETURN(options.timeout, Duration("--timeout", given.timeout));
  if (!given.duration.empty()) {
    ASSIGN_OR_RETURN(options.duration, Duration("--duration", given.duration));
  } else if (options.passes == 0) {
    options.duration = absl::Seconds(10);
  }
  return options;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(
    const std::vector<std::string>& arguments) {
  Given given;
  Options options;
  CLI::App app(
      "Sends remote write like that of a Prometheus that scrapes many pods, "
      "and "
      "tells how it is answered: a line a second on standard error, a JSON "
      "object on standard output at the end. Exits with 0 if every request was "
      "accepted, with 1 if not, with 2 for a wrong command line.",
      "loadgen");
  Declare(&given, &options, &app);
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    return CommandLine{std::nullopt, app.help()};
  } catch (const CLI::CallForVersion& version) {
    return CommandLine{std::nullopt, absl::StrCat(version.what(), "\n")};
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(error.what(), "; see loadgen --help"));
  }
  ASSIGN_OR_RETURN(options, Finish(given, std::move(options)));
  return CommandLine{std::move(options), ""};
}

}  // namespace insula::loadgen
