#include "tools/insulactl/options.h"

namespace insula::insulactl {

Option& Options::Flag(absl::string_view names, bool* target,
                      absl::string_view help) {
  return all_.emplace_back(
      Option{std::string(names), "", std::string(help), target, false, {}, ""});
}

Option& Options::Number(absl::string_view names, absl::string_view placeholder,
                        int64_t* target, absl::string_view help) {
  return all_.emplace_back(Option{std::string(names),
                                  std::string(placeholder),
                                  std::string(help),
                                  target,
                                  false,
                                  {},
                                  ""});
}

Option& Options::Duration(absl::string_view names, absl::Duration* target,
                          absl::string_view help) {
  return all_.emplace_back(Option{std::string(names),
                                  "DURATION",
                                  std::string(help),
                                  target,
                                  false,
                                  {},
                                  ""});
}

Option& Options::Text(absl::string_view names, absl::string_view placeholder,
                      std::string* target, absl::string_view help) {
  return all_.emplace_back(Option{std::string(names),
                                  std::string(placeholder),
                                  std::string(help),
                                  target,
                                  false,
                                  {},
                                  ""});
}

Option& Options::Texts(absl::string_view names, absl::string_view placeholder,
                       std::vector<std::string>* target,
                       absl::string_view help) {
  return all_.emplace_back(Option{std::string(names),
                                  std::string(placeholder),
                                  std::string(help),
                                  target,
                                  false,
                                  {},
                                  ""});
}

}  // namespace insula::insulactl
