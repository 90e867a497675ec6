#include "tools/insulactl/resource_input.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/resources/object_rules.h"
#include "libs/resources/resource_tree.h"
#include "libs/status/status_macros.h"
#include "tools/insulactl/input_file.h"

namespace insula::insulactl {
namespace {

bool IsResourceFile(const std::filesystem::directory_entry& entry) {
  const std::filesystem::path extension = entry.path().extension();
  std::error_code ignored;
  return (extension == ".yaml" || extension == ".yml" ||
          extension == ".json") &&
         !entry.is_directory(ignored);
}

absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator it(directory, error);
  for (; !error && it != std::filesystem::directory_iterator();
       it.increment(error)) {
    if (IsResourceFile(*it)) files.push_back(it->path().string());
  }
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": can't be read: ", error.message()));
  }
  if (files.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, ": has no file *.yaml, *.yml or *.json; name another"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

void Add(const std::string& text, const std::string& name,
         ResourceInput* input) {
  ++input->files;
  // By how much, nobody has read.
  if (text.size() > resources::kMaxResourceFileBytes) {
    input->errors.push_back(absl::StrCat(name, ": has more than ",
                                         resources::kMaxResourceFileBytes,
                                         " bytes; split the file"));
    return;
  }
  absl::StatusOr<resources::ResourceFile> file =
      resources::ParseResourceFile(text, name);
  if (!file.ok()) {
    input->errors.emplace_back(file.status().message());
    return;
  }
  std::move(file->resources.begin(), file->resources.end(),
            std::back_inserter(input->resources));
  std::move(file->errors.begin(), file->errors.end(),
            std::back_inserter(input->errors));
}

}  // namespace

void DeclareFiles(Options* options, std::vector<std::string>* paths) {
  options
      ->Texts("-f,--file", "FILE", paths,
              "Resource file, directory of such files, or - for stdin.")
      .required = true;
}

absl::StatusOr<ResourceInput> ReadResources(
    const std::vector<std::string>& paths, std::istream* in) {
  ResourceInput input;
  for (const std::string& path : paths) {
    std::vector<std::string> files = {path};
    std::error_code ignored;
    if (path != "-" && std::filesystem::is_directory(path, ignored)) {
      ASSIGN_OR_RETURN(files, FilesOf(path));
    }
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(
          const std::string text,
          ReadInputFile(file, in, resources::kMaxResourceFileBytes));
      Add(text, InputName(file), &input);
    }
  }
  return input;
}

absl::StatusOr<ResourceInput> ReadResourcesToApply(
    const std::vector<std::string>& paths, std::istream* in) {
  ASSIGN_OR_RETURN(ResourceInput input, ReadResources(paths, in));
  const resources::v1::Object elsewhere;
  const std::vector<std::string> errors = resources::CheckTogether(
      input.resources,
      [&](const resources::ObjectKey& /*key*/) { return &elsewhere; });
  input.errors.insert(input.errors.end(), errors.begin(), errors.end());
  return input;
}

ExitCode ReadOrTell(const Session& session,
                    const std::vector<std::string>& paths,
                    ResourceInput* input) {
  absl::StatusOr<ResourceInput> read = ReadResourcesToApply(paths, &std::cin);
  if (!read.ok()) return session.Unusable(read.status());
  *input = *std::move(read);
  for (const std::string& error : input->errors) session.console.Error(error);
  return input->errors.empty() ? ExitCode::kOk : ExitCode::kDifferent;
}

}  // namespace insula::insulactl
