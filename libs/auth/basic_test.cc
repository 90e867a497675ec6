#include "libs/auth/basic.h"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/auth/bcrypt.h"
#include "libs/auth/password_file.h"
#include "libs/files/replace_file.h"
#include "libs/metrics/metrics.h"
#include "libs/secret/secret.h"
#include "libs/status/status_matchers.h"
#include "libs/time/fake_clock.h"

namespace insula::auth {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Not;
using ::testing::Pointee;
using enum absl::StatusCode;
using Result = absl::StatusOr<Principal>;

// Of "correct horse", at cost 4: a millisecond.
constexpr char kHash[] =
    "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
// The same as htpasswd writes it.
constexpr char kHashOfHtpasswd[] =
    "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
// Of "other", at cost 5.
constexpr char kOtherHash[] =
    "$2b$05$abcdefghijklmnopqrstuuVQd15VhR/oN1H3pzUR5lME0fZO6.qRW";

bool Matches(std::string password, const std::string& hash) {
  return BcryptMatches(Secret(std::move(password)), hash);
}

TEST(BcryptTest, KnowsThePasswordThatWasHashed) {
  EXPECT_TRUE(Matches("correct horse", kHash));
  EXPECT_TRUE(Matches("correct horse", kHashOfHtpasswd));
  // A vector that the implementations share.
  EXPECT_TRUE(Matches("U*U",
                      "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKv"
                      "yOeW"));
  for (const char* wrong :
       {"", "correct hors", "correct horse ", "Correct horse", "other"}) {
    EXPECT_FALSE(Matches(wrong, kHash)) << wrong;
  }
}

TEST(BcryptTest, WhatItWouldCutOffIsNoMatch) {
  EXPECT_FALSE(Matches(std::string("correct horse\0x", 15), kHash));
  EXPECT_FALSE(Matches(std::string(73, 'a'), kHash));
}

TEST(BcryptTest, WhatIsNoHashMatchesNothing) {
  for (const char* hash : {"", "*0", "*1", "$2b$", "correct horse",
                           "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0"}) {
    EXPECT_FALSE(Matches("correct horse", hash)) << hash;
    EXPECT_FALSE(Matches("", hash)) << hash;
    EXPECT_THAT(BcryptCost(hash), StatusIs(kInvalidArgument));
  }
}

TEST(BcryptTest, SaysWhatAHashCosts) {
  EXPECT_THAT(BcryptCost(kHash).value_or(0), Eq(4));
  EXPECT_THAT(BcryptCost(kOtherHash).value_or(0), Eq(5));
  std::string hash = kHash;
  hash.replace(4, 2, "31");
  EXPECT_THAT(BcryptCost(hash).value_or(0), Eq(31));
  for (const char* cost : {"03", "32", "-4", "+4", " 4", "4a"}) {
    hash.replace(4, 2, cost);
    EXPECT_THAT(BcryptCost(hash), StatusIs(kInvalidArgument)) << cost;
  }
  hash = kHash;
  hash[2] = 'x';
  EXPECT_THAT(BcryptCost(hash), StatusIs(kInvalidArgument));
}

TEST(BcryptTest, ThreadsDoNotDisturbEachOther) {
  asio::thread_pool pool(4);
  std::vector<std::future<bool>> right;
  std::vector<std::future<bool>> wrong;
  for (int i = 0; i < 50; ++i) {
    right.push_back(asio::post(pool, asio::use_future([] {
                                 return Matches("correct horse", kHash);
                               })));
    wrong.push_back(asio::post(pool, asio::use_future([] {
                                 return Matches("correct horse", kOtherHash);
                               })));
  }
  for (auto& one : right) EXPECT_TRUE(one.get());
  for (auto& one : wrong) EXPECT_FALSE(one.get());
}

PasswordFileOptions Cheap() {
  PasswordFileOptions options;
  options.min_cost = 4;
  options.max_cost = 6;
  return options;
}

TEST(PasswordTableTest, HasTheUsersOfTheFile) {
  const auto table = PasswordTable::Parse(
      absl::StrCat("# people\n\nalice:", kHash, "\r\nbob:", kOtherHash),
      Cheap());
  ASSERT_THAT(table, IsOk());
  EXPECT_THAT(table->size(), Eq(2u));
  EXPECT_THAT(table->Find("alice"), Pointee(Eq(kHash)));
  EXPECT_THAT(table->Find("bob"), Pointee(Eq(kOtherHash)));
  EXPECT_THAT(table->Find("carol"), IsNull());
  EXPECT_THAT(table->Find(""), IsNull());
}

TEST(PasswordTableTest, NamesTheLineAndNothingOfIt) {
  const std::string good = absl::StrCat("alice:", kHash, "\n");
  const auto error = [&good](const std::string& line) {
    const absl::Status status =
        PasswordTable::Parse(good + line, Cheap()).status();
    EXPECT_THAT(status, StatusIs(kInvalidArgument, HasSubstr("line 2: ")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("canary")));
    return std::string(status.message());
  };
  EXPECT_THAT(error("canary"), HasSubstr("no bcrypt hash"));
  EXPECT_THAT(error("bob:canary"), HasSubstr("htpasswd -nB"));
  EXPECT_THAT(error("bob:$apr1$canary$canary"), HasSubstr("no bcrypt hash"));
  EXPECT_THAT(error(absl::StrCat(":", kHash)), HasSubstr("USER:HASH"));
  EXPECT_THAT(error(absl::StrCat("b\tob:", kHash)), HasSubstr("USER:HASH"));
  EXPECT_THAT(error(good), HasSubstr("there before"));
  EXPECT_THAT(
      error("bob:$2b$03$canarycanarycanarycanarycanarycanarycanarycana"),
      HasSubstr("bcrypt"));
  std::string costly = absl::StrCat("bob:", kHash);
  costly.replace(8, 2, "07");
  EXPECT_THAT(error(costly), HasSubstr("cost 7, which must be from 4 to 6"));

  PasswordFileOptions few = Cheap();
  few.max_users = 1;
  EXPECT_THAT(PasswordTable::Parse(absl::StrCat(good, "bob:", kHash), few),
              StatusIs(kInvalidArgument, HasSubstr("after the 1 that")));
}

TEST(PasswordTableTest, DecoysCostWhatTheHashesDoAndMatchNothing) {
  const auto table = PasswordTable::Parse(
      absl::StrCat("alice:", kHash, "\nbob:", kOtherHash), Cheap());
  ASSERT_THAT(table, IsOk());
  EXPECT_THAT(table->Decoy(0), Eq(table->Decoy(2)));
  EXPECT_THAT(BcryptCost(table->Decoy(0)).value_or(0), Eq(4));
  EXPECT_THAT(BcryptCost(table->Decoy(1)).value_or(0), Eq(5));
  EXPECT_FALSE(Matches("correct horse", table->Decoy(0)));
  const auto empty = PasswordTable::Parse("", Cheap());
  ASSERT_THAT(empty, IsOk());
  EXPECT_THAT(BcryptCost(empty->Decoy(12345)).value_or(0), Eq(4));
}

// A pool for blocking work that counts, and can be full.
struct Blocking {
  std::atomic<int> runs = 0;
  std::atomic<bool> full = false;
};
asio::awaitable<absl::Status> RunBlockingWork(
    Blocking* blocking, std::function<absl::Status()> work) {
  if (blocking->full) co_return absl::ResourceExhaustedError("full");
  ++blocking->runs;
  co_return work();
}

class BasicTest : public testing::Test {
 protected:
  BasicTest() {
    dir_ = std::filesystem::temp_directory_path() / "insula-basic.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    options_.passwords = Cheap();
    options_.passwords.file = dir_ + "/passwords";
    options_.passwords.reload_interval = absl::ZeroDuration();
    Write(absl::StrCat("alice:", kHash, "\nbob:", kOtherHash, "\n"));
  }
  ~BasicTest() override {
    verifier_.reset();
    pool_.join();
    std::filesystem::remove_all(dir_);
  }

