#pragma once

// Statement: one SQL statement of the program, prepared on each connection when it is first used.
//
//   const db::Statement kMailboxes("mailboxes", db::Scope::kOneAccount, db::Access::kRead,
//                                  "SELECT ... FROM mailboxes WHERE account_id = $1");
//
// Statements are constants at namespace scope of the .cc that uses them; they live for ever, and
// All() lists those that are linked in, so that a test can hold each to its Scope. The types of the
// parameters are those of the first Params it is executed with: a statement is always executed with
// the same types.

#include <string_view>
#include <vector>

namespace godwit::db {

// Where the rows of a statement lie. On a store sharded by account the router needs to know.
enum class Scope {
  kOneAccount,  // tables of user data, `account_id = $1`
  kDirectory,   // domains, addresses, aliases, settings: small and replicated
  kBatch,       // many accounts at once: grouped delivery, sweeps, checks
  kQueue,       // the queue's tables, which may lie in a database of their own
  kSession,     // the session or the schema itself: settings, locks, migrations
};

// What it means when the connection is lost before the answer arrives: a lost kRead is
// Unavailable, a lost kWrite outside a transaction is Unknown ("it may have been committed").
enum class Access { kRead, kWrite };

class Statement {
 public:
  // `name` is unique in the program, at most 63 bytes; both views must live for ever.
  Statement(const char* name, Scope scope, Access access, const char* sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  const char* name() const { return name_; }
  const char* sql() const { return sql_; }
  Scope scope() const { return scope_; }
  Access access() const { return access_; }

  // Every statement linked into this program, in no order.
  static std::vector<const Statement*> All();

 private:
  const char* name_;
  const char* sql_;
  Scope scope_;
  Access access_;
  const Statement* next_;
};

}  // namespace godwit::db
