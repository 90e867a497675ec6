// Forty hostile requests as red, none of which may show anything of blue; and
// the same forty against a frontend whose confinement is broken on purpose,
// which have to show it: a test of a wall must be able to see a hole.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/harness/constellation.h"

namespace insula::e2e {
namespace {

using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Stands in a label value, a label name and a metric name of blue.
constexpr char kCanary[] = "canary5c1e";
// A value of blue, and sums that hold it.
constexpr double kSecretValue = 90210777;
constexpr char kSecretDigits[] = "90210777";

struct Attack {
  const char* method;
  const char* target;  // Below /api/v1, or from '/' on.
  std::vector<std::pair<std::string, std::string>> params;
};

// The queries; each is sent as `query` by POST.
const std::vector<const char*>& HostileQueries() {
  static const std::vector<const char*> queries = {
      R"(secret)",
      R"({namespace="blue"})",
      R"({namespace=~".+"})",
      R"({namespace!="red"})",
      R"({namespace=~"red|blue"})",
      R"({__name__=~".+",namespace!~"red"})",
      R"({__name__="secret",namespace="blue"})",
      R"(secret{namespace="blue",namespace=~".*"})",
      R"(max(secret))",
      R"(sum(secret{namespace=~".*"}) by (owner))",
      R"(up or secret)",
      R"(vector(1) + on() group_left(owner) max(secret) by (owner))",
      R"(vector(0) unless on() (vector(0) unless on() secret))",
      R"(topk(scalar(max(secret)) / 90210777 + 1, marker))",
      R"(quantile(scalar(max(secret)), marker))",
      R"(count_values("owner", secret))",
      R"(max_over_time(secret[1h]))",
      R"(max_over_time(secret[1h:1m]))",
      R"(max_over_time(max_over_time(secret[30m:1m])[30m:1m]))",
      R"(secret offset -1s)",
      R"(secret @ end())",
      R"(last_over_time(secret[1h] @ end()))",
      R"(label_replace(secret, "__name__", "mine", "", ""))",
      R"(label_join(secret, "namespace", "", "job"))",
      R"(label_replace(secret, "namespace", "red", "", ""))",
      R"(-secret)",
      R"(+(-(secret)))",
      R"(scalar(secret))",
      R"(vector(scalar(max(secret))))",
      R"(marker * on() group_left() secret)",
      R"(secret # {namespace="red"})",
      "secret\n#\n{namespace=\"blue\"}",
      R"(absent(marker) or secret)",
  };
  return queries;
}

std::vector<Attack> Attacks() {
  std::vector<Attack> attacks;
  for (const char* query : HostileQueries()) {
    attacks.push_back({"POST", "/api/v1/query", {{"query", query}}});
  }
  attacks.insert(
      attacks.end(),
      {
          {"POST", "/api/v1/series", {{"match[]", "{namespace=\"blue\"}"}}},
          {"POST", "/api/v1/series?match[]=secret", {{"match[]", "marker"}}},
          {"GET", "/api/v1/labels", {}},
          {"GET", "/api/v1/label/owner/values", {}},
          {"GET", "/api/v1/label/__name__/values", {}},
          {"GET", "/api/v1/label/namespace/values?match[]=secret", {}},
          {"POST",
           "/prometheus/api/v1/query?query=secret",
           {{"query", "marker"}}},
      });
  return attacks;
}

class IsolationTest : public testing::Test {
 protected:
  void SetUp() override {
    constellation_.StartStore();
    constellation_.StartRegistry();
    constellation_.StartGateway();
    const absl::Time now = absl::Now() - absl::Seconds(5);
    const HttpAnswer answer = constellation_.Write(
        Constellation::kSender,
        WriteBody({{{{"__name__", "marker"}, {"namespace", "red"}}, 1, now},
                   {{{"__name__", "marker"}, {"namespace", "blue"}}, 1, now},
                   {{{"__name__", "secret"},
                     {"namespace", "blue"},
                     {"owner", kCanary},
                     {absl::StrCat("z_", kCanary), "x"}},
                    kSecretValue,
                    now},
                   {{{"__name__", absl::StrCat("s_", kCanary)},
                     {"namespace", "blue"}},
                    kSecretValue,
                    now}}));
    ASSERT_EQ(answer.status, 204) << answer.body;
  }

  HttpAnswer Send(const Attack& attack) const {
    return HttpSend(constellation_.frontend_port(), attack.method,
                    attack.target,
                    {Bearer(Constellation::kRed),
                     {"Content-Type", "application/x-www-form-urlencoded"},
                     {"X-Scope-OrgID", "red"}},
                    FormEncode(attack.params));
  }

  struct Findings {
    std::vector<std::string> leaks;  // Attacks whose answers show some of blue.
    // Of which the frontend saw that the store's answers would have.
    std::vector<std::string> withheld;
  };
  Findings SendAttacks() const {
    Findings findings;
    for (const Attack& attack : Attacks()) {
      const HttpAnswer answer = Send(attack);
      const std::string name =
          absl::StrCat(attack.target, " ",
                       attack.params.empty() ? "" : attack.params[0].second);
      if (absl::StrContains(answer.body, kCanary) ||
          absl::StrContains(answer.head, kCanary) ||
          absl::StrContains(answer.body, kSecretDigits)) {
        findings.leaks.push_back(name);
      } else if (answer.status == 500) {
        findings.withheld.push_back(name);
      }
    }
    return findings;
  }

  Constellation constellation_;
};

TEST_F(IsolationTest, FortyHostileRequestsShowNothingOfTheOtherTenant) {
  ASSERT_THAT(Attacks(), SizeIs(40));
  constellation_.StartFrontend();
  const Findings findings = SendAttacks();
  EXPECT_THAT(findings.leaks, IsEmpty());
  EXPECT_THAT(findings.withheld, IsEmpty());
  // The owner does see it, by the same kinds of request.
  EXPECT_TRUE(absl::StrContains(
      constellation_.Query(Constellation::kBlue, "secret").body, kCanary));
  EXPECT_TRUE(absl::StrContains(
      constellation_.Get(Constellation::kBlue, "/api/v1/label/owner/values")
          .body,
      kCanary));
}

TEST_F(IsolationTest, TheSameFortyFindABrokenConfinement) {
  constellation_.StartBrokenFrontend();
  const Findings findings = SendAttacks();
  EXPECT_THAT(findings.leaks, SizeIs(Gt(10u)));
  EXPECT_THAT(findings.withheld, SizeIs(Gt(10u)));
}

}  // namespace
}  // namespace insula::e2e
