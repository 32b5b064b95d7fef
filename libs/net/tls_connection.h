#pragma once

// TlsConnection: TLS over a non-blocking socket, without waiting. Stream waits and owns the socket;
// nobody else needs more of this than TlsInfo.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/net/tls_context.h"

namespace godwit::net {

struct TlsInfo {
  std::string version;      // "TLSv1.3"
  std::string cipher;       // "TLS_AES_128_GCM_SHA256"
  std::string group;        // "X25519"; empty when there was no key exchange of that kind
  std::string server_name;  // SNI
  std::string alpn;
  bool resumed = false;
  // The certificate of the peer, where it showed one. Trust the names only with peer_verified:
  // with opportunistic TLS nobody checked them.
  bool peer_verified = false;
  // What a client found of the server's certificate; also after a handshake that failed.
  PeerVerdict verdict = PeerVerdict::kNotChecked;
  std::string verdict_reason;  // for logs
  std::string peer_subject;    // "CN=smtp-ingress,O=Godwit"
  std::vector<std::string> peer_dns_names;
};

class TlsConnection {
 public:
  static absl::StatusOr<TlsConnection> New(const TlsContext& context, int fd, TlsPeer peer);
  TlsConnection(TlsConnection&& other) noexcept;
  TlsConnection& operator=(TlsConnection&& other) noexcept;
  ~TlsConnection();

  enum class Step { kDone, kWantRead, kWantWrite };
  // FailedPrecondition with the reason, or Unavailable when the connection was lost.
  absl::StatusOr<Step> Handshake();
  // 0: would block. Errors as Stream::ReadSome().
  absl::StatusOr<size_t> Read(char* to, size_t size);
  // 0: would block; call again with the same bytes (or more behind them).
  absl::StatusOr<size_t> Write(std::string_view bytes);
  // Decrypted bytes that wait for Read().
  bool HasPending() const;
  // Sends close_notify if that is possible without waiting.
  void Shutdown();
  TlsInfo info() const;

 private:
  // What a client's connection checks, and what it found.
  struct PeerCheck {
    dane::Reference dane;
    bool enforce = true;
    dane::Verdict verdict;
    bool checked = false;
  };
  // Which verification a client does; nothing of the peer is checked by a server that does not ask.
  enum class Checks { kNothing, kChain, kDane };

  TlsConnection(ssl_st* ssl, Checks checks) : ssl_(ssl), checks_(checks) {}
  static int CheckDane(ssl_st* ssl, uint8_t* out_alert);
  void Judge(TlsInfo* info) const;
  absl::Status Failure(int result, int error) const;

  ssl_st* ssl_;
  Checks checks_;
  std::unique_ptr<PeerCheck> dane_;  // kDane; the address stays
};

}  // namespace godwit::net
