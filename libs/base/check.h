#pragma once

// GODWIT_CHECK: for our own bugs only. The process writes one line and dies; its supervisor
// starts it again and every state is in PostgreSQL. No input of a peer may ever reach a failing
// check: that is data or a Status.

namespace godwit::base {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace godwit::base

#define GODWIT_CHECK(condition)                      \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::godwit::base::CheckFailed(__FILE__, __LINE__, #condition))
