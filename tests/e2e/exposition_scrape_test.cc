// libs/exposition against a real Prometheus: both read the same texts, and each
// reads what the other writes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/substitute.h"
#include "libs/exposition/duplicate_check.h"
#include "libs/exposition/metric_type.h"
#include "libs/exposition/recorder.h"
#include "libs/exposition/text_generator.h"
#include "libs/exposition/text_parser.h"
#include "libs/exposition/text_printer.h"
#include "tests/e2e/harness/http.h"
#include "tests/e2e/harness/process.h"

namespace insula::e2e {
namespace {

using exposition::Format;
using ::testing::AnyOf;
using ::testing::HasSubstr;

struct Case {
  std::string name;
  Format format;
  std::string text;
};

// Serves each case at /NAME, one connection after the other.
class CaseServer {
 public:
  explicit CaseServer(const std::vector<Case>& cases) {
    for (const Case& c : cases) cases_["/" + c.name] = &c;
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 128), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~CaseServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }

 private:
  void Serve() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;
         close(fd)) {
      std::string head;
      char buffer[4096];
      while (!absl::StrContains(head, "\r\n\r\n")) {
        const ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
        if (count <= 0) break;
        head.append(buffer, static_cast<size_t>(count));
      }
      const std::vector<std::string> words = absl::StrSplit(head, ' ');
      const auto found = cases_.find(words.size() > 1 ? words[1] : "");
      if (found == cases_.end()) continue;
      const Case& c = *found->second;
      const std::string answer = absl::StrCat(
          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: ",
          exposition::ContentType(c.format),
          "\r\nContent-Length: ", c.text.size(), "\r\n\r\n", c.text);
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  std::map<std::string, const Case*> cases_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

class Prometheus {
 public:
  Prometheus(const TempDir& dir, absl::string_view config)
      : port_(ClaimPort()) {
    process_ = std::make_unique<Process>(
        "/usr/bin/prometheus",
        std::vector<std::string>{
            "--config.file=" + dir.Write("prometheus.yml", config),
            absl::StrCat("--storage.tsdb.path=", dir.path(), "/tsdb"),
            absl::StrCat("--web.listen-address=127.0.0.1:", port_)},
        dir.path() + "/prometheus.log");
  }

  nlohmann::json Query(const std::string& query) const {
    const HttpAnswer answer = HttpSend(
        port_, "GET", "/api/v1/query?" + FormEncode({{"query", query}}));
    if (answer.status != 200) return nlohmann::json::array();
    return nlohmann::json::parse(answer.body)["data"]["result"];
  }
  HttpAnswer Get(absl::string_view target) const {
    return HttpSend(port_, "GET", target);
  }
  std::string LogTail() const { return process_->LogTail(); }

 private:
  const int port_;
  std::unique_ptr<Process> process_;
};

// The samples as Prometheus' API would show them: {"a":"b",...} value.
class Shown : public exposition::Sink {
 public:
  absl::Status OnSample(const exposition::Sample& sample) override {
    nlohmann::json labels = {{"__name__", std::string(sample.name)}};
    for (const exposition::Label& label : sample.labels) {
      if (label.value.empty()) continue;
      labels[std::string(label.name)] = std::string(label.value);
    }
    ++count_;
    values_.insert(absl::StrCat(labels.dump(), " ", sample.value));
    return absl::OkStatus();
  }
  int count() const { return count_; }
  const std::set<std::string>& values() const { return values_; }

 private:
  int count_ = 0;
  std::set<std::string> values_;
};

absl::Status ParseText(Format format, absl::string_view text,
                       exposition::Sink* sink) {
  exposition::TextParser parser({.format = format}, sink);
  const absl::Status status = parser.Feed(text);
  return status.ok() ? parser.Finish() : status;
}

std::vector<Case> MakeCases() {
  std::vector<Case> cases;
  const char* const kPlain[] = {
      "",
      "\n",
      "# EOF\na 1\n",
      "a 1\n\n b 2\n",
      "a{} 1 \t\n",
      "\ta { b = \"c\" , } 1\n",
      "a{b=\"c\"}1\n",
      "a+Inf\n",
      "a-1\n",
      "a{b=\"\\q\\n\\\\\\\"\"} 0.1\n",
      "a{b=\"\"} 1\n",
      "# HELP a\na 1\n",
      "#HELP 9\na 1\n",
      "# TYPE a\tcounter\na 1\n",
      "a 1 -5\n",
      "a 1 0\n",
      "a infinity\nb -INF\nc nan\nd +inf\ne 1e-400\nf 5e-324\ng 1.\nh .5\n",
      "a +nan\n",
      "a 0x10\n",
      "a 1e\n",
      "a 1e400\n",
      "a 1\r\n",
      "a\n",
      "a{b=\"1\",b=\"2\"} 1\n",
      "a{__name__=\"b\"} 1\n",
      "a{b=\"\xff\"} 1\n",
      "# HELP a \xff\n",
      "# \xff\na 1\n",
      "{\"a\"} 1\n",
      "a{\"b\"=\"c\"} 1\n",
      "# TYPE a gaugehistogram\n",
      "# UNIT a b\na 1\n",
      "a 1 9223372036854775808\n",
      "a 1 # {} 1\n",
      "a{,} 1\n",
      "a{b=\"c\",,} 1\n",
      "a 1 1 1\n"};
  const char* const kOpen[] = {"# EOF\n",
                               "# EOF",
                               "",
                               "a 1\n",
                               "# EOF\n\n",
                               "# EOF \n",
                               "# EOFx\n",
                               "a 1\n# EOF\n",
                               "a  1\n# EOF\n",
                               "a 1 \n# EOF\n",
                               "a 1.5 2.25\n# EOF\n",
                               "a 1 1.5e+09\n# EOF\n",
                               "a 1 NaN\n# EOF\n",
                               "a {} 1\n# EOF\n",
                               "a{b=\"c\",} 1\n# EOF\n",
                               "a{b=\"c\", d=\"e\"} 1\n# EOF\n",
                               "a_total 1 # {b=\"c\"} 1\n# EOF\n",
                               "a_bucket 1 1 # {} 1 1\n# EOF\n",
                               "a 1 # {b=\"c\"}\n# EOF\n",
                               "a 1 # {b=\"c\"} 1 1 1\n# EOF\n",
                               "# TYPE a untyped\n# EOF\n",
                               "# TYPE a stateset\n# EOF\n",
                               "# UNIT a_b b\n# EOF\n",
                               "# UNIT ab b\n# EOF\n",
                               "# UNIT a \n# EOF\n",
                               "# HELP a\n# EOF\n",
                               "# HELP a \n# EOF\n",
                               "# x\n# EOF\n",
                               "\n# EOF\n",
                               "#\tTYPE a counter\n# EOF\n",
                               "a{b=\"\\q\\\"\"} 1\n# EOF\n"};
  for (const char* text : kPlain) {
    cases.push_back(
        {absl::StrCat("p", cases.size()), Format::kPrometheus, text});
  }
  for (const char* text : kOpen) {
    cases.push_back(
        {absl::StrCat("o", cases.size()), Format::kOpenMetrics, text});
  }
  exposition::TextGenerator generator(7);
  for (int i = 0; i < 300; ++i) {
    const bool open = i % 2 == 0;
    std::string text = generator.Text(open, /*quoted=*/i % 10 == 0);
    // We refuse a line without end, Prometheus does not.
    if (!open && !absl::EndsWith(text, "\n")) text += "\n";
    cases.push_back({absl::StrCat(open ? "og" : "pg", i),
                     open ? Format::kOpenMetrics : Format::kPrometheus, text});
  }
  return cases;
}

// What only we refuse, as text_parser.h says.
bool IsStricterThanPrometheus(const Case& c, const absl::Status& status) {
  const absl::string_view message = status.message();
  return absl::StrContains(message, "no closing quote") ||
         absl::StrContains(message, "expected ',' or '}'") ||
         absl::StrContains(message, "a blank behind the name") ||
         absl::StrContains(c.text, absl::string_view("\0", 1)) ||
         // It drops empty values before it looks for names that come twice.
         (absl::StrContains(message, "comes twice") &&
          absl::StrContains(c.text, "=\"\""));
}

// What only Prometheus 2.42 refuses.
bool IsMilderThanPrometheus(const Case& c) {
  if (c.format == Format::kOpenMetrics) return absl::StrContains(c.text, ",}");
  for (const absl::string_view line : absl::StrSplit(c.text, '\n')) {
    const bool blank =
        absl::StartsWith(line, " ") || absl::StartsWith(line, "\t");
    if (blank || absl::StrContains(line, " -5")) return true;
  }
  return false;
}

TEST(ExpositionScrapeTest, PrometheusReadsTheSameTextsTheSameWay) {
  const std::vector<Case> cases = MakeCases();
  const TempDir dir;
  const CaseServer server(cases);
  std::string config =
      "global: {scrape_interval: 5s, scrape_timeout: 5s}\n"
      "scrape_configs:\n"
      "  - job_name: cases\n"
      "    honor_labels: true\n"
      "    honor_timestamps: false\n"
      "    metric_relabel_configs: [{action: labeldrop, regex: job|instance}]\n"
      "    static_configs:\n";
  for (const Case& c : cases) {
    absl::StrAppend(&config, "      - {targets: ['127.0.0.1:", server.port(),
                    "'], labels: {case: ", c.name, ", __metrics_path__: /",
                    c.name, "}}\n");
  }
  const Prometheus prometheus(dir, config);
  ASSERT_TRUE(WaitUntil(
      [&] {
        const auto count = prometheus.Query("count(up)");
        return !count.empty() &&
               count[0]["value"][1] == std::to_string(cases.size());
      },
      absl::Seconds(60)))
      << prometheus.LogTail();

  std::map<std::string, bool> taken;
  for (const auto& series : prometheus.Query("up")) {
    taken[series["metric"]["case"]] = series["value"][1] == "1";
  }
  std::map<std::string, int> counts;
  for (const auto& series : prometheus.Query("scrape_samples_scraped")) {
    counts[series["metric"]["case"]] =
        std::stoi(series["value"][1].get<std::string>());
  }
  int agreed = 0;
  int refused = 0;
  for (const Case& c : cases) {
    Shown shown;
    const absl::Status status = ParseText(c.format, c.text, &shown);
    if (status.ok() != taken[c.name]) {
      EXPECT_TRUE(status.ok() ? IsMilderThanPrometheus(c)
                              : IsStricterThanPrometheus(c, status))
          << c.name << ": Prometheus " << (taken[c.name] ? "takes" : "refuses")
          << " this, we say " << status << "\n"
          << c.text;
      continue;
    }
    ++agreed;
    if (!status.ok()) {
      ++refused;
      continue;
    }
    EXPECT_EQ(shown.count(), counts[c.name]) << c.name << "\n" << c.text;

    // Of a series that comes twice Prometheus keeps the first.
    exposition::Recorder ignored;
    exposition::DuplicateCheck unique(1000, &ignored);
    std::set<std::string> series;
    bool twice = false;
    for (const std::string& value : shown.values()) {
      twice |= !series.insert(value.substr(0, value.rfind(' '))).second;
    }
    if (twice) continue;
    std::set<std::string> kept;
    for (const auto& result : prometheus.Query(absl::StrCat(
             "{case=\"", c.name, "\",__name__!~\"up|scrape_.*\"}"))) {
      nlohmann::json labels = result["metric"];
      labels.erase("case");
      double value = 0;
      const std::string text = result["value"][1];
      EXPECT_TRUE(absl::SimpleAtod(text, &value)) << text;
      kept.insert(absl::StrCat(labels.dump(), " ", value));
    }
    EXPECT_EQ(kept, shown.values()) << c.name << "\n" << c.text;
  }
  EXPECT_GT(agreed, 330);
  EXPECT_GT(refused, 60);
  EXPECT_GT(agreed - refused, 150);
}

// What promtool says about a text.
std::string Promtool(const TempDir& dir, absl::string_view text) {
  const std::string path = dir.Write("metrics.txt", text);
  const std::string command =
      absl::StrCat("promtool check metrics <", path, " 2>&1; echo \"exit $?\"");
  FILE* const pipe = popen(command.c_str(), "r");
  std::string output;
  char buffer[4096];
  for (size_t count; (count = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    output.append(buffer, count);
  }
  pclose(pipe);
  return output;
}

bool IsMetadata(absl::string_view call) {
  const absl::string_view kind = call.substr(0, 5);
  return kind == "TYPE " || kind == "HELP " || kind == "UNIT ";
}

// Parses a body, prints it, and compares what is printed with the body.
void CheckBody(const TempDir& dir, const HttpAnswer& answer) {
  ASSERT_EQ(answer.status, 200) << answer.body;
  ASSERT_THAT(answer.head, HasSubstr("Content-Type: text/plain"));
  exposition::Recorder expected;
  ASSERT_EQ(ParseText(Format::kPrometheus, answer.body, &expected),
            absl::OkStatus());
  std::string printed;
  exposition::TextPrinter printer({}, &printed);
  ASSERT_EQ(ParseText(Format::kPrometheus, answer.body, &printer),
            absl::OkStatus());
  exposition::Recorder again;
  ASSERT_EQ(ParseText(Format::kPrometheus, printed, &again), absl::OkStatus());
  EXPECT_EQ(again.calls(), expected.calls());

  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(answer.body, '\n')) {
    if (!line.empty() && line[0] != '#') ++lines;
  }
  int samples = 0;
  for (const std::string& call : again.calls()) {
    if (!IsMetadata(call)) ++samples;
  }
  EXPECT_EQ(samples, lines);
  EXPECT_GT(samples, 200);

  // 3: it was read, and a rule of style is broken, the same in both.
  const std::string verdict = Promtool(dir, printed);
  EXPECT_THAT(verdict, AnyOf(HasSubstr("exit 0"), HasSubstr("exit 3")));
  EXPECT_EQ(verdict, Promtool(dir, answer.body));
}

TEST(ExpositionScrapeTest, BodiesOfRealServersAreReadAndPrintedAgain) {
  const TempDir dir;
  const int exporter_port = ClaimPort();
  const Process exporter(
      "/usr/bin/prometheus-node-exporter",
      {absl::StrCat("--web.listen-address=127.0.0.1:", exporter_port)},
      dir.path() + "/exporter.log");
  const Prometheus prometheus(
      dir, absl::Substitute("global: {scrape_interval: 1s}\n"
                            "scrape_configs:\n"
                            "  - job_name: node\n"
                            "    static_configs: [{targets: [127.0.0.1:$0]}]\n",
                            exporter_port));
  ASSERT_TRUE(WaitUntil([&] {
    return !prometheus.Query("node_cpu_seconds_total").empty();
  })) << prometheus.LogTail();

  CheckBody(dir, HttpSend(exporter_port, "GET", "/metrics"));
  CheckBody(dir, prometheus.Get("/metrics"));
  CheckBody(dir,
            prometheus.Get("/federate?" +
                           FormEncode({{"match[]", "{__name__=~\".+\"}"}})));
}

}  // namespace
}  // namespace insula::e2e
