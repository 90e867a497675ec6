#include "libs/runtime/main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/runtime/http_get.h"
#include "libs/runtime/version.h"

namespace insula::runtime {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Config {
  ProcessConfig process;
  std::string greeting = "hello";
  bool loud = false;
  config::Secret token;

  Config() { process.admin_listen_address = "127.0.0.1:0"; }
  void Describe(config::Fields& fields) {
    process.Describe(fields);
    fields.Add("greeting", greeting, "What to say.");
    fields.Add("loud", loud, "Whether to shout.");
    fields.Add("token", token, "Who says it.");
  }
  absl::Status Validate() const {
    if (greeting.empty()) {
      return absl::InvalidArgumentError("greeting: must not be empty");
    }
    return process.Validate();
  }
};

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

// What `run` was given.
Config* g_seen = nullptr;

absl::Status NoteConfig(const Config& config, Process&) {
  *g_seen = config;
  return absl::OkStatus();
}

Outcome RunMain(std::vector<std::string> words,
                absl::Status (*run)(const Config&, Process&) = NoteConfig) {
  words.insert(words.begin(), "greeter");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code =
      Main<Config>("greeter", static_cast<int>(words.size()), argv.data(), run);
  std::cout.flush();
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

class MainTest : public testing::Test {
 protected:
  MainTest() {
    g_seen = &seen_;
    std::filesystem::create_directories(dir_);
  }
  ~MainTest() override {
    std::filesystem::remove_all(dir_);
    unsetenv("GREETER_GREETING");
  }

  // Writes a configuration file and returns its path.
  std::string File(const std::string& text) {
    const std::string path = dir_ / "greeter.yaml";
    std::ofstream(path) << text;
    return path;
  }

  const std::filesystem::path dir_ = std::filesystem::path(testing::TempDir()) /
                                     absl::StrCat("main_test.", getpid());
  Config seen_;
};

TEST_F(MainTest, HelpListsSwitchesAndSettings) {
  for (const char* word : {"--help", "-h"}) {
    const Outcome outcome = RunMain({word});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out,
                AllOf(StartsWith("usage: greeter [health [--ready]] "),
                      HasSubstr("\n  health\n"), HasSubstr("--check-config"),
                      HasSubstr("GREETER_A_B"),
                      HasSubstr("  --greeting STRING, default hello\n"),
                      HasSubstr("  --admin.listen-address STRING")));
  }
}

TEST_F(MainTest, HelpMarkdownIsATable) {
  const Outcome outcome = RunMain({"--help-markdown"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out,
              HasSubstr("| `greeting` | string | `hello` | What to say. |\n"));
}

TEST_F(MainTest, VersionNamesServiceAndVersion) {
  const Outcome outcome = RunMain({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, absl::StrCat("greeter ", Version(), "\n"));
}

TEST_F(MainTest, FlagsComeInEitherForm) {
  EXPECT_EQ(
      RunMain({"--greeting=hi=1", "--drain-timeout", "3s", "--loud"}).code, 0);
  EXPECT_EQ(seen_.greeting, "hi=1");
  EXPECT_EQ(seen_.process.drain_timeout, absl::Seconds(3));
  EXPECT_TRUE(seen_.loud);
  EXPECT_EQ(RunMain({"--loud", "false", "--drain_timeout=4s"}).code, 0);
  EXPECT_FALSE(seen_.loud);
  EXPECT_EQ(seen_.process.drain_timeout, absl::Seconds(4));
}

TEST_F(MainTest, FileEnvironmentAndFlagsAreLayers) {
  const std::string file =
      File("greeting: file\nloud: true\ndrain_timeout: 7s\n");
  setenv("GREETER_GREETING", "env", 1);
  EXPECT_EQ(RunMain({"--config", file, "--drain-timeout=9s"}).code, 0);
  EXPECT_EQ(seen_.greeting, "env");
  EXPECT_TRUE(seen_.loud);
  EXPECT_EQ(seen_.process.drain_timeout, absl::Seconds(9));
}

TEST_F(MainTest, AWrongConfigurationIsExitCode2AndNamesThePlace) {
  const std::string file = File("loud: true\ngreting: hi\n");
  Outcome outcome = RunMain({"--config", file});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            absl::StrCat("greeter: ", file,
                         ":2: greting: is unknown; did you mean greeting?\n"));

  outcome = RunMain({"--config=" + File("greeting: \"\"")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, absl::StrCat("greeter: ", file,
                                      ":1: greeting: must not be empty\n"));

  outcome = RunMain({"--log-level=loud"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              StartsWith("greeter: flag --log-level: log_level: "));
}

TEST_F(MainTest, AWrongCommandLineIsExitCode2) {
  const auto error = [](std::vector<std::string> words) {
    const Outcome outcome = RunMain(std::move(words));
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_THAT(error({"now"}),
              StartsWith("greeter: 'now' is not understood; settings are"));
  EXPECT_THAT(error({"--"}), StartsWith("greeter: '--' is not understood"));
  EXPECT_THAT(error({"--greeting"}),
              StartsWith("greeter: flag --greeting: needs a value"));
  EXPECT_THAT(error({"--greeting", "--loud"}), HasSubstr("needs a value"));
  EXPECT_EQ(error({"--gretting=a"}),
            "greeter: flag --gretting: is unknown; did you mean --greeting?\n");
  EXPECT_EQ(error({"--ready"}),
            "greeter: flag --ready: goes with the word health in front\n");
  EXPECT_THAT(error({"--ready", "health"}),
              StartsWith("greeter: 'health' is not understood"));
  EXPECT_EQ(error({"--help=yes"}), "greeter: flag --help: takes no value\n");
  EXPECT_EQ(error({"--config=a", "--config=b"}),
            "greeter: flag --config: must name one file\n");
  EXPECT_EQ(error({"--config", "/nonexistent.yaml"}),
            "greeter: /nonexistent.yaml: can't be read: No such file or "
            "directory\n");
  EXPECT_THAT(error({"--config", dir_}), HasSubstr("can't be read"));
  EXPECT_THAT(error({"--config", File(std::string((1 << 20) + 1, '#'))}),
              EndsWith("greeter.yaml: is larger than 1 MiB\n"));
}

TEST_F(MainTest, CheckConfigDoesNotRun) {
  const Outcome good = RunMain({"--check-config", "--greeting=a"});
  EXPECT_EQ(good.code, 0);
  EXPECT_EQ(good.out, "greeter: the configuration is valid\n");
  EXPECT_EQ(seen_.greeting, "hello");
  EXPECT_THAT(good.err, IsEmpty());

  EXPECT_EQ(RunMain({"--check-config", "--drain-timeout=20"}).code, 2);
}

TEST_F(MainTest, HealthAsksTheServiceThatRuns) {
  static std::string ports;
  ports = dir_ / "ports";
  static std::string wanted;
  wanted = "--ports-file=" + ports;
  const Outcome outcome =
      RunMain({wanted}, [](const Config&, Process& process) {
        process.AddReadyCheck("store",
                              [] { return absl::UnavailableError("gone"); });
        process.SetReady();
        // One capture of stdout and stderr can't hold another.
        const std::string out = testing::internal::GetCapturedStdout();
        const std::string err = testing::internal::GetCapturedStderr();
        const Outcome alive = RunMain({"health", wanted});
        EXPECT_EQ(alive.code, 0);
        EXPECT_EQ(alive.out + alive.err, "");
        const Outcome ready = RunMain({"health", "--ready", wanted});
        EXPECT_EQ(ready.code, 1);
        EXPECT_EQ(ready.err,
                  absl::StrCat("greeter: http://", process.admin_address(),
                               "/readyz: 503 store: gone\n"));
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        std::cout << out;
        std::cerr << err;
        return absl::OkStatus();
      });
  EXPECT_EQ(outcome.code, 0);
}

TEST_F(MainTest, HealthIsExitCode1WithoutAService) {
  const Outcome nobody = RunMain({"health"});
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.err, StartsWith("greeter: admin.listen_address: has port "
                                     "0 and there is no ports_file"));
  EXPECT_EQ(seen_.greeting, "hello");  // Nothing ran.

  const Outcome wrong = RunMain({"health", "--gretting=a"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_EQ(wrong.err,
            "greeter: flag --gretting: is unknown; did you mean --greeting?\n");
  EXPECT_EQ(RunMain({"health", "now"}).code, 1);
  EXPECT_EQ(RunMain({"health", "--greeting="}).code, 1);
  EXPECT_EQ(RunMain({"health", "--help"}).code, 0);
}

TEST_F(MainTest, AFailureOfRunIsExitCode1AndLogged) {
  const Outcome outcome = RunMain({}, [](const Config&, Process&) {
    return absl::UnavailableError("no disk");
  });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("level=error service=greeter msg=failed "
                                     "err=\"UNAVAILABLE: no disk\""));
}

TEST_F(MainTest, AnAdminAddressThatCannotBeBoundIsExitCode1) {
  const Outcome outcome = RunMain({"--admin.listen-address=192.0.2.1:80"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("msg=failed"), HasSubstr("admin"),
                                 HasSubstr("192.0.2.1:80")));
}

TEST_F(MainTest, ADrainAfterSigtermIsExitCode0) {
  const Outcome outcome = RunMain(
      {"--config", File("token: s3cret"), "--log-format=json"},
      [](const Config&, Process& process) {
        process.SetReady();
        const std::string shown = HttpGet(process.admin_address(), "/config");
        EXPECT_THAT(shown, AllOf(HasSubstr("token: \"<redacted>\"\n"),
                                 HasSubstr("admin:\n  listen_address: ")));
        EXPECT_THAT(shown, Not(HasSubstr("s3cret")));
        kill(getpid(), SIGTERM);
        process.WaitForSignal();
        return absl::OkStatus();
      });
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("\"msg\":\"listening\""),
                                 HasSubstr("\"msg\":\"draining\""),
                                 HasSubstr("\"msg\":\"stopped\"")));
  EXPECT_THAT(outcome.err, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace insula::runtime
