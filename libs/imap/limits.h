#pragma once

// Bounds of what a client may send. A session starts with small ones and widens them after login.

#include <cstddef>
#include <cstdint>

namespace godwit::imap {

struct Limits {
  // One command with its literals, without the message of APPEND. RFC 9051 §4.3 and RFC 7162 §4
  // ask for at least 8192.
  size_t command_bytes = 256 * 1024;
  // One literal, without the message of APPEND.
  size_t literal_bytes = 64 * 1024;
  // The message of APPEND.
  uint64_t append_bytes = 64 * 1024 * 1024;
  // Parentheses within parentheses, and NOT and OR within one another.
  int depth = 32;
  // Members of one parenthesised list; search keys in one program.
  size_t list_items = 2000;
};

}  // namespace godwit::imap
