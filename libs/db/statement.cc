#include "libs/db/statement.h"

#include <atomic>

namespace godwit::db {
namespace {

// Constructed before any Statement (constant initialisation), changed only while programs start.
constinit std::atomic<const Statement*> first{nullptr};

}  // namespace

Statement::Statement(const char* name, Scope scope, Access access, const char* sql)
    : name_(name), sql_(sql), scope_(scope), access_(access), next_(first.exchange(this)) {}

std::vector<const Statement*> Statement::All() {
  std::vector<const Statement*> all;
  for (const Statement* s = first; s != nullptr; s = s->next_) all.push_back(s);
  return all;
}

}  // namespace godwit::db
