// A configuration with every kind of setting, for the tests.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/config/config.h"

namespace insula::config {

struct TestTls {
  std::string cert_file;
  std::string key_file;

  void Describe(Fields& fields) {
    fields.Add("cert_file", cert_file, "Certificate chain, PEM.");
    fields.Add("key_file", key_file, "Its private key, PEM.");
  }
};

struct TestListener {
  std::string name;
  bool bearer = true;
  TestTls tls;
  std::vector<std::string> trusted_addresses = {"127.0.0.1", "::1"};

  void Describe(Fields& fields) {
    fields.Add("name", name, "In logs and metrics.");
    fields.Add("bearer", bearer, "Whether to take bearer tokens.");
    fields.AddGroup("tls", tls);
    fields.Add("trusted_addresses", trusted_addresses, "Who may name tenants.");
  }
  absl::Status Validate() const {
    if (name.empty()) {
      return absl::InvalidArgumentError("name: must not be empty");
    }
    if (!tls.cert_file.empty() && tls.key_file.empty()) {
      return absl::InvalidArgumentError(
          "tls.key_file: must be set with tls.cert_file");
    }
    return absl::OkStatus();
  }
};

struct TestConfig {
  std::string listen_address = "127.0.0.1:9701";
  bool verbose = false;
  int threads = 4;
  int64_t limit = 100;
  double ratio = 0.5;
  absl::Duration drain_timeout = absl::Seconds(20);
  Bytes max_body{32 << 20};
  Secret token;
  std::vector<std::string> files = {"a.yaml"};
  TestTls tls;
  std::vector<TestListener> listeners;

  void Describe(Fields& fields) {
    fields.Add("listen_address", listen_address, "Where to serve gRPC.");
    fields.Add("verbose", verbose, "Say more.");
    fields.Add("threads", threads, "How many.");
    fields.Add("limit", limit, "How much.");
    fields.Add("ratio", ratio, "Which part.");
    fields.Add("drain_timeout", drain_timeout, "Longest wait at the end.");
    fields.Add("max_body", max_body, "Largest body.");
    fields.Add("token", token, "Password of the upstream.");
    fields.Add("files", files, "Files | folders.");
    fields.AddGroup("tls", tls);
    fields.AddList("listeners", listeners, "HTTP listeners.");
  }
  absl::Status Validate() const {
    if (threads < 1) {
      return absl::InvalidArgumentError("threads: must be at least 1");
    }
    if (tls.cert_file.empty() != tls.key_file.empty()) {
      return absl::InvalidArgumentError(
          "tls: cert_file and key_file must be set together");
    }
    return absl::OkStatus();
  }
};

}  // namespace insula::config