  void Write(const std::string& text) {
    ASSERT_THAT(files::ReplaceFile(options_.passwords.file, text), IsOk());
    // Past the moment for which a new file counts as being written.
    std::filesystem::last_write_time(
        options_.passwords.file,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }

  absl::StatusOr<std::unique_ptr<BasicVerifier>> TryMake() {
    BasicVerifier::Environment environment;
    environment.executor = pool_.get_executor();
    environment.run_blocking = [this](std::function<absl::Status()> work) {
      return RunBlockingWork(&blocking_, std::move(work));
    };
    environment.steady = &steady_;
    environment.metrics = &metrics_;
    return BasicVerifier::Make(options_, environment);
  }

  std::future<Result> AskWith(std::string text, std::string address) {
    if (verifier_ == nullptr) {
      auto verifier = TryMake();
      EXPECT_THAT(verifier, IsOk());
      verifier_ = *std::move(verifier);
    }
    Credential credential;
    credential.scheme = "basic";
    credential.text = std::move(text);
    credential.peer_address = std::move(address);
    return asio::co_spawn(asio::make_strand(pool_.get_executor()),
                          verifier_->Verify(std::move(credential)),
                          asio::use_future);
  }
  std::future<Result> Ask(absl::string_view user, absl::string_view password,
                          std::string address = "10.0.0.1") {
    return AskWith(absl::Base64Escape(absl::StrCat(user, ":", password)),
                   std::move(address));
  }
  Result Verify(absl::string_view user, absl::string_view password) {
    return Ask(user, password).get();
  }

  double Checks(const char* result) {
    return metrics_
        .AddCounter("insula_auth_verifications_total",
                    "Credentials that a verifier was asked about, by outcome.",
                    {{"method", "basic"}, {"result", result}})
        .Value();
  }

  std::string dir_;
  FakeClock steady_;
  metrics::Registry metrics_;
  Blocking blocking_;
  asio::thread_pool pool_{2};
  BasicOptions options_;
  std::unique_ptr<BasicVerifier> verifier_;
};

TEST_F(BasicTest, TheRightPasswordIsTheUser) {
  const Result principal = Verify("alice", "correct horse");
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT(principal->method, Eq("basic"));
  EXPECT_THAT(principal->issuer, Eq(""));
  EXPECT_THAT(principal->name, Eq("alice"));
  EXPECT_THAT(Verify("bob", "other"), IsOk());
}

TEST_F(BasicTest, AnythingElseIsWrongInTheSameWords) {
  const absl::Status wrong = Verify("alice", "other").status();
  EXPECT_THAT(wrong, StatusIs(kUnauthenticated, HasSubstr("is wrong")));
  EXPECT_THAT(Verify("carol", "correct horse").status(), Eq(wrong));
  EXPECT_THAT(Verify("alice", "").status(), Eq(wrong));
  EXPECT_THAT(Verify("bob", "correct horse").status(), Eq(wrong));
  EXPECT_THAT(Verify("alice", std::string(100, 'a')).status(), Eq(wrong));
  EXPECT_THAT(Checks("wrong"), Eq(5));
}

TEST_F(BasicTest, AnUnknownUserIsHashedForLikeAKnownOne) {
  Verify("alice", "wrong").IgnoreError();
  EXPECT_THAT(blocking_.runs, Eq(1));
  Verify("carol", "wrong").IgnoreError();
  EXPECT_THAT(blocking_.runs, Eq(2));
}

TEST_F(BasicTest, WhatIsNoCredentialIsNotHashedFor) {
  for (const std::string& text :
       {std::string(), std::string("%"), absl::Base64Escape("alice"),
        absl::Base64Escape(":correct horse")}) {
    EXPECT_THAT(AskWith(text, "10.0.0.1").get(),
                StatusIs(kUnauthenticated, HasSubstr("USER:PASSWORD")));
  }
  EXPECT_THAT(blocking_.runs, Eq(0));
}

TEST_F(BasicTest, ASuccessIsRememberedForAMinute) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  }
  EXPECT_THAT(blocking_.runs, Eq(1));
  EXPECT_THAT(Checks("cached"), Eq(9));
  steady_.Advance(absl::Seconds(59));
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  EXPECT_THAT(blocking_.runs, Eq(1));
  steady_.Advance(absl::Seconds(1));
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  EXPECT_THAT(blocking_.runs, Eq(2));
}

