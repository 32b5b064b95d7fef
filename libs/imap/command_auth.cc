// ID (RFC 2971), AUTHENTICATE (with RFC 4959's initial response), LOGIN, ENABLE (RFC 5161).

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"
#include "libs/imap/command.h"
#include "libs/imap/command_families.h"

namespace godwit::imap::command_families {
namespace {

// RFC 2971 §3.3: at most 30 fields, names of 30 and values of 1024 octets.
constexpr size_t kMaxIdFields = 30;
constexpr size_t kMaxIdName = 30;
constexpr size_t kMaxIdValue = 1024;

bool ParseIdField(Cursor* cursor, IdArguments* id) {
  auto name = cursor->String();
  if (!name || !cursor->ExpectSpace()) return false;
  auto value = cursor->Nstring();
  if (!value) return false;
  const bool too_much = id->fields.size() >= kMaxIdFields || name->size() > kMaxIdName ||
                        (*value && (*value)->size() > kMaxIdValue);
  if (too_much) return cursor->Fail("too much in ID");
  id->fields.emplace_back(*std::move(name), *std::move(value));
  return true;
}

}  // namespace

bool ParseId(Cursor* cursor, bool /*uid*/, Command* command) {
  IdArguments id;
  if (!cursor->ExpectSpace()) return false;
  if (!cursor->TakeWord("NIL") && !cursor->List(true, [&] { return ParseIdField(cursor, &id); })) {
    return false;
  }
  command->arguments = std::move(id);
  return true;
}

bool ParseAuthenticate(Cursor* cursor, bool /*uid*/, Command* command) {
  AuthenticateArguments arguments;
  if (!cursor->ExpectSpace()) return false;
  const auto mechanism = cursor->Atom();
  if (!mechanism) return false;
  arguments.mechanism = base::Upper(*mechanism);
  if (cursor->Take(' ')) {
    // RFC 4959 §3: "=" is an initial response of no bytes.
    std::string_view text = cursor->rest();
    if (text == "=") text = {};
    const auto bytes = base::Base64Decode(text);
    if (!bytes.ok()) return cursor->Fail("initial response is not base 64");
    arguments.initial_response.emplace(*bytes);
    *cursor = Cursor({}, cursor->limits());
  }
  command->arguments = std::move(arguments);
  return true;
}

bool ParseLogin(Cursor* cursor, bool /*uid*/, Command* command) {
  LoginArguments login;
  if (!cursor->ExpectSpace()) return false;
  auto user = cursor->Astring();
  if (!user || !cursor->ExpectSpace()) return false;
  const auto password = cursor->Astring();
  if (!password) return false;
  login.user = *std::move(user);
  login.password = base::Secret(*password);
  command->arguments = std::move(login);
  return true;
}

bool ParseEnable(Cursor* cursor, bool /*uid*/, Command* command) {
  EnableArguments enable;
  while (cursor->Take(' ')) {
    const auto name = cursor->Atom();
    if (!name) return false;
    enable.capabilities.push_back(base::Upper(*name));
    if (enable.capabilities.size() > cursor->limits().list_items) {
      return cursor->Fail("too many capabilities");
    }
  }
  if (enable.capabilities.empty()) return cursor->Fail("missing capability");
  command->arguments = std::move(enable);
  return true;
}

}  // namespace godwit::imap::command_families
