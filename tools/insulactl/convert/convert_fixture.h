// The examples of testdata: a directory each, with the input (input.yaml,
// flags, tokens, whitelist, matches), what insulactl is told beside it
// (options), and what comes out (expected.txt).
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tools/insulactl/convert/convert.h"

namespace insula::insulactl {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Example {
  std::string name;
  System system = System::kCortexTenant;
  ConvertInput input;
  std::string expected;  // Text of expected.txt.
  std::filesystem::path directory;
};

// What no output may have in it.
inline constexpr const char* kSecrets[] = {
    "the-token",   "opensesame",         "jwt-signing-secret", "web-api-key",
    "db-api-key",  "from-secret",        "to-secret",          "salt-secret",
    "oidc-secret", "token-of-the-first", "token-of-the-second"};

inline Example ReadExample(const std::string& name) {
  Example example;
  example.name = name;
  example.directory = std::filesystem::path(TESTDATA_DIR) / name;
  for (const absl::string_view system : SystemNames()) {
    if (absl::StartsWith(name, system)) example.system = *ParseSystem(system);
  }
  if (absl::StartsWith(name, "telemeter") || name == "metrics-collector") {
    example.system = System::kTelemeter;
  }
  if (name == "open-metrics-informer") {
    example.system = System::kOpenMetricsProxy;
  }
  auto file = [&example](const char* what) -> std::optional<InputFile> {
    if (!std::filesystem::exists(example.directory / what)) return std::nullopt;
    return InputFile{what, ReadFile(example.directory / what)};
  };
  ConvertInput& input = example.input;
  input.file = file("input.yaml");
  if (const auto flags = file("flags")) input.flags = ReadFlags(*flags);
  input.tokens = file("tokens");
  input.whitelist = file("whitelist");
  input.matches = file("matches");
  const std::vector<std::string> options =
      absl::StrSplit(ReadFile(example.directory / "options"),
                     absl::ByAnyChar(" \n"), absl::SkipEmpty());
  for (size_t i = 0; i + 1 < options.size(); i += 2) {
    if (options[i] == "--tenant") input.tenants.push_back(options[i + 1]);
    if (options[i] == "--token-file") input.token = "the-token";
    if (options[i] == "--upstream-url") input.upstream_url = options[i + 1];
  }
  example.expected = ReadFile(example.directory / "expected.txt");
  return example;
}

inline std::vector<std::string> ExampleNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(TESTDATA_DIR)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  return names;
}

inline std::string TestName(const std::string& example) {
  return absl::StrReplaceAll(example, {{"-", "_"}});
}

// All that comes out, as one text.
inline std::string Rendered(const Conversion& conversion) {
  std::string text;
  for (const OutputFile& file : Render(conversion)) {
    absl::StrAppend(&text, "==== ", file.name, " ====\n", file.text);
  }
  return text;
}

}  // namespace insula::insulactl
