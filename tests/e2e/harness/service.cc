#include "tests/e2e/harness/service.h"

#include <unistd.h>

#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/harness/http.h"

namespace insula::e2e {
namespace {

std::map<std::string, int> ReadPorts(const std::string& ports_file) {
  std::map<std::string, int> ports;
  std::ifstream file(ports_file);
  std::string listener;
  std::string address;
  while (file >> listener >> address) {
    int port = 0;
    if (absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) {
      ports[listener] = port;
    }
  }
  return ports;
}

}  // namespace

Service StartService(const TempDir& dir, const std::string& binary,
                     absl::string_view name, absl::string_view config,
                     int grpc_port,
                     const std::vector<std::string>& environment) {
  const std::string base = absl::StrCat(dir.path(), "/", name);
  const std::string ports_file = base + ".ports";
  unlink(ports_file.c_str());
  const std::string config_file =
      dir.Write(absl::StrCat(name, ".yaml"),
                absl::StrCat(config, "\nports_file: ", ports_file,
                             "\ninsecure_internal: true\n"
                             "admin: {listen_address: 127.0.0.1:0}\n"
                             "grpc: {listen_address: 127.0.0.1:",
                             grpc_port, "}\n"));
  std::vector<std::string> args = environment;
  if (!environment.empty()) args.push_back(binary);
  args.insert(args.end(), {"--config", config_file});
  Service service;
  service.process = std::make_unique<Process>(
      environment.empty() ? binary : "/usr/bin/env", args, base + ".log");
  bool ready = false;
  WaitUntil(
      [&] {
        service.ports = ReadPorts(ports_file);
        const auto admin = service.ports.find("admin");
        ready = admin != service.ports.end() &&
                HttpSend(admin->second, "GET", "/readyz").status == 200;
        return ready || !service.process->Running();
      },
      kStartTimeout);
  if (!ready) service.ports.clear();
  return service;
}

}  // namespace insula::e2e
