// Early returns for absl::Status and absl::StatusOr, in functions and
// coroutines.
//
//   RETURN_IF_ERROR(store.Check());
//   ASSIGN_OR_RETURN(const TenantId id, TenantId::Parse(text));
//
// CO_RETURN_IF_ERROR and CO_ASSIGN_OR_RETURN do the same in a coroutine.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define INSULA_STATUS_CONCAT_(a, b) a##b
#define INSULA_STATUS_CONCAT(a, b) INSULA_STATUS_CONCAT_(a, b)

#define INSULA_RETURN_IF_ERROR_(ret, expr)                          \
  do {                                                              \
    if (absl::Status insula_status = (expr); !insula_status.ok()) { \
      ret insula_status;                                            \
    }                                                               \
  } while (false)

#define INSULA_ASSIGN_OR_RETURN_(ret, tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) ret std::move(tmp).status();         \
  lhs = *std::move(tmp)

#define RETURN_IF_ERROR(expr) INSULA_RETURN_IF_ERROR_(return, expr)
#define CO_RETURN_IF_ERROR(expr) INSULA_RETURN_IF_ERROR_(co_return, expr)

#define ASSIGN_OR_RETURN(lhs, ...)                                    \
  INSULA_ASSIGN_OR_RETURN_(                                           \
      return, INSULA_STATUS_CONCAT(insula_status_or_, __LINE__), lhs, \
            (__VA_ARGS__))
#define CO_ASSIGN_OR_RETURN(lhs, ...)                                         \
  INSULA_ASSIGN_OR_RETURN_(co_return,                                         \
                           INSULA_STATUS_CONCAT(insula_status_or_, __LINE__), \
                           lhs, (__VA_ARGS__))
