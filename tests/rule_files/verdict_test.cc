// Our verdicts on rule files beside those of promtool.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "libs/rules/confine.h"
#include "libs/rules/rule_file.h"
#include "libs/rules/write.h"

namespace insula::rules {
namespace {

namespace fs = std::filesystem;

using ::testing::Ge;
using ::testing::SizeIs;

enum class Verdict { kGood, kDuplicates, kBroken };

std::string Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "good";
    case Verdict::kDuplicates:
      return "good but for duplicates";
    case Verdict::kBroken:
      return "broken";
  }
  return "unknown";
}

// A directory that goes away with its owner.
class Directory {
 public:
  Directory() {
    std::string name = (fs::temp_directory_path() / "rules.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string Write(const std::string& name, absl::string_view text) const {
    const std::string path = path_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  fs::path path_;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The files of one of the directories beside this test.
std::vector<std::string> Files(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry :
       fs::directory_iterator(fs::path(TESTDATA_DIR) / directory)) {
    paths.push_back(entry.path().lexically_normal().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string FileName(const std::string& path) {
  return fs::path(path).filename().string();
}

// What promtool prints about files, by path.
std::map<std::string, std::string> Promtool(
    const std::vector<std::string>& paths) {
  std::string command = "promtool check rules";
  for (const std::string& path : paths) absl::StrAppend(&command, " ", path);
  FILE* pipe = popen(absl::StrCat(command, " 2>&1").c_str(), "r");
  std::string output;
  char block[4096];
  while (const size_t got = fread(block, 1, sizeof(block), pipe)) {
    output.append(block, got);
  }
  pclose(pipe);

  std::map<std::string, std::string> answers;
  constexpr absl::string_view kStart = "Checking ";
  std::string* answer = nullptr;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    if (absl::ConsumePrefix(&line, kStart)) {
      answer = &answers[std::string(line)];
    } else if (answer != nullptr) {
      absl::StrAppend(answer, line, "\n");
    }
  }
  return answers;
}

Verdict VerdictOf(absl::string_view answer) {
  if (absl::StrContains(answer, "SUCCESS")) return Verdict::kGood;
  return absl::StrContains(answer, "duplicate rule(s) found")
             ? Verdict::kDuplicates
             : Verdict::kBroken;
}

Verdict VerdictOf(const ParsedFile& file) {
  if (!file.ok()) return Verdict::kBroken;
  for (const Problem& problem : file.problems) {
    if (absl::StrContains(problem.message, "duplicate rule")) {
      return Verdict::kDuplicates;
    }
  }
  return Verdict::kGood;
}

std::string Problems(const ParsedFile& file) {
  std::string text;
  for (const Problem& problem : file.problems) {
    absl::StrAppend(&text, problem.ToString(), "\n");
  }
  return text;
}

// What a line `# KEY: text` of the file says.
std::string Note(absl::string_view file, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(file, '\n')) {
    line = absl::StripSuffix(line, "\r");
    absl::ConsumePrefix(&line, "\xEF\xBB\xBF");
    if (absl::ConsumePrefix(&line, absl::StrCat("# ", key, ": "))) {
      return std::string(line);
    }
  }
  return "";
}

TEST(VerdictTest, AgreesWithPromtool) {
  std::vector<std::string> paths = Files("good");
  const std::vector<std::string> broken = Files("broken");
  ASSERT_THAT(paths, SizeIs(Ge(30u)));
  ASSERT_THAT(broken, SizeIs(Ge(30u)));
  paths.insert(paths.end(), broken.begin(), broken.end());

  const auto answers = Promtool(paths);
  ASSERT_THAT(answers, SizeIs(paths.size()));
  size_t agreed = 0;
  for (const std::string& path : paths) {
    const ParsedFile file = Parse(ReadFile(path));
    const Verdict ours = VerdictOf(file);
    const Verdict theirs = VerdictOf(answers.at(path));
    if (ours == theirs) ++agreed;
    EXPECT_EQ(Name(ours), Name(theirs)) << path << "\n"
                                        << Problems(file) << answers.at(path);
    EXPECT_EQ(ours == Verdict::kBroken, absl::StrContains(path, "/broken/"))
        << path;
  }
  std::cout << agreed << " of " << paths.size()
            << " verdicts agree with promtool\n";
}

TEST(VerdictTest, SaysWhyAFileIsBroken) {
  for (const std::string& path : Files("broken")) {
    const std::string text = ReadFile(path);
    const std::string says = Note(text, "says");
    EXPECT_FALSE(says.empty()) << path;
    EXPECT_THAT(Problems(Parse(text)), ::testing::HasSubstr(says)) << path;
  }
}

TEST(VerdictTest, DiffersFromPromtoolOnlyWhereItMeansTo) {
  const std::vector<std::string> paths = Files("different");
  const auto answers = Promtool(paths);
  ASSERT_THAT(answers, SizeIs(paths.size()));
  for (const std::string& path : paths) {
    const std::string text = ReadFile(path);
    const Verdict theirs = VerdictOf(answers.at(path));
    const Verdict ours = VerdictOf(Parse(text));
    const std::string note = Note(text, "promtool");
    EXPECT_EQ(Name(theirs), note.substr(0, note.find(';'))) << path;
    EXPECT_NE(Name(ours), Name(theirs)) << path;
    std::cout << FileName(path) << ": promtool " << note << "\n";
  }
}

TEST(VerdictTest, PromtoolTakesWhatIsWritten) {
  const Directory directory;
  std::map<std::string, Verdict> expected;
  std::vector<std::string> written;
  for (const char* kind : {"good", "broken", "different"}) {
    for (const std::string& path : Files(kind)) {
      const ParsedFile file = Parse(ReadFile(path));
      const std::string text = Write(file.groups);
      const ParsedFile again = Parse(text);
      EXPECT_TRUE(again.ok()) << path << "\n" << Problems(again);
      EXPECT_EQ(again.groups, file.groups) << path;
      written.push_back(
          directory.Write(absl::StrCat(kind, "-", FileName(path)), text));
      expected[written.back()] = VerdictOf(again);
    }
  }
  const auto answers = Promtool(written);
  ASSERT_THAT(answers, SizeIs(written.size()));
  for (const auto& [path, answer] : answers) {
    EXPECT_EQ(Name(VerdictOf(answer)), Name(expected[path]))
        << path << "\n"
        << ReadFile(path) << answer;
  }
  std::cout << written.size() << " files written by us go through promtool\n";
}

TEST(VerdictTest, PromtoolTakesWhatIsConfined) {
  const Directory directory;
  std::vector<std::string> written;
  for (const std::string& path : Files("good")) {
    ParsedFile file = Parse(ReadFile(path));
    std::vector<Group> confined;
    for (Group& group : file.groups) {
      if (Confine(Labels{{"namespace", "it's \"red\""}}, {}, &group).empty()) {
        confined.push_back(std::move(group));
      }
    }
    written.push_back(directory.Write(FileName(path), Write(confined)));
  }
  const auto answers = Promtool(written);
  ASSERT_THAT(answers, SizeIs(written.size()));
  for (const auto& [path, answer] : answers) {
    EXPECT_NE(VerdictOf(answer), Verdict::kBroken) << path << "\n" << answer;
  }
}

// Files as they come out of accidents: a piece put in, cut out, or moved.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string Mutate(std::string text) {
    static constexpr const char* kPieces[] = {
        " ",     "  ",    "\n",    "- ",     ":",       ": ",       "\"",
        "'",     "[",     "]",     "{",      "}",       ",",        "#",
        "&a ",   "*a",    "<<: ",  "~",      "null",    "!!str ",   "|",
        ">",     "---\n", "...\n", "\t",     "? ",      "@",        "`",
        "%",     "\\",    "\r\n",  "0",      "5",       "1m",       "5x",
        "-1",    "0x10",  "yes",   "name: ", "record",  "alert",    "expr: ",
        "for: ", "rules", "{{",    "}}",     "{{end}}", "{{ $x }}", "\x07"};
    if (text.empty()) text = "x";
    const size_t at = Below(text.size());
    const char* piece = kPieces[Below(std::size(kPieces))];
    switch (Below(4)) {
      case 0:
        return text.substr(0, at) + piece + text.substr(at);
      case 1:
        return text.erase(at, 1 + Below(6));
      case 2:
        return text.replace(at, 1 + Below(6), piece);
      default:
        return text.substr(0, at);
    }
  }

  size_t Below(size_t n) { return random_() % n; }

 private:
  std::mt19937 random_;
};

TEST(VerdictTest, PromtoolTakesWhateverWeTake) {
  const Directory directory;
  const std::vector<std::string> sources = Files("good");
  Mutator mutator(2024);
  std::map<std::string, Verdict> verdicts;
  std::vector<std::string> paths;
  for (int i = 0; i < 2000; ++i) {
    const std::string text =
        mutator.Mutate(ReadFile(sources[mutator.Below(sources.size())]));
    const ParsedFile file = Parse(text);
    paths.push_back(directory.Write(absl::StrCat("mutant", i), text));
    verdicts[paths.back()] = VerdictOf(file);
    // And always what we make of what is left of it.
    paths.push_back(
        directory.Write(absl::StrCat("written", i), Write(file.groups)));
    verdicts[paths.back()] = VerdictOf(Parse(Write(file.groups)));
    EXPECT_NE(verdicts[paths.back()], Verdict::kBroken) << text;
  }

  size_t agreed = 0;
  for (size_t i = 0; i < paths.size(); i += 500) {
    const auto answers = Promtool(
        {paths.begin() + i, paths.begin() + std::min(i + 500, paths.size())});
    for (const auto& [path, answer] : answers) {
      const Verdict theirs = VerdictOf(answer);
      if (theirs == verdicts[path]) ++agreed;
      EXPECT_TRUE(theirs == verdicts[path] ||
                  verdicts[path] == Verdict::kBroken)
          << path << "\n"
          << ReadFile(path) << answer;
    }
  }
  std::cout << agreed << " of " << paths.size()
            << " verdicts on mutated files and what is written of them agree\n";
  EXPECT_GE(agreed, paths.size() * 99 / 100);
}

}  // namespace
}  // namespace insula::rules
