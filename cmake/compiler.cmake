# Compiler and linker flags of the presets. What a flag is for stands beside it.

set(INSULA_SANITIZE "" CACHE STRING "Value of -fsanitize=, empty for none")
option(INSULA_FUZZ "Build the fuzz targets, with clang" OFF)
option(INSULA_HARDEN "Build with the hardening flags of the release preset" OFF)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the source tree are stored relative, so that clones share
  # results; a precompiled header needs the two sloppiness settings.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

if(INSULA_SANITIZE)
  # -O1: without it the end-to-end tests spend their time in instrumentation.
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
  add_compile_options(-fsanitize=${INSULA_SANITIZE})
  add_link_options(-fsanitize=${INSULA_SANITIZE})
  if(INSULA_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  # A cold build's time is code generation, most of it for the tests' own
  # templates: without optimizing and UBSan a test compiles in half to a third.
  # What is tested keeps both; ASan stays everywhere but in protoc's output,
  # whose libprotobuf is not instrumented either.
  if(INSULA_SANITIZE MATCHES "address" AND NOT INSULA_FUZZ)
    set(INSULA_TEST_OPTIONS -O0 -fno-sanitize=undefined)
    set(INSULA_GENERATED_OPTIONS -fno-sanitize=all)
  endif()
  if(INSULA_SANITIZE MATCHES "thread")
    add_compile_options(-Wno-tsan)  # Asio's fences, which TSan does not model.
    # Without it Asio counts references with such fences, and TSan reports every
    # executor that two threads let go.
    add_compile_definitions(BOOST_ASIO_DISABLE_STD_ATOMIC)
    # A header of protobuf whose layout depends on TSan; see there.
    include_directories(BEFORE ${PROJECT_SOURCE_DIR}/cmake/tsan)
  endif()
  find_program(MOLD mold)  # Links in a fifth of the time, which is most of a rebuild.
  if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_link_options(-fuse-ld=mold)
  endif()
endif()

if(INSULA_FUZZ)
  # Counts edges for libFuzzer; its main() is linked to the targets alone.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(INSULA_HARDEN)
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
    -fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options(-fcf-protection)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    add_compile_options(-mbranch-protection=standard)
  endif()
  add_link_options(-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
