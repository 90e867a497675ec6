// What no honest client sends: the registry says no, with the code that fits,
// takes no more memory than it should, and goes on.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/status/status_matchers.h"
#include "tests/registry_faults/registry_under_test.h"
#include "tests/registry_faults/wire.h"

namespace insula::registry_faults {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Code = absl::StatusCode;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
// What all of this together may make the process grow by, at its peak. Most of
// it is what the sanitizers keep.
constexpr int64_t kMostGrowthMiB = 320;

// "VmHWM" of a process, the most that it ever had: MiB.
int64_t PeakMiB(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  std::string word;
  int64_t kib = 0;
  while (file >> word) {
    if (word == "VmHWM:") file >> kib;
  }
  return kib >> 10;
}

std::string Times(absl::string_view text, int count) {
  std::string all;
  all.reserve(text.size() * static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) absl::StrAppend(&all, text);
  return all;
}

class HostileTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // What was freed must not count as taken.
    const char* const present = std::getenv("ASAN_OPTIONS");
    const std::string options =
        absl::StrCat(present == nullptr ? "" : present,
                     ":quarantine_size_mb=8:allocator_release_to_os_interval_ms"
                     "=100:malloc_context_size=3");
    setenv("ASAN_OPTIONS", options.c_str(), 1);
  }
  void SetUp() override {
    ASSERT_TRUE(registry_.Start());
    stub_ = registry_.NewStub();
    ASSERT_THAT(Put(Tenant("honest")), IsOk());
    before_mib_ = PeakMiB(registry_.pid());
  }
  // It is the same process, it still works, and it is not fat.
  void TearDown() override {
    if (stub_ == nullptr) return;
    EXPECT_THAT(Put(Tenant("after")), IsOk()) << registry_.LogTail();
    const auto status = ReadStatus(registry_.NewStub().get());
    ASSERT_THAT(status, IsOk());
    EXPECT_EQ(status->revision(), changes_);
    const int64_t growth = PeakMiB(registry_.pid()) - before_mib_;
    EXPECT_LT(growth, kMostGrowthMiB);
    std::cout << "grew by " << growth << " MiB at the peak\n";
  }

  static v1::Object Tenant(absl::string_view id) {
    v1::Object object;
    object.mutable_meta()->set_kind(v1::KIND_TENANT);
    object.mutable_meta()->set_id(std::string(id));
    object.mutable_tenant()->set_display_name("somebody");
    return object;
  }
  static grpc::Status Deadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(60));
    return grpc::Status::OK;
  }
  static absl::Status Converted(const grpc::Status& status) {
    return absl::Status(static_cast<Code>(status.error_code()),
                        status.error_message());
  }
  absl::Status Apply(const v1::ApplyRequest& request) {
    grpc::ClientContext context;
    Deadline(&context);
    v1::ApplyResponse response;
    return Converted(stub_->Apply(&context, request, &response));
  }
  absl::Status Put(const v1::Object& object) {
    v1::ApplyRequest request;
    *request.add_operations()->mutable_put() = object;
    const absl::Status status = Apply(request);
    if (status.ok()) ++changes_;
    return status;
  }

  // Sends `bytes` as the request of a method.
  absl::Status CallRaw(absl::string_view method, const std::string& bytes,
                       bool compressed = false) {
    grpc::GenericStub stub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", registry_.port()),
                            grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    Deadline(&context);
    if (compressed) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareUnaryCall(
        &context, absl::StrCat("/insula.registry.v1.TenantRegistry/", method),
        request, &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, &queue);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return Converted(status);
  }

  RegistryUnderTest registry_;
  std::unique_ptr<v1::TenantRegistry::Stub> stub_;
  int64_t changes_ = 0;
  int64_t before_mib_ = 0;
};

// A field of a message: a number and what it holds.
std::string Field(int number, absl::string_view bytes) {
  std::string field;
  wire::AppendVarint(static_cast<uint64_t>(number) << 3 | 2, &field);
  wire::AppendVarint(bytes.size(), &field);
  return absl::StrCat(field, bytes);
}

// An Apply with one put of an object that has these bytes as its spec.
std::string PutOf(v1::Kind kind, absl::string_view id, int spec_number,
                  absl::string_view spec) {
  const std::string meta =
      absl::StrCat(std::string("\x08"), std::string(1, static_cast<char>(kind)),
                   Field(2, id));
  return Field(1, Field(1, Field(1, meta) + Field(spec_number, spec)));
}

