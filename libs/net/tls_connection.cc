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

int Bounded(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

}  // namespace

absl::StatusOr<TlsConnection> TlsConnection::New(const TlsContext& context, int fd,
                                                 std::string_view server_name) {
  GODWIT_ASSIGN_OR_RETURN(ssl_st * ssl, context.NewConnection(server_name));
  TlsConnection made(ssl, context.verifies_peer());
  BIO* bio = BIO_new(SocketMethod());
  if (bio == nullptr) return base::ResourceExhausted("no memory for a TLS connection");
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return made;
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
    info.peer_verified = verifies_peer_ && SSL_get_verify_result(ssl_) == X509_V_OK;
    DescribePeer(peer.get(), &info);
  }
  return info;
}

}  // namespace godwit::net
