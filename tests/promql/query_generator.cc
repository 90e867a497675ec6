#include "tests/promql/query_generator.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/promql/servers.h"

namespace insula::promql {

std::string QueryGenerator::Query(bool ranges) {
  if (ranges && Below(12) == 0) {
    return Below(4) == 0 ? absl::StrCat("(", Range(), ")") : Range();
  }
  if (ranges && Below(30) == 0)
    return absl::StrCat("(", Vector(1), ")[2m:30s]");
  return Vector(3);
}

std::string QueryGenerator::Selector() {
  std::vector<std::string> matchers;
  const bool named = Below(100) < 65;
  for (int i = Below(3); i > 0; --i) {
    matchers.push_back(
        Pick({"ns=\"red\"", "ns=\"blue\"", "ns!=\"red\"", "ns=\"\"",
              "pod=\"p1\"", "pod=~\"p1|p2\"", "pod!~\"p3\"", "code=~\"5..\"",
              "code=\"200\"", "code!=\"404\"", "team=\"t\"", "team!=\"\""}));
  }
  std::string name = Pick({"a", "a", "b", "b", "b_total", "c", "gone"});
  if (!named) {
    matchers.push_back(
        Pick({"__name__=~\"a|b\"", "__name__=~\"b.*\"", "__name__=~\".+\"",
              "__name__!=\"\"", "ns=\"red\"", "pod=~\"p.\"", "code=\"500\""}));
    name.clear();
  } else if (Below(10) == 0) {
    matchers.push_back(absl::StrCat("__name__=\"", name, "\""));
    name.clear();
  }
  return absl::StrCat(
      name, matchers.empty()
                ? ""
                : absl::StrCat("{", absl::StrJoin(matchers, ","), "}"));
}

std::string QueryGenerator::Modifiers() {
  if (Below(6) != 0) return "";
  return Pick({" offset 1m", " offset -30s", " @ start()", " @ end()",
               absl::StrCat(" @ ", kStart + 600),
               absl::StrCat(" @ ", kStart + 300, " offset 1m")});
}

std::string QueryGenerator::Range() {
  return absl::StrCat(Selector(), "[", Pick({"45s", "2m", "5m"}), "]",
                      Modifiers());
}

std::string QueryGenerator::Scalar(int depth) {
  if (depth <= 0 || Below(3) != 0) return Pick({"0.5", "2", "0.9"});
  return absl::StrCat("scalar(sum(", Vector(depth - 1), "))");
}

std::string QueryGenerator::OfRange(int depth) {
  if (Below(8) == 0 && depth > 0) {
    // No function that tells a value from one that is the least bit smaller.
    return absl::StrCat(
        Pick({"avg_over_time", "min_over_time", "max_over_time",
              "sum_over_time", "count_over_time", "last_over_time",
              "present_over_time", "absent_over_time", "delta"}),
        "((", Vector(depth - 1), ")[3m:30s])");
  }
  std::string range = Range();
  if (Below(10) == 0) range = absl::StrCat("(", range, ")");
  switch (Below(10)) {
    case 0:
      return absl::StrCat("quantile_over_time(", Scalar(depth - 1), ", ", range,
                          ")");
    case 1:
      return absl::StrCat("predict_linear(", range, ", 60)");
    case 2:
      return absl::StrCat("holt_winters(", range, ", 0.5, 0.5)");
    case 3:
    case 4:
      return absl::StrCat("absent_over_time(", range, ")");
    default:
      return absl::StrCat(
          Pick({"rate", "increase", "irate", "delta", "idelta", "changes",
                "resets", "deriv", "avg_over_time", "min_over_time",
                "max_over_time", "sum_over_time", "count_over_time",
                "last_over_time", "last_over_time", "present_over_time",
                "stddev_over_time", "stdvar_over_time"}),
          "(", range, ")");
  }
}

std::string QueryGenerator::Aggregate(int depth) {
  const std::string group = Pick({"", "", " by (ns) ", " by (pod, code) ",
                                  " without (pod) ", " by (__name__) "});
  switch (Below(7)) {
    case 3:
      return absl::StrCat("stddev", group, "(", Selector(), ")");
    case 0:
      return absl::StrCat(Pick({"topk", "bottomk"}), group, "(2, ", Selector(),
                          ")");
    case 1:
      return absl::StrCat("quantile", group, "(", Scalar(depth - 1), ", ",
                          Vector(depth - 1), ")");
    case 2:
      return absl::StrCat("count_values", group, "(\"v\", ", Selector(), ")");
    default:
      return absl::StrCat(Pick({"sum", "min", "max", "count", "group", "avg"}),
                          group, "(", Vector(depth - 1), ")");
  }
}

std::string QueryGenerator::Binary(int depth) {
  switch (Below(4)) {
    case 0:
      return absl::StrCat(Vector(depth - 1),
                          Pick({" + ", " * ", " > ", " < bool ", " - "}),
                          Scalar(depth - 1));
    case 1:
      return absl::StrCat(Vector(depth - 1),
                          Pick({" and ", " or ", " unless ", " or on (ns) ",
                                " and ignoring (pod, code, team) "}),
                          Vector(depth - 1));
    case 2:
      return absl::StrCat(Vector(depth - 1), Pick({" + ", " - ", " > "}),
                          "on (ns, pod, code, team) ", Vector(depth - 1));
    default:
      return absl::StrCat(Vector(depth - 1),
                          " * on (ns) group_left () sum by (ns) (",
                          Vector(depth - 1), ")");
  }
}

std::string QueryGenerator::Vector(int depth) {
  const int choice = depth <= 0 ? Below(5) : Below(20);
  switch (choice) {
    case 0:
    case 1:
      return Selector() + Modifiers();
    case 2:
    case 3:
    case 5:
    case 6:
    case 7:
      return OfRange(depth);
    case 4:
      return absl::StrCat(Pick({"timestamp(", "absent(", "absent("}),
                          Selector(), Modifiers(), ")");
    case 8:
      return absl::StrCat("timestamp((", Selector(), "))");
    case 9:
    case 10:
    case 11:
      return Aggregate(depth);
    case 12:
    case 13:
    case 14:
      return absl::StrCat("(", Binary(depth), ")");
    case 15:
      return absl::StrCat("-(", Vector(depth - 1), ")");
    case 16:
      return absl::StrCat("label_replace(", Vector(depth - 1),
                          ", \"x\", \"$1\", \"pod\", \"p(.*)\")");
    case 17:
      return absl::StrCat(
          Pick({"abs", "sort", "floor", "sgn", "timestamp", "absent", "hour"}),
          "(", Vector(depth - 1), ")");
    case 18:
      return absl::StrCat("histogram_quantile(0.9, sum by (le, ns) (rate(",
                          "h_bucket[5m])))");
    default:
      return absl::StrCat("vector(", Scalar(depth), ")");
  }
}

}  // namespace insula::promql
