# cc_library, cc_test, cc_service, cc_tool, cc_proto: what a directory here may declare.

# GCC 12 takes the operator new of Asio's coroutine frames, once inlined, for a
# mismatch of their operator delete.
set(INSULA_WARNINGS -Wall -Wextra -Wshadow -Wno-mismatched-new-delete)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND INSULA_WARNINGS -Werror)  # The compiler of the product.
endif()

# Fails the configure step when a dependency has not been defined yet, so the
# order of add_subdirectory() calls is the layer order and cycles cannot form.
function(_require_targets name)
  foreach(dep IN LISTS ARGN)
    if(NOT TARGET ${dep})
      message(FATAL_ERROR "${name} depends on ${dep}, which is not defined in a lower layer")
    endif()
  endforeach()
endfunction()

# cc_library(NAME HDRS... [SRCS...] [DEPS...] [PRIVATE_DEPS...] [TESTONLY])
#
# The library of the directory it stands in, `libs::NAME`. HDRS are checked to
# be self-contained (target all_verify_interface_header_sets). DEPS are those
# that a header includes, PRIVATE_DEPS those that only a source does.
function(cc_library name)
  cmake_parse_arguments(ARG "TESTONLY" "" "HDRS;SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  _require_targets(${name} ${ARG_DEPS} ${ARG_PRIVATE_DEPS})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS})
    set(scope PUBLIC)
    target_compile_options(${name} PRIVATE ${INSULA_WARNINGS})
    if(ARG_TESTONLY)
      target_compile_options(${name} PRIVATE ${INSULA_TEST_OPTIONS})
    endif()
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_sources(${name} ${scope} FILE_SET HEADERS
    BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HDRS})
  set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(${name} ${scope} ${ARG_DEPS})
  if(ARG_PRIVATE_DEPS)
    target_link_libraries(${name} PRIVATE ${ARG_PRIVATE_DEPS})
  endif()
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR}
    OUTPUT_VARIABLE dir)
  cmake_path(GET dir PARENT_PATH parent)
  string(REPLACE "/" "::" parent "${parent}")
  add_library(${parent}::${name} ALIAS ${name})
endfunction()

# cc_test(NAME SRCS... DEPS... [LABELS...] [DATA DIR] [TIMEOUT seconds])
#
# One ctest entry a binary. Labels: `unit` unless others are given; add `grpc`
# where gRPC runs (its libraries are not instrumented, TSan reports them
# falsely). With DATA the test finds that directory in TESTDATA_DIR.
function(cc_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;DATA" "SRCS;DEPS;LABELS" ${ARGN})
  _require_targets(${name} ${ARG_DEPS})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)
  endif()
  if(CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")  # An emulator runs it.
  endif()
  add_executable(${name} ${ARG_SRCS})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_options(${name} PRIVATE ${INSULA_WARNINGS} ${INSULA_TEST_OPTIONS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main)
  if(ARG_DATA)
    target_compile_definitions(${name} PRIVATE
      TESTDATA_DIR="${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DATA}")
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/.tsan-suppressions)
endfunction()

# cc_service(NAME SRCS... DEPS...)
#
# The directory's sources without main.cc become the library NAME_service, which
# its tests link; main.cc becomes the binary (underscores as dashes).
function(cc_service name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  _require_targets(${name} ${ARG_DEPS})
  add_library(${name}_service STATIC ${ARG_SRCS})
  target_compile_options(${name}_service PRIVATE ${INSULA_WARNINGS})
  target_include_directories(${name}_service PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name}_service PUBLIC ${ARG_DEPS})
  string(REPLACE "_" "-" binary ${name})
  add_executable(${binary} main.cc)
  target_compile_options(${binary} PRIVATE ${INSULA_WARNINGS})
  target_link_libraries(${binary} PRIVATE ${name}_service)
endfunction()

# cc_tool(NAME SRCS... DEPS...)
#
# A program for people. Its sources without main.cc become the library NAME_tool,
# which its tests link; main.cc becomes the binary NAME.
function(cc_tool name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  _require_targets(${name} ${ARG_DEPS})
  add_library(${name}_tool STATIC ${ARG_SRCS})
  target_compile_options(${name}_tool PRIVATE ${INSULA_WARNINGS})
  target_include_directories(${name}_tool PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name}_tool PUBLIC ${ARG_DEPS})
  add_executable(${name} main.cc)
  target_compile_options(${name} PRIVATE ${INSULA_WARNINGS})
  target_link_libraries(${name} PRIVATE ${name}_tool)
endfunction()

# cc_proto(NAME FILES... [GRPC] [DEPS...])
#
# `protos::NAME` from .proto files named from protos/, which is their import
# root: the path of a file is its package.
function(cc_proto name)
  cmake_parse_arguments(ARG "GRPC" "" "FILES;DEPS" ${ARGN})
  _require_targets(${name} ${ARG_DEPS})
  set(out ${PROJECT_BINARY_DIR}/protos)
  set(sources)
  foreach(proto IN LISTS ARG_FILES)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(outputs ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
    set(grpc_args)
    if(ARG_GRPC)
      list(APPEND outputs ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
      set(grpc_args --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
    endif()
    add_custom_command(OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR}/protos
              --cpp_out=${out} ${grpc_args} ${proto}
      DEPENDS ${PROJECT_SOURCE_DIR}/protos/${proto}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/protos VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_compile_options(${name} PRIVATE ${INSULA_GENERATED_OPTIONS})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} protobuf::libprotobuf)
  if(ARG_GRPC)
    target_link_libraries(${name} PUBLIC gRPC::grpc++)
  endif()
  add_library(protos::${name} ALIAS ${name})
endfunction()
