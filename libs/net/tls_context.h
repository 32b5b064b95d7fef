#pragma once

// TlsContext: certificates, trust and policy for TLS connections, over BoringSSL.
//
// One object serves many connections on many threads. Its certificates can be exchanged while
// connections live: each connection keeps what it began with.
//
//   auto context = TlsContext::NewServer({.certificates = {{.chain_file = "mx.pem", .key_file =
//   "mx.key"}}}); co_await stream->StartTlsServer(*context, absl::Seconds(30));
//   ...
//   context->Reload();                       // on SIGHUP: reads the files again
//
// Versions: TLS 1.2 (RFC 5246; AEAD suites with ECDHE only, RFC 9325 §4.2) and TLS 1.3 (RFC 8446).

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/base/secret.h"
#include "libs/dane/verify.h"

struct ssl_st;      // BoringSSL's SSL
struct ssl_ctx_st;  // and SSL_CTX

namespace godwit::net {

enum class TlsVersion { kTls12, kTls13 };

// A certificate chain (leaf first) and its key, in PEM: as files, which Reload() reads again, or as
// text. Files count when chain_file is not empty. The key: PKCS #8, PKCS #1 or SEC 1, unencrypted.
struct TlsCertificate {
  std::string chain_file;
  std::string key_file;
  std::string chain_pem;
  base::Secret key_pem;
};

enum class ClientCertificates {
  kIgnored,
  kOptional,  // asked for; one that does not verify ends the handshake
  kRequired,
};

struct TlsServerOptions {
  // The first is for clients that name no server or an unknown one. Others are chosen by server
  // name (SNI) against the DNS names of the leaf ("*.example.org" covers one label); of several
  // that fit, an ECDSA one where the client can verify it.
  std::vector<TlsCertificate> certificates;
  TlsVersion min_version = TlsVersion::kTls12;
  bool session_tickets = true;
  // Protocols in our order of preference; when not empty, a client that offers ALPN but none of
  // these is refused (RFC 7301 §3.2), one that offers none at all is welcome.
  std::vector<std::string> alpn;
  ClientCertificates client_certificates = ClientCertificates::kIgnored;
  // PEM bundle that client certificates must chain to.
  std::string client_ca_file;
};

enum class ServerVerification {
  kHostName,  // chain to ca_file and the name asked for
  kChain,     // chain only
  kDane,      // the TLSA records that each connection brings (RFC 7672); no ca_file
  kNone,      // opportunistic TLS (RFC 7435)
};

// What was found of a server's certificate. Beside each the result type of RFC 8460 §4.3.
enum class PeerVerdict {
  kNotChecked,  // kNone, or the handshake did not come that far (validation-failure)
  kVerified,
  kExpired,         // certificate-expired
  kHostMismatch,    // certificate-host-mismatch
  kNotTrusted,      // certificate-not-trusted
  kNoTlsaMatch,     // validation-failure: no TLSA record fits
  kNoUsableTlsa,    // tlsa-invalid: none of the records can be used
  kBadCertificate,  // validation-failure
};
std::string_view PeerVerdictName(PeerVerdict verdict);  // "host-mismatch"

// Whom a client connects to.
struct TlsPeer {
  // SNI, and with kHostName the name or address to verify. Empty: no SNI.
  std::string name;
  // With kDane.
  dane::Reference dane;
};

struct TlsClientOptions {
  ServerVerification verification = ServerVerification::kHostName;
  // False: a server that does not verify is talked to all the same, and TlsInfo::verdict tells what
  // was found. For MTA-STS policies in testing mode.
  bool enforce = true;
  // PEM bundle of trust anchors; unused with kNone and kDane.
  std::string ca_file = "/etc/ssl/certs/ca-certificates.crt";
  TlsVersion min_version = TlsVersion::kTls12;
  std::vector<std::string> alpn;
  // Our own certificate (mutual TLS); none when both chains are empty.
  TlsCertificate certificate;
};

class TlsContext {
 public:
  // InvalidArgument or NotFound, naming the file, when a file does not read or parse, a key does
  // not fit its certificate, or a required CA is missing.
  static absl::StatusOr<std::shared_ptr<TlsContext>> NewServer(TlsServerOptions options);
  static absl::StatusOr<std::shared_ptr<TlsContext>> NewClient(TlsClientOptions options);

  bool is_server() const { return is_server_; }
  // True when a handshake does not succeed with a peer certificate that does not verify.
  bool verifies_peer() const;
  // Of a client's context.
  ServerVerification verification() const { return client_.verification; }
  bool enforces() const { return client_.enforce; }

  // The files that Reload() reads.
  std::vector<std::string> files() const;
  // Reads all files again; on an error everything stays as it was. Any thread.
  absl::Status Reload();
  // Replaces the certificates of a server context. Any thread.
  absl::Status SetCertificates(std::vector<TlsCertificate> certificates);

  // For Stream: a fresh connection object that the caller frees. `server_name` is the name or
  // address to ask for and to verify (clients only; empty: no SNI, InvalidArgument with kHostName).
  absl::StatusOr<ssl_st*> NewConnection(std::string_view server_name) const;

 private:
  // A finished SSL_CTX; connections keep the one they began with.
  using Context = std::shared_ptr<ssl_ctx_st>;

  TlsContext() = default;
  static absl::StatusOr<Context> BuildServer(const TlsServerOptions& options);
  static absl::StatusOr<Context> BuildClient(const TlsClientOptions& options);
  Context current() const;

  bool is_server_ = false;
  TlsClientOptions client_;
  mutable std::mutex mutex_;
  TlsServerOptions server_;  // guarded by mutex_
  Context context_;          // guarded by mutex_
};

}  // namespace godwit::net
