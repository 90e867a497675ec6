// A tenant-registry in the test's process, whose Watch says what the test
// wants.
//
//   FakeRegistry registry;
//   options.address = registry.address();
//   ... start the client ...
//   auto stream = registry.Accept();
//   EXPECT_EQ(stream->subscribe().resume_revision(), 0);
//   stream->SendSnapshot({red, blue}, 7);
//   EXPECT_TRUE(stream->WaitForAck(7).has_value());
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "insula/registry/v1/objects.pb.h"
#include "insula/registry/v1/registry.pb.h"
#include "libs/sync/mutex.h"

namespace insula::registry_client {

class FakeRegistry {
 public:
  static constexpr char kEpoch[] = "0123456789abcdef0123456789abcdef";

  // One follower's stream. Thread-safe. Waits give up after 20 s.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual const registry::v1::Subscribe& subscribe() const = 0;

    // False: the follower is gone.
    virtual bool Send(const registry::v1::WatchResponse& message) = 0;
    // The first ack of at least that revision; nullopt if none comes.
    virtual std::optional<registry::v1::Ack> WaitForAck(int64_t revision) = 0;
    // Whether the follower has gone away.
    virtual bool WaitForEnd() = 0;
    // Ends it as CANCELLED.
    virtual void Close() = 0;

    // RESET, one SNAPSHOT, SNAPSHOT_END.
    bool SendSnapshot(const std::vector<registry::v1::Object>& objects,
                      int64_t revision, absl::string_view epoch = kEpoch);
    bool SendDelta(const std::vector<registry::v1::Object>& puts,
                   const std::vector<registry::v1::ObjectRef>& deletes,
                   int64_t revision, absl::string_view epoch = kEpoch);
    bool SendProgress(int64_t revision, absl::string_view epoch = kEpoch);
  };

  // Listens on a free port of the loopback, or on `port`.
  explicit FakeRegistry(int port = 0);
  // Ends all streams.
  ~FakeRegistry();

  const std::string& address() const { return address_; }
  int port() const { return port_; }

  // The next stream that a follower has opened and subscribed on, in order.
  // Null if none comes within 20 s.
  std::shared_ptr<Stream> Accept();

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  int port_ = 0;
  std::string address_;
};

// Objects for tests, as short as they can be.
registry::v1::Object MakeTenant(absl::string_view id,
                                absl::string_view display_name = "");
// A binding of the token that grants reading and writing.
registry::v1::Object MakeBinding(absl::string_view id, absl::string_view token,
                                 const std::vector<std::string>& tenant_ids);
registry::v1::ObjectRef MakeRef(registry::v1::Kind kind, absl::string_view id);

}  // namespace insula::registry_client
