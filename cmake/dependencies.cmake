# Every package the build uses. All of them come from Debian 12.
find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Boost 1.81 REQUIRED)        # Asio, Beast: headers only.
find_package(Protobuf REQUIRED)
# gRPC's configuration skips its re2::re2 if re2_FOUND is set, which the last
# pkg_check_modules below leaves in the cache for the next configuring.
unset(re2_FOUND CACHE)
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Snappy CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED) # Writes answers.
find_package(simdjson CONFIG REQUIRED)      # Reads those of stores.
find_package(CLI11 CONFIG REQUIRED)         # The command line of insulactl.
find_package(spdlog CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(GTest CONFIG REQUIRED)
find_package(benchmark CONFIG REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# Packages without a CMake configuration of their own.
find_package(PkgConfig REQUIRED)
pkg_check_modules(crypt REQUIRED IMPORTED_TARGET GLOBAL libcrypt)
pkg_check_modules(re2 REQUIRED IMPORTED_TARGET GLOBAL re2)
pkg_check_modules(rocksdb REQUIRED IMPORTED_TARGET GLOBAL rocksdb)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
