#pragma once

// One function a command: reads the arguments behind its name (the space included) up to the end.
// False with cursor->error() when they are wrong. Only command_table.cc calls them.

#include "libs/imap/command.h"
#include "libs/imap/cursor.h"

namespace godwit::imap::command_families {

bool ParseNothing(Cursor* cursor, bool uid, Command* command);

// command_auth.cc
bool ParseId(Cursor* cursor, bool uid, Command* command);
bool ParseAuthenticate(Cursor* cursor, bool uid, Command* command);
bool ParseLogin(Cursor* cursor, bool uid, Command* command);
bool ParseEnable(Cursor* cursor, bool uid, Command* command);

// command_mailbox.cc
bool ParseSelect(Cursor* cursor, bool uid, Command* command);
bool ParseMailbox(Cursor* cursor, bool uid, Command* command);
bool ParseCreate(Cursor* cursor, bool uid, Command* command);
bool ParseRename(Cursor* cursor, bool uid, Command* command);
bool ParseStatus(Cursor* cursor, bool uid, Command* command);

// command_list.cc
bool ParseList(Cursor* cursor, bool uid, Command* command);
bool ParseLsub(Cursor* cursor, bool uid, Command* command);

// command_message.cc
bool ParseExpunge(Cursor* cursor, bool uid, Command* command);
bool ParseSearchCommand(Cursor* cursor, bool uid, Command* command);
bool ParseFetch(Cursor* cursor, bool uid, Command* command);
bool ParseStore(Cursor* cursor, bool uid, Command* command);
bool ParseCopy(Cursor* cursor, bool uid, Command* command);

// "(MESSAGES UIDNEXT)".
bool ParseStatusItems(Cursor* cursor, std::vector<StatusItem>* items);

}  // namespace godwit::imap::command_families
