// The options that every command has.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "tools/insulactl/options.h"

namespace insula::insulactl {

struct Globals {
  std::string server = "127.0.0.1:9701";
  absl::Duration timeout = absl::Seconds(30);
  std::string output = "table";  // Or json, yaml.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  bool no_color = false;

  void Declare(Options* options) {
    options
        ->Text("--server", "HOST:PORT", &server,
               "Where the tenant-registry serves gRPC.")
        .variable = "INSULA_SERVER";
    options->Duration("--timeout", &timeout,
                      "Longest wait for an answer, trying again included.");
    options
        ->Text("-o,--output", "FORMAT", &output,
               "table for people; json or yaml for programs.")
        .choices = {"table", "json", "yaml"};
    options
        ->Text("--ca", "FILE", &ca_file,
               "CA of the registry, PEM. With --cert and --key: mutual TLS; "
               "without all three: plain text.")
        .variable = "INSULA_CA";
    options->Text("--cert", "FILE", &cert_file, "Own certificate chain, PEM.")
        .variable = "INSULA_CERT";
    options->Text("--key", "FILE", &key_file, "Key of the certificate, PEM.")
        .variable = "INSULA_KEY";
    options->Flag("--no-color", &no_color,
                  "No colors, as when NO_COLOR is set or the output is not a "
                  "terminal.");
  }
};

}  // namespace insula::insulactl
