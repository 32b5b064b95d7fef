#pragma once

// The actions that both session machines (server.h, client.h) ask of their driver.

#include <string_view>

namespace godwit::smtp {

// All output is sent and the input used up: give more input.
struct NeedInput {};
// Write this; the view is valid until the next call of the session.
struct Send {
  std::string_view bytes;
};
// Both sides agreed, nothing is buffered: do the TLS handshake, then OnTlsStarted().
struct StartTls {};
// Nothing more will be said or read: close the connection.
struct Close {};

}  // namespace godwit::smtp
