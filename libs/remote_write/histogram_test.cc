#include "libs/remote_write/histogram.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "io/prometheus/write/v2/types.pb.h"
#include "prometheus/remote.pb.h"

namespace insula::remote_write {
namespace {

using testing::Eq;
using testing::Optional;
using V2 = io::prometheus::write::v2::Histogram;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Buckets 1, 3 | 2 on the positive side, 4 on the negative one, 5 at zero.
V2 Integers() {
  V2 h;
  h.set_count_int(15);
  h.set_sum(2.5);
  h.set_schema(3);
  h.set_zero_threshold(1e-9);
  h.set_zero_count_int(5);
  auto* span = h.add_positive_spans();
  span->set_offset(-2);
  span->set_length(2);
  span = h.add_positive_spans();
  span->set_offset(7);
  span->set_length(1);
  for (const int64_t delta : {1, 2, -1}) h.add_positive_deltas(delta);
  h.add_negative_spans()->set_length(1);
  h.add_negative_deltas(4);
  return h;
}

V2 Floats() {
  V2 h;
  h.set_count_float(3.5);
  h.set_sum(2.5);
  h.set_zero_count_float(0.5);
  h.add_positive_spans()->set_length(2);
  h.add_positive_counts(1);
  h.add_positive_counts(2);
  return h;
}

// Bounds 1 and 2.5; buckets 3, 0 and 1, of which the last ends at +Inf.
V2 Custom() {
  V2 h;
  h.set_count_int(4);
  h.set_schema(-53);
  h.add_custom_values(1);
  h.add_custom_values(2.5);
  h.add_positive_spans()->set_length(3);
  for (const int64_t delta : {3, -3, 1}) h.add_positive_deltas(delta);
  return h;
}

TEST(HistogramTest, TakesWhatIsConsistent) {
  EXPECT_EQ(FindHistogramFault(Integers().SerializeAsString()), std::nullopt);
  EXPECT_EQ(FindHistogramFault(Floats().SerializeAsString()), std::nullopt);
  EXPECT_EQ(FindHistogramFault(Custom().SerializeAsString()), std::nullopt);
  EXPECT_EQ(FindHistogramFault(""), std::nullopt);
}

struct Case {
  const char* what;
  V2 (*base)();
  std::function<void(V2*)> change;
  std::optional<Reason> fault;
};

class HistogramCaseTest : public testing::TestWithParam<Case> {};

TEST_P(HistogramCaseTest, Judges) {
  V2 histogram = GetParam().base();
  GetParam().change(&histogram);
  EXPECT_EQ(FindHistogramFault(histogram.SerializeAsString()),
            GetParam().fault);
}

constexpr Reason kBad = Reason::kHistogramInvalid;
constexpr Reason kSchema = Reason::kHistogramSchemaInvalid;

INSTANTIATE_TEST_SUITE_P(
    Cases, HistogramCaseTest,
    testing::Values(
        Case{"count_below", Integers, [](V2* h) { h->set_count_int(14); },
             kBad},
        Case{"count_above", Integers, [](V2* h) { h->set_count_int(16); },
             kBad},
        Case{"more_counted_with_a_nan", Integers,
             [](V2* h) {
               h->set_count_int(16);
               h->set_sum(kNan);
             },
             std::nullopt},
        Case{"fewer_counted_with_a_nan", Integers,
             [](V2* h) {
               h->set_count_int(14);
               h->set_sum(kNan);
             },
             kBad},
        Case{"bucket_without_a_span", Integers,
             [](V2* h) { h->add_positive_deltas(-2); }, kBad},
        Case{"span_without_a_bucket", Integers,
             [](V2* h) { h->add_negative_spans()->set_length(1); }, kBad},
        Case{"negative_bucket", Integers,
             [](V2* h) {
               h->set_positive_deltas(2, -4);
               h->set_count_int(12);
             },
             kBad},
        Case{"overlapping_spans", Integers,
             [](V2* h) { h->mutable_positive_spans(1)->set_offset(-1); }, kBad},
        Case{"float_buckets_of_integers", Integers,
             [](V2* h) { h->add_positive_counts(1); }, kBad},
        Case{"overflow", Integers,
             [](V2* h) {
               for (int i = 0; i < 3; ++i) {
                 h->set_positive_deltas(i, std::numeric_limits<int64_t>::max());
               }
             },
             kBad},
        Case{"lowest_delta", Integers,
             [](V2* h) {
               h->set_positive_deltas(0, std::numeric_limits<int64_t>::min());
             },
             kBad},
        Case{"overflowing_zero_count", Integers,
             [](V2* h) { h->set_zero_count_int(UINT64_MAX); }, kBad},
        Case{"schema_too_fine", Integers, [](V2* h) { h->set_schema(9); },
             kSchema},
        Case{"finest_schema", Integers, [](V2* h) { h->set_schema(8); },
             std::nullopt},
        Case{"schema_too_coarse", Integers, [](V2* h) { h->set_schema(-5); },
             kSchema},
        Case{"coarsest_schema", Integers, [](V2* h) { h->set_schema(-4); },
             std::nullopt},
        Case{"bounds_without_custom_buckets", Integers,
             [](V2* h) { h->add_custom_values(1); }, kBad},
        Case{"negative_float_bucket", Floats,
             [](V2* h) { h->set_positive_counts(1, -2); }, kBad},
        Case{"negative_float_count", Floats,
             [](V2* h) { h->set_count_float(-1); }, kBad},
        Case{"negative_zero_count", Floats,
             [](V2* h) { h->set_zero_count_float(-0.5); }, kBad},
        // Floats do not add up exactly.
        Case{"other_float_count", Floats,
             [](V2* h) { h->set_count_float(3.25); }, std::nullopt},
        Case{"too_few_float_buckets", Floats,
             [](V2* h) { h->mutable_positive_counts()->RemoveLast(); }, kBad},
        Case{"integer_buckets_of_floats", Floats,
             [](V2* h) { h->add_positive_deltas(1); }, kBad},
        Case{"equal_bounds", Custom, [](V2* h) { h->set_custom_values(1, 1); },
             kBad},
        Case{"descending_bounds", Custom,
             [](V2* h) { h->set_custom_values(1, 0.5); }, kBad},
        Case{"infinite_bound", Custom,
             [](V2* h) { h->set_custom_values(1, kInf); }, kBad},
        Case{"too_few_bounds", Custom,
             [](V2* h) { h->mutable_custom_values()->RemoveLast(); }, kBad},
        Case{"buckets_beyond_the_bounds", Custom,
             [](V2* h) { h->mutable_positive_spans(0)->set_offset(1); }, kBad},
        Case{"custom_buckets_below_zero", Custom,
             [](V2* h) { h->mutable_positive_spans(0)->set_offset(-1); }, kBad},
        Case{"custom_negative_side", Custom,
             [](V2* h) { h->add_negative_spans(); }, kBad},
        Case{"custom_zero_bucket", Custom,
             [](V2* h) {
               h->set_zero_count_int(1);
               h->set_count_int(5);
             },
             kBad},
        Case{"custom_zero_threshold", Custom,
             [](V2* h) { h->set_zero_threshold(0.1); }, kBad}),
    [](const auto& param) { return std::string(param.param.what); });

TEST(HistogramTest, ReadsUnpackedBucketsAndThoseOf1) {
  const std::string packed = Integers().SerializeAsString();
  prometheus::Histogram first;
  ASSERT_TRUE(first.ParseFromString(packed));
  EXPECT_EQ(FindHistogramFault(first.SerializeAsString()), std::nullopt);

  // Field 12, deltas 1, 2 and -1, one by one in place of packed.
  V2 without = Integers();
  without.clear_positive_deltas();
  const std::string unpacked =
      without.SerializeAsString() + "\x60\x02\x60\x04\x60\x01";
  EXPECT_EQ(FindHistogramFault(unpacked), std::nullopt);
  EXPECT_THAT(FindHistogramFault(unpacked + std::string("\x60\x00", 2)),
              Optional(Eq(kBad)));
}

}  // namespace
}  // namespace insula::remote_write