TEST_F(BasicTest, WhatIsKnownNeedsNoWait) {
  Credential credential;
  credential.scheme = "basic";
  credential.text = absl::Base64Escape("alice:correct horse");
  EXPECT_THAT(Verify("bob", "other"), IsOk());
  EXPECT_FALSE(verifier_->Known(credential).has_value());
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  const auto known = verifier_->Known(credential);
  ASSERT_TRUE(known.has_value());
  ASSERT_THAT(*known, IsOk());
  EXPECT_THAT((*known)->name, Eq("alice"));
  credential.text = absl::Base64Escape("alice:correct hors");
  EXPECT_FALSE(verifier_->Known(credential).has_value());
}

// A key of the parts in a row would take these for what was right before.
TEST_F(BasicTest, ASuccessIsThatOfOneUserAndOnePassword) {
  Write(absl::StrCat("alice:", kHash, "\nalicecorrect:", kOtherHash, "\n"));
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  EXPECT_THAT(Verify("alicecorrect", " horse"), StatusIs(kUnauthenticated));
  EXPECT_THAT(Verify("alice", "correct"), StatusIs(kUnauthenticated));
}

TEST_F(BasicTest, AnotherPasswordInTheFileEndsASuccess) {
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  EXPECT_THAT(Verify("bob", "other"), IsOk());
  Write(absl::StrCat("alice:", kOtherHash, "\n"));
  EXPECT_THAT(Verify("carol", "x"), StatusIs(kUnauthenticated));  // Reads it.
  EXPECT_THAT(Verify("alice", "correct horse"), StatusIs(kUnauthenticated));
  EXPECT_THAT(Verify("alice", "other"), IsOk());
  EXPECT_THAT(Verify("bob", "other"), StatusIs(kUnauthenticated));
}

