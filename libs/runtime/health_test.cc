#include "libs/runtime/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libs/runtime/process.h"
#include "libs/status/status_matchers.h"

namespace insula::runtime {
namespace {

using boost::asio::ip::tcp;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(20);

// A port of loopback that takes connections, and answers nothing by itself.
class Listener {
 public:
  std::string address() const {
    return absl::StrCat("127.0.0.1:", acceptor_.local_endpoint().port());
  }
  tcp::acceptor& acceptor() { return acceptor_; }

 private:
  boost::asio::io_context context_;
  tcp::acceptor acceptor_{
      context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
};

class HealthTest : public testing::Test {
 protected:
  HealthTest() {
    std::filesystem::create_directories(dir_);
    config_.worker_threads = 2;
    config_.ports_file = dir_ / "ports";
  }
  ~HealthTest() override { std::filesystem::remove_all(dir_); }

  void StartProcess(const std::string& address) {
    config_.admin_listen_address = address;
    auto process = Process::Start("test-service", config_, "a: 1\n");
    ASSERT_THAT(process, IsOk());
    process_ = *std::move(process);
  }

  // What comes of asking for /livez when the admin server answers `answer`.
  absl::Status AskImpostor(const std::string& answer) {
    Listener listener;
    config_.admin_listen_address = listener.address();
    std::thread impostor([&] {
      tcp::iostream stream(listener.acceptor().accept());
      stream.expires_after(std::chrono::seconds(20));
      for (std::string line; std::getline(stream, line) && line != "\r";) {
        request_ += line;
      }
      stream << answer << std::flush;
    });
    request_.clear();
    const absl::Status status = AskHealth(config_, "/livez", kPatience);
    impostor.join();
    return status;
  }

  const std::filesystem::path dir_ = std::filesystem::path(testing::TempDir()) /
                                     absl::StrCat("health_test.", getpid());
  ProcessConfig config_;
  std::unique_ptr<Process> process_;
  std::string request_;
};

TEST_F(HealthTest, AServiceIsAliveBeforeItIsReady) {
  StartProcess("127.0.0.1:0");
  config_.admin_listen_address = process_->admin_address();
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience), IsOk());
  EXPECT_THAT(AskHealth(config_, "/readyz", kPatience),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       absl::StrCat("http://", process_->admin_address(),
                                    "/readyz: 503 process: still starting")));
  process_->SetReady();
  EXPECT_THAT(AskHealth(config_, "/readyz", kPatience), IsOk());
}

TEST_F(HealthTest, WhatIsMissingIsNamedOnOneLine) {
  StartProcess("127.0.0.1:0");
  process_->AddReadyCheck("registry",
                          [] { return absl::UnavailableError("away\a"); });
  process_->AddReadyCheck("store",
                          [] { return absl::UnavailableError("full"); });
  process_->SetReady();
  EXPECT_THAT(
      AskHealth(config_, "/readyz", kPatience),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               EndsWith("/readyz: 503 registry: away\\007; store: full")));
}

TEST_F(HealthTest, Port0IsFoundInThePortsFile) {
  StartProcess("127.0.0.1:0");
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(config_.ports_file),
                             HasSubstr("is not ready yet"))));
  process_->SetReady();
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience), IsOk());

  std::ofstream(config_.ports_file) << "grpc 127.0.0.1:1\n";
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience),
              StatusIs(absl::StatusCode::kNotFound,
                       EndsWith("has no line of 'admin'")));
  config_.ports_file = "";
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("admin.listen_address: has port 0")));
}

TEST_F(HealthTest, AServiceOnAllAddressesIsAskedOnLoopback) {
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    StartProcess(address);
    process_->SetReady();
    EXPECT_THAT(AskHealth(config_, "/readyz", kPatience), IsOk()) << address;
    process_.reset();
    std::filesystem::remove(config_.ports_file);
  }
}

TEST_F(HealthTest, EachWayThatWasTriedIsNamed) {
  // Bound but not listening: nobody else can have the port.
  boost::asio::io_context context;
  tcp::acceptor bound(context);
  bound.open(tcp::v6());
  bound.bind({tcp::v6(), 0});
  const int port = bound.local_endpoint().port();
  config_.admin_listen_address = absl::StrCat("[::]:", port);
  EXPECT_THAT(AskHealth(config_, "/livez", kPatience),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat(
                           "http://[::1]:", port,
                           "/livez: can't connect: Connection refused; "
                           "http://127.0.0.1:",
                           port, "/livez: can't connect: Connection refused")));
}

TEST_F(HealthTest, ASilentServiceIsNotWaitedForForEver) {
  const Listener listener;
  config_.admin_listen_address = listener.address();
  EXPECT_THAT(AskHealth(config_, "/livez", absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("http://", listener.address(),
                                    "/livez: no complete answer in time")));
}

TEST_F(HealthTest, OnlyAPlainYesIsYes) {
  EXPECT_THAT(AskImpostor("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
              IsOk());
  EXPECT_TRUE(absl::StartsWith(request_, "GET /livez HTTP/1.1\r"));
  EXPECT_THAT(AskImpostor("HTTP/1.1 204 No Content\r\n\r\n"), Not(IsOk()));
  EXPECT_THAT(AskImpostor("SSH-2.0-OpenSSH\r\n\r\n"),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("/livez: malformed answer")));
  EXPECT_THAT(AskImpostor("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace insula::runtime
