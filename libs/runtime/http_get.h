// A GET over a plain socket, for tests: it owes nothing to libs/http.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <iterator>
#include <string>

namespace insula::runtime {

// The whole answer, head and body; "" if there is none. `address` is HOST:PORT.
inline std::string HttpGet(const std::string& address,
                           const std::string& path) {
  const size_t colon = address.rfind(':');
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(20));
  stream.connect(address.substr(0, colon), address.substr(colon + 1));
  stream << "GET " << path << " HTTP/1.1\r\nHost: " << address
         << "\r\nConnection: close\r\n\r\n"
         << std::flush;
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace insula::runtime