TEST_F(BasicTest, ARemovedUserIsOutWhenTheMinuteIsOver) {
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  Write(absl::StrCat("bob:", kOtherHash, "\n"));
  steady_.Advance(options_.success_ttl);
  EXPECT_THAT(Verify("alice", "correct horse"), StatusIs(kUnauthenticated));
}

TEST_F(BasicTest, AFileThatMakesNoSenseLeavesTheLastOneInUse) {
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  Write("alice:plaintext\n");
  steady_.Advance(options_.success_ttl);
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  EXPECT_THAT(Verify("alice", "plaintext"), StatusIs(kUnauthenticated));
}

TEST_F(BasicTest, WhoGuessesPasswordsOfAUserIsHeldUp) {
  options_.user_failures = {.per_second = 0.5, .burst = 3, .max_keys = 10};
  EXPECT_THAT(Verify("bob", "other"), IsOk());
  for (int i = 0; i < 3; ++i) {
    // From everywhere.
    EXPECT_THAT(Ask("bob", absl::StrCat(i), absl::StrCat("10.0.1.", i)).get(),
                StatusIs(kUnauthenticated));
  }
  const int hashed = blocking_.runs;
  EXPECT_THAT(Ask("bob", "3", "10.0.1.3").get(),
              StatusIs(kResourceExhausted, HasSubstr("again in 2s")));
  EXPECT_THAT(blocking_.runs, Eq(hashed));
  // Bob himself, and others, are let in.
  EXPECT_THAT(Verify("bob", "other"), IsOk());
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  steady_.Advance(absl::Seconds(2));
  EXPECT_THAT(Ask("bob", "4", "10.0.1.3").get(), StatusIs(kUnauthenticated));
}

