#include "libs/net/tls_connection.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "absl/time/clock.h"
#include "libs/base/status.h"

namespace godwit::net {
namespace {

// BoringSSL's own socket BIO writes with write(2), which raises SIGPIPE; this one does not.

int FdOf(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

int BioRead(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = recv(FdOf(bio), to, static_cast<size_t>(size), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

int BioWrite(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = send(FdOf(bio), from, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

long BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "godwit socket");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

// Alerts of the peer and our own judgements look alike but for this text.
std::string ErrorText(const SSL* ssl) {
  const uint32_t code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  std::string text = reason != nullptr ? reason : "unknown reason";
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    text += ": ";
    text += X509_verify_cert_error_string(SSL_get_verify_result(ssl));
  }
  ERR_clear_error();
  return text;
}

std::string OneLine(X509_NAME* name) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(bio.get(), &data, &size);
  return std::string(reinterpret_cast<const char*>(data), size);
}

void DescribePeer(X509* certificate, TlsInfo* info) {
  info->peer_subject = OneLine(X509_get_subject_name(certificate));
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return;
  for (const GENERAL_NAME* each : names.get()) {
    if (each->type != GEN_DNS) continue;
    info->peer_dns_names.emplace_back(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(each->d.dNSName)),
        static_cast<size_t>(ASN1_STRING_length(each->d.dNSName)));
  }
}

PeerVerdict VerdictOf(dane::VerdictCode code) {
  switch (code) {
    case dane::VerdictCode::kMatched: return PeerVerdict::kVerified;
    case dane::VerdictCode::kNoMatch: return PeerVerdict::kNoTlsaMatch;
    case dane::VerdictCode::kExpired: return PeerVerdict::kExpired;
    case dane::VerdictCode::kHostMismatch: return PeerVerdict::kHostMismatch;
    case dane::VerdictCode::kUntrusted: return PeerVerdict::kNotTrusted;
    case dane::VerdictCode::kNoUsableRecord: return PeerVerdict::kNoUsableTlsa;
    case dane::VerdictCode::kBadCertificate: return PeerVerdict::kBadCertificate;
  }
  return PeerVerdict::kNotChecked;
}

PeerVerdict VerdictOf(long x509_result) {
  switch (x509_result) {
    case X509_V_OK: return PeerVerdict::kVerified;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return PeerVerdict::kExpired;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return PeerVerdict::kHostMismatch;
    default: return PeerVerdict::kNotTrusted;
  }
}

int Bounded(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

}  // namespace

TlsConnection::TlsConnection(TlsConnection&& other) noexcept
    : ssl_(std::exchange(other.ssl_, nullptr)),
      checks_(other.checks_),
      dane_(std::move(other.dane_)) {}

TlsConnection& TlsConnection::operator=(TlsConnection&& other) noexcept {
  std::swap(ssl_, other.ssl_);
  std::swap(checks_, other.checks_);
  std::swap(dane_, other.dane_);
  return *this;
}

absl::StatusOr<TlsConnection> TlsConnection::New(const TlsContext& context, int fd, TlsPeer peer) {
  GODWIT_ASSIGN_OR_RETURN(ssl_st * ssl, context.NewConnection(peer.name));
  const bool chain = context.is_server() ? context.verifies_peer()
                                         : context.verification() != ServerVerification::kNone;
  TlsConnection made(ssl, chain ? Checks::kChain : Checks::kNothing);
  if (!context.is_server() && context.verification() == ServerVerification::kDane) {
    made.checks_ = Checks::kDane;
    made.dane_ = std::make_unique<PeerCheck>();
    made.dane_->dane = std::move(peer.dane);
    made.dane_->enforce = context.enforces();
    SSL_set_app_data(ssl, made.dane_.get());
    SSL_set_custom_verify(ssl, SSL_VERIFY_PEER, [](SSL* each, uint8_t* out_alert) {
      return static_cast<ssl_verify_result_t>(CheckDane(each, out_alert));
    });
  }
  BIO* bio = BIO_new(SocketMethod());
  if (bio == nullptr) return base::ResourceExhausted("no memory for a TLS connection");
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return made;
}

int TlsConnection::CheckDane(ssl_st* ssl, uint8_t* out_alert) {
  auto* check = static_cast<PeerCheck*>(SSL_get_app_data(ssl));
  std::vector<std::string> chain;
  if (const STACK_OF(CRYPTO_BUFFER)* shown = SSL_get0_peer_certificates(ssl)) {
    for (const CRYPTO_BUFFER* each : shown) {
      chain.emplace_back(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(each)),
                         CRYPTO_BUFFER_len(each));
    }
  }
  check->checked = true;
  check->verdict = dane::Verify(check->dane, chain, absl::Now());
  if (check->verdict.code == dane::VerdictCode::kMatched || !check->enforce) return ssl_verify_ok;
  *out_alert = check->verdict.code == dane::VerdictCode::kExpired ? SSL_AD_CERTIFICATE_EXPIRED
                                                                  : SSL_AD_CERTIFICATE_UNKNOWN;
  return ssl_verify_invalid;
}

TlsConnection::~TlsConnection() { SSL_free(ssl_); }

absl::StatusOr<TlsConnection::Step> TlsConnection::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) return Step::kDone;
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) return Step::kWantRead;
  if (error == SSL_ERROR_WANT_WRITE) return Step::kWantWrite;
  return base::Annotate(Failure(result, error), "TLS handshake");
}

