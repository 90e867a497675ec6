#include "libs/http/literal_address.h"

#include <gtest/gtest.h>

#include <string>

namespace insula::http {
namespace {

std::string InText(absl::string_view host) {
  const auto address = AddressInText(host);
  return address.has_value() ? address->to_string() : "none";
}

TEST(AddressInTextTest, KnowsEverySpelling) {
  for (const char* host :
       {"169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe",
        "169.254.43518", "0251.0376.0251.0376"}) {
    EXPECT_EQ(InText(host), "169.254.169.254") << host;
  }
  EXPECT_EQ(InText("::ffff:169.254.169.254"), "::ffff:169.254.169.254");
  EXPECT_EQ(InText("fd00:ec2::254"), "fd00:ec2::254");
  EXPECT_EQ(InText("167772161"), "10.0.0.1");
}

TEST(AddressInTextTest, KnowsTheNamesOfTheMetadata) {
  for (const char* host : {"metadata.google.internal", "Metadata.Goog.",
                           "instance-data", "METADATA"}) {
    EXPECT_EQ(InText(host), "169.254.169.254") << host;
  }
}

TEST(AddressInTextTest, OtherNamesMustBeLookedUp) {
  for (const char* host :
       {"", ".", "prometheus", "metadata.example", "x.metadata",
        "169.254.169.254.example", "x169.254.169.254", "999.1.1.1"}) {
    EXPECT_EQ(InText(host), "none") << host;
  }
}

}  // namespace
}  // namespace insula::http