TEST_F(BasicTest, WhoGuessesUsersFromAnAddressIsHeldUp) {
  options_.source_failures = {.per_second = 1, .burst = 3, .max_keys = 10};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Verify(absl::StrCat("user", i), "x"),
                StatusIs(kUnauthenticated));
  }
  EXPECT_THAT(Verify("user3", "x"), StatusIs(kResourceExhausted));
  EXPECT_THAT(Checks("limited"), Eq(1));
  EXPECT_THAT(Ask("alice", "correct horse", "10.0.0.2").get(), IsOk());
}

TEST_F(BasicTest, RightPasswordsAreNoFailures) {
  options_.success_ttl = absl::ZeroDuration();
  options_.source_failures.burst = 1;
  options_.user_failures.burst = 1;
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  }
  EXPECT_THAT(blocking_.runs, Eq(20));
}

TEST_F(BasicTest, EqualOnesAtOneTimeAreHashedOnce) {
  options_.source_failures.burst = 1;
  std::vector<std::future<Result>> all;
  for (int i = 0; i < 50; ++i) all.push_back(Ask("alice", "correct horse"));
  for (auto& one : all) EXPECT_THAT(one.get(), IsOk());
  EXPECT_THAT(blocking_.runs, Eq(1));
}

TEST_F(BasicTest, AFullPoolIsNobodysFailure) {
  options_.source_failures.burst = 1;
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  blocking_.full = true;
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Verify("bob", "other"),
                StatusIs(kUnavailable, HasSubstr("full")));
  }
  EXPECT_THAT(Verify("alice", "correct horse"), IsOk());
  blocking_.full = false;
  EXPECT_THAT(Verify("bob", "other"), IsOk());
}

TEST_F(BasicTest, StartsOnlyWithAFileThatMakesSense) {
  EXPECT_THAT(TryMake(), IsOk());
  Write("alice:plaintext\n");
  EXPECT_THAT(TryMake(), StatusIs(kInvalidArgument,
                                  AllOf(HasSubstr(options_.passwords.file),
                                        HasSubstr("line 1: "),
                                        Not(HasSubstr("plaintext")))));
  std::filesystem::remove(options_.passwords.file);
  EXPECT_THAT(TryMake(), StatusIs(kNotFound));
}

TEST_F(BasicTest, ChallengesWithItsRealm) {
  options_.realm = "Metrics of example.org";
  auto verifier = TryMake();
  ASSERT_THAT(verifier, IsOk());
  EXPECT_THAT((*verifier)->Challenge(),
              Eq("Basic realm=\"Metrics of example.org\", charset=\"UTF-8\""));
}

TEST_F(BasicTest, OptionsSayWhatIsWrong) {
  options_.realm = "a\"b";
  EXPECT_THAT(TryMake(), StatusIs(kInvalidArgument, HasSubstr("realm: ")));
  options_.realm = "a";
  options_.passwords.max_cost = 31;  // Two days a password.
  EXPECT_THAT(TryMake(), StatusIs(kInvalidArgument, HasSubstr("max_cost")));
  options_.passwords.max_cost = 6;
  options_.user_failures.per_second = 0;
  EXPECT_THAT(TryMake(),
              StatusIs(kInvalidArgument, HasSubstr("user_failures: ")));
  options_.user_failures.per_second = 1;
  options_.success_ttl = absl::Hours(1);
  EXPECT_THAT(TryMake(),
              StatusIs(kInvalidArgument, HasSubstr("success_ttl: ")));
}

}  // namespace
}  // namespace insula::auth