TEST_F(HostileTest, MessagesOfAllShapes) {
  constexpr int kMillion = 1'000'000;
  const std::string empty("\x0a\x00", 2);      // Field 1, nothing in it.
  const std::string pair("\x22\x00", 2);       // Field 4, nothing in it.
  const std::string tenant_id("\x12\x00", 2);  // Field 2, nothing in it.
  struct Case {
    const char* name;
    std::string bytes;
    std::vector<Code> codes;
  };
  // What does not parse is refused by the RPC library, as UNIMPLEMENTED.
  const std::vector<Case> cases = {
      {"nothing at all", "", {Code::kInvalidArgument}},
      {"a million operations",
       Times(empty, kMillion),
       {Code::kInvalidArgument}},
      {"more than 4 MiB",
       Field(2, std::string(5 << 20, 'a')),
       {Code::kResourceExhausted}},
      {"nearly 4 MiB",
       Field(2, std::string((4 << 20) - 100, 'a')),
       {Code::kInvalidArgument}},
      {"groups in groups, a hundred thousand deep",
       Times("\x7b", 100'000) + Times("\x7c", 100'000),
       {Code::kUnimplemented}},
      {"unknown fields, a million",
       Times("\x78\x01", kMillion),
       {Code::kInvalidArgument}},
      {"an unknown field inside an unknown field, a thousand deep",
       [] {
         std::string bytes;
         for (int i = 0; i < 1000; ++i) bytes = Field(15, bytes);
         return bytes;
       }(),
       {Code::kInvalidArgument}},
      {"invalid UTF-8", Field(2, "\xff\xfe"), {Code::kUnimplemented}},
      {"a length beyond the end", "\x0a\x7f", {Code::kUnimplemented}},
      {"a length of 2^63",
       "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
       {Code::kUnimplemented}},
      {"an overlong number", Times("\xff", 20), {Code::kUnimplemented}},
      {"a field of number 0",
       std::string("\x02\x00", 2),
       {Code::kUnimplemented}},
      {"a label map of 300,000 empty pairs",
       PutOf(v1::KIND_TENANT, "m", 10, Times(pair, 300'000)),
       {Code::kInvalidArgument}},
      {"a binding of 300,000 empty tenants",
       PutOf(v1::KIND_BINDING, "m", 11, Times(tenant_id, 300'000)),
       {Code::kInvalidArgument}},
      {"an access of 300,000 empty selectors",
       PutOf(v1::KIND_ACCESS, "m", 12, Times(tenant_id, 300'000)),
       {Code::kInvalidArgument}},
      {"a policy of 300,000 empty namespaces",
       PutOf(v1::KIND_POLICY, "m", 16, Times(empty, 300'000)),
       {Code::kInvalidArgument}},
      {"an operation with a delete and a put",
       Field(1, Field(2, "") + Field(1, "")),
       {Code::kInvalidArgument}},
  };
  for (const Case& c : cases) {
    const absl::Status status = CallRaw("Apply", c.bytes);
    EXPECT_THAT(c.codes, ::testing::Contains(status.code()))
        << c.name << ": " << status.ToString();
    EXPECT_LT(status.message().size(), 1000) << c.name;
  }
  for (const char* method :
       {"Get", "List", "ListAudit", "Resolve", "RenewLease", "EndLease"}) {
    for (const Case& c : cases) {
      const absl::Status status = CallRaw(method, c.bytes);
      EXPECT_NE(status.code(), Code::kUnavailable) << method << ", " << c.name;
      EXPECT_LT(status.message().size(), 1000) << method << ", " << c.name;
    }
  }
  EXPECT_EQ(CallRaw("NoSuchMethod", "").code(), Code::kUnimplemented);
}

TEST_F(HostileTest, WhatGrowsWhenItIsUnpackedIsNotUnpacked) {
  const std::string bomb = Field(2, std::string(500 << 20, 'a'));
  const absl::Status status = CallRaw("Apply", bomb, true);
  EXPECT_THAT(status, StatusIs(Code::kUnimplemented, HasSubstr("gzip")));
}

TEST_F(HostileTest, IdsOfEveryBadKind) {
  const std::vector<std::string> ids = {
      "",
      ".",
      "..",
      "__mine",
      "user-index.json.gz",
      "a/b",
      "a b",
      "a\nb",
      "a\tb",
      std::string("a\0b", 3),
      "\xc3\xa9",
      "%2e%2e",
      "a\\b",
      "a\"b",
      "a|b",
      std::string(151, 'a'),
      std::string(1 << 20, 'a'),
  };
  for (const std::string& id : ids) {
    const std::string name = absl::CHexEscape(id.substr(0, 20));
    const absl::Status put = Put(Tenant(id));
    EXPECT_EQ(put.code(), Code::kInvalidArgument) << name;
    EXPECT_LT(put.message().size(), 1000) << name;

    for (const int kind : {0, 1, 2, 8, 999, -1}) {
      v1::ApplyRequest removal;
      v1::ObjectRef* const ref = removal.add_operations()->mutable_delete_();
      ref->set_kind(static_cast<v1::Kind>(kind));
      ref->set_id(id);
      const absl::Status removed = Apply(removal);
      EXPECT_THAT(removed.code(),
                  AnyOf(Code::kInvalidArgument, Code::kNotFound))
          << kind << " " << name;
      EXPECT_LT(removed.message().size(), 1000) << kind << " " << name;

      v1::GetRequest get;
      *get.mutable_ref() = *ref;
      grpc::ClientContext context;
      Deadline(&context);
      v1::GetResponse response;
      const absl::Status got = Converted(stub_->Get(&context, get, &response));
      EXPECT_THAT(got.code(), AnyOf(Code::kInvalidArgument, Code::kNotFound))
          << kind << " " << name;
      EXPECT_LT(got.message().size(), 1000) << kind << " " << name;
    }
  }
  v1::Object object = Tenant("a");
  for (const int kind : {0, 2, 8, 11, 999, -1}) {
    object.mutable_meta()->set_kind(static_cast<v1::Kind>(kind));
    EXPECT_EQ(Put(object).code(), Code::kInvalidArgument) << kind;
  }
}

TEST_F(HostileTest, PageTokensThatAreForged) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Put(Tenant(absl::StrCat("t", i))), IsOk());
  }
  auto list = [&](const std::string& token, v1::ListResponse* response) {
    v1::ListRequest request;
    request.set_kind(v1::KIND_TENANT);
    request.set_page_size(2);
    request.set_page_token(token);
    grpc::ClientContext context;
    Deadline(&context);
    return Converted(stub_->List(&context, request, response));
  };
  auto audit = [&](const std::string& token, v1::ListAuditResponse* response) {
    v1::ListAuditRequest request;
    request.set_page_size(2);
    request.set_page_token(token);
    grpc::ClientContext context;
    Deadline(&context);
    return Converted(stub_->ListAudit(&context, request, response));
  };
  v1::ListResponse page;
  ASSERT_THAT(list("", &page), IsOk());
  v1::ListAuditResponse entries;
  ASSERT_THAT(audit("", &entries), IsOk());
  const std::string good = page.next_page_token();
  const std::string other = entries.next_page_token();
  ASSERT_FALSE(good.empty());
  ASSERT_FALSE(other.empty());

  std::vector<std::string> forged = {
      "x",
      "====",
      "\xc3\xa9",
      good + "A",
      std::string(1 << 20, 'A'),
      absl::WebSafeBase64Escape(std::string(3 << 19, '\0')),
      absl::WebSafeBase64Escape(std::string("\0\0", 2))};
  for (size_t i = 0; i < good.size(); i += 3) {
    forged.push_back(good.substr(0, i));
    std::string flipped = good;
    flipped[i] = flipped[i] == 'B' ? 'C' : 'B';
    forged.push_back(flipped);
  }
  for (const std::string& token : forged) {
    if (token.empty()) continue;
    // One that still names a place in this list is as good as an id_prefix.
    const absl::Status status = list(token, &page);
    EXPECT_THAT(status.code(),
                AnyOf(Code::kOk, Code::kInvalidArgument, Code::kOutOfRange))
        << token.substr(0, 100) << ": " << status.ToString();
    EXPECT_LT(status.message().size(), 1000);
    EXPECT_EQ(audit(token, &entries).code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(list(other, &page).code(), Code::kInvalidArgument);
  std::string plain;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(other, &plain));
  const std::string stem = plain.substr(0, plain.rfind('\0') + 1);
  for (const char* place :
       {"x", "1", "1.", ".1", "-1.-1", "1.1.1",
        "9223372036854775807.9223372036854775807", "99999999999999999999.0"}) {
    const absl::Status status =
        audit(absl::WebSafeBase64Escape(stem + place), &entries);
    EXPECT_THAT(status.code(), AnyOf(Code::kOk, Code::kInvalidArgument))
        << place << ": " << status.ToString();
  }

  for (const int32_t size : {-1, 1001, std::numeric_limits<int32_t>::max(),
                             std::numeric_limits<int32_t>::min()}) {
    v1::ListRequest request;
    request.set_kind(v1::KIND_TENANT);
    request.set_page_size(size);
    grpc::ClientContext context;
    EXPECT_EQ(Converted(stub_->List(&context, request, &page)).code(),
              Code::kInvalidArgument);
    v1::ListAuditRequest question;
    question.set_page_size(size);
    grpc::ClientContext again;
    EXPECT_EQ(Converted(stub_->ListAudit(&again, question, &entries)).code(),
              Code::kInvalidArgument);
  }
  for (const int64_t revision : {kLeast, int64_t{-1}, kMost}) {
    v1::ListAuditRequest question;
    question.set_from_revision(revision);
    grpc::ClientContext context;
    EXPECT_THAT(Converted(stub_->ListAudit(&context, question, &entries)),
                IsOk());
  }
}

class HostileWatchTest : public HostileTest {
 protected:
  // A Watch that was opened with a message; Read() reads until there is a whole
  // copy.
  struct Watch {
    Watch(v1::TenantRegistry::Stub* stub, const v1::WatchRequest& first) {
      Deadline(&context);
      stream = stub->Watch(&context);
      stream->Write(first);
    }
    ~Watch() {
      if (stream == nullptr) return;
      context.TryCancel();
      stream->Finish().error_code();
    }
    // The phase of the first message.
    v1::WatchResponse::Phase First() {
      v1::WatchResponse response;
      return stream->Read(&response) ? response.phase()
                                     : v1::WatchResponse::PHASE_UNSPECIFIED;
    }
    absl::Status End() {
      v1::WatchResponse response;
      while (stream->Read(&response)) continue;
      const absl::Status status = Converted(stream->Finish());
      stream = nullptr;
      return status;
    }
    grpc::ClientContext context;
    std::unique_ptr<
        grpc::ClientReaderWriter<v1::WatchRequest, v1::WatchResponse>>
        stream;
  };

  static v1::WatchRequest Subscribe(absl::string_view client_id = "hostile",
                                    int64_t resume_revision = 0,
                                    absl::string_view epoch = "") {
    v1::WatchRequest request;
    request.mutable_subscribe()->set_client_id(std::string(client_id));
    request.mutable_subscribe()->set_resume_revision(resume_revision);
    request.mutable_subscribe()->set_epoch(std::string(epoch));
    return request;
  }
  // The only follower as Status has it, once `condition` holds.
  template <typename Condition>
  v1::Follower FollowerWhen(Condition condition) {
    v1::Follower follower;
    EXPECT_TRUE(e2e::WaitUntil([&] {
      const auto status = ReadStatus(stub_.get());
      EXPECT_THAT(status, IsOk());
      if (!status.ok() || status->followers().empty()) return !status.ok();
      follower = status->followers(0);
      return condition(follower);
    }));
    return follower;
  }
};

TEST_F(HostileWatchTest, SubscribesThatAreNone) {
  v1::WatchRequest many = Subscribe();
  for (int i = 0; i < 10'000; ++i) {
    many.mutable_subscribe()->add_kinds(static_cast<v1::Kind>(i));
  }
  v1::WatchRequest ack;
  ack.mutable_ack()->set_revision(1);
  for (const v1::WatchRequest& request :
       {many, ack, v1::WatchRequest(), Subscribe(""), Subscribe("a b"),
        Subscribe("\xc3\xa9"), Subscribe(std::string(254, 'a')),
        Subscribe(std::string(3 << 20, 'a'))}) {
    const absl::Status status = Watch(stub_.get(), request).End();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.ToString();
    EXPECT_LT(status.message().size(), 1000);
  }
  Watch twice(stub_.get(), Subscribe());
  twice.First();
  twice.stream->Write(Subscribe());
  EXPECT_EQ(twice.End().code(), Code::kInvalidArgument);
}

TEST_F(HostileWatchTest, ARevisionThatIsNotThereGetsEverything) {
  const auto status = ReadStatus(stub_.get());
  ASSERT_THAT(status, IsOk());
  for (const int64_t revision :
       {kLeast, int64_t{-1}, status->revision() + 1, kMost}) {
    EXPECT_EQ(
        Watch(stub_.get(), Subscribe("a", revision, status->epoch())).First(),
        v1::WatchResponse::PHASE_RESET)
        << revision;
  }
  EXPECT_EQ(
      Watch(stub_.get(), Subscribe("a", status->revision(), "other")).First(),
      v1::WatchResponse::PHASE_RESET);
}

TEST_F(HostileWatchTest, AcknowledgementsOfWhatWasNeverSent) {
  Watch watch(stub_.get(), Subscribe());
  watch.First();
  v1::WatchRequest ack;
  for (const int64_t revision : {kLeast, int64_t{-1}, kMost}) {
    ack.mutable_ack()->set_revision(revision);
    EXPECT_TRUE(watch.stream->Write(ack));
  }
  const v1::Follower follower = FollowerWhen(
      [](const v1::Follower& f) { return f.acked_revision() > 0; });
  EXPECT_EQ(follower.acked_revision(), changes_);

  // A flood of them costs time, not memory.
  for (int i = 0; i < 50'000; ++i) {
    ack.mutable_ack()->set_revision(i);
    ASSERT_TRUE(watch.stream->Write(ack));
  }
}

TEST_F(HostileWatchTest, RejectionsWithoutEnd) {
  Watch watch(stub_.get(), Subscribe());
  watch.First();
  // As many as fit a message, of nothing.
  v1::WatchRequest many;
  for (int i = 0; i < 200'000; ++i) {
    many.mutable_ack()->add_rejections()->mutable_ref()->set_id(
        absl::StrCat(i));
  }
  EXPECT_TRUE(watch.stream->Write(many));
  const v1::Follower follower = FollowerWhen(
      [](const v1::Follower& f) { return f.rejections_size() > 0; });
  EXPECT_THAT(follower.rejections(), SizeIs(100));
}

TEST_F(HostileWatchTest, RejectionsOfIdsThatNothingCanHave) {
  Watch watch(stub_.get(), Subscribe());
  watch.First();
  for (int i = 0; i < 50; ++i) {
    v1::WatchRequest ack;
    v1::Rejection* const rejection = ack.mutable_ack()->add_rejections();
    rejection->mutable_ref()->set_id(
        absl::StrCat(i, std::string(3 << 20, 'a')));
    ASSERT_TRUE(watch.stream->Write(ack));
  }
  v1::WatchRequest last;
  last.mutable_ack()->add_rejections()->mutable_ref()->set_id("last");
  ASSERT_TRUE(watch.stream->Write(last));
  const v1::Follower follower = FollowerWhen(
      [](const v1::Follower& f) { return f.rejections_size() > 0; });
  ASSERT_THAT(follower.rejections(), SizeIs(1));
  EXPECT_EQ(follower.rejections(0).ref().id(), "last");
}

TEST_F(HostileWatchTest, AReasonIsNotCutWithinACharacter) {
  Watch watch(stub_.get(), Subscribe());
  watch.First();
  v1::WatchRequest ack;
  v1::Rejection* const rejection = ack.mutable_ack()->add_rejections();
  rejection->mutable_ref()->set_id("x");
  // The 256th byte is the first one of a character.
  rejection->set_reason("a" + Times("\xc3\xa9", 5000));
  ASSERT_TRUE(watch.stream->Write(ack));
  const v1::Follower follower = FollowerWhen(
      [](const v1::Follower& f) { return f.rejections_size() > 0; });
  EXPECT_EQ(follower.rejections(0).reason(), "a" + Times("\xc3\xa9", 127));
}

// Below the messages.
TEST_F(HostileTest, FramesThatLieOrEndTooEarly) {
  const std::string path = "/insula.registry.v1.TenantRegistry/Apply";
  const std::string start = wire::Preface() + wire::Headers(1, path);
  const std::string four_gib("\x00\xff\xff\xff\xff", 5);
  const std::string five("\x00\x00\x00\x00\x05", 5);
  const std::string packed("\x01\x00\x00\x00\x05", 5);
  const std::vector<std::string> conversations = {
      "",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      std::string(100'000, '\0'),
      std::string(100'000, '\xff'),
      wire::Preface().substr(0, 10),
      wire::Preface() + std::string("\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9),
      start,
      start + wire::Data(1, four_gib + "abcde"),
      start + wire::Data(1, five + "ab", true),
      start + wire::Data(1, five.substr(0, 3), true),
      start + wire::Data(1, packed + "\x78\x9c\x03\x04\x05", true),
      start + wire::Data(1, five + "abcdefgh", true),
      start + wire::Data(1, "", true),
      start + wire::Data(3, five + "abcde", true),
      start + wire::Headers(1, path) + wire::Headers(2, path),
      wire::Preface() + wire::Headers(1, std::string(100'000, 'a')),
      wire::Preface() + Times(wire::Ping(), 20'000),
      wire::Preface() + Times(wire::Settings(), 20'000),
  };
  for (size_t i = 0; i < conversations.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_TRUE(wire::Converse(registry_.port(), conversations[i]));
  }
  // Streams that are opened and reset at once, ten thousand of them.
  std::string resets = wire::Preface();
  for (uint32_t i = 0; i < 10'000; ++i) {
    absl::StrAppend(&resets, wire::Headers(2 * i + 1, path),
                    wire::Reset(2 * i + 1));
  }
  EXPECT_TRUE(wire::Converse(registry_.port(), resets));
}

}  // namespace
}  // namespace insula::registry_faults