absl::StatusOr<size_t> TlsConnection::Read(char* to, size_t size) {
  ERR_clear_error();
  const int result = SSL_read(ssl_, to, Bounded(size));
  if (result > 0) return static_cast<size_t>(result);
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return size_t{0};
  return Failure(result, error);
}

absl::StatusOr<size_t> TlsConnection::Write(std::string_view bytes) {
  ERR_clear_error();
  const int result = SSL_write(ssl_, bytes.data(), Bounded(bytes.size()));
  if (result > 0) return static_cast<size_t>(result);
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return size_t{0};
  return Failure(result, error);
}

absl::Status TlsConnection::Failure(int result, int error) const {
  const int saved = errno;
  if (error == SSL_ERROR_ZERO_RETURN) return base::OutOfRange("end of stream");
  if (error == SSL_ERROR_SYSCALL) {
    // RFC 8446 §6.1: an end without close_notify may be an attacker's cut.
    if (result == 0) return base::DataLoss("TLS connection ended without close_notify");
    return base::Unavailable(std::string("connection lost: ") + std::strerror(saved));
  }
  return base::FailedPrecondition("TLS: " + ErrorText(ssl_));
}

bool TlsConnection::HasPending() const { return SSL_pending(ssl_) > 0; }

void TlsConnection::Shutdown() {
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

void TlsConnection::Judge(TlsInfo* info) const {
  if (checks_ == Checks::kDane && dane_->checked) {
    info->verdict = VerdictOf(dane_->verdict.code);
    info->verdict_reason = dane_->verdict.reason;
  } else if (checks_ == Checks::kChain) {
    const long result = SSL_get_verify_result(ssl_);
    info->verdict = VerdictOf(result);
    if (result != X509_V_OK) info->verdict_reason = X509_verify_cert_error_string(result);
  }
  info->peer_verified = info->verdict == PeerVerdict::kVerified;
}

TlsInfo TlsConnection::info() const {
  TlsInfo info;
  info.version = SSL_get_version(ssl_);
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_)) {
    info.cipher = SSL_CIPHER_standard_name(cipher);
  }
  if (const char* group = SSL_get_curve_name(SSL_get_curve_id(ssl_))) info.group = group;
  if (const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name)) {
    info.server_name = name;
  }
  const uint8_t* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_size);
  info.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  info.resumed = SSL_session_reused(ssl_) == 1;
  bssl::UniquePtr<X509> peer(SSL_get_peer_certificate(ssl_));
  if (peer) {
    Judge(&info);
    DescribePeer(peer.get(), &info);
  }
  return info;
}

}  // namespace godwit::net
