#include "libs/net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"

namespace godwit::net {
namespace {

// RFC 9325 §4.2: forward secrecy and AEAD. TLS 1.3 suites are always on.
constexpr char kStrictCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
// RFC 7435 §3: where the alternative is plain text, an old suite is better than none.
constexpr char kOpportunisticCiphers[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:kRSA+AESGCM:kRSA+AES";
// RFC 8446 §4.2.3: the code of ecdsa_secp256r1_sha256.
constexpr uint16_t kEcdsaP256Sha256 = 0x0403;

struct LoadedCertificate {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> chain;
  bssl::UniquePtr<EVP_PKEY> key;
  std::vector<std::string> names;  // lower case
  bool ecdsa = false;
};

// What the callbacks of one SSL_CTX need; goes with it.
struct ServerState {
  std::vector<LoadedCertificate> certificates;
  std::string alpn;  // wire form
};

std::string Reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text != nullptr ? text : "unknown reason";
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound("can not open " + path);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return base::Unavailable("can not read " + path);
  return text;
}

bssl::UniquePtr<BIO> MemoryBio(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<bssl::UniquePtr<X509>> ParseChain(std::string_view pem) {
  std::vector<bssl::UniquePtr<X509>> chain;
  const auto bio = MemoryBio(pem);
  while (X509* each = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.emplace_back(each);
  }
  // The end of the text is "no start line"; anything else is damage.
  const bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!clean) chain.clear();
  return chain;
}

std::vector<std::string> DnsNames(X509* certificate) {
  std::vector<std::string> names;
  bssl::UniquePtr<GENERAL_NAMES> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!all) return names;
  for (const GENERAL_NAME* each : all.get()) {
    if (each->type != GEN_DNS) continue;
    const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(each->d.dNSName));
    const auto size = static_cast<size_t>(ASN1_STRING_length(each->d.dNSName));
    names.push_back(base::Lower(std::string_view(data, size)));
  }
  return names;
}

bssl::UniquePtr<CRYPTO_BUFFER> ToBuffer(X509* certificate) {
  uint8_t* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size < 0) return nullptr;
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
  OPENSSL_free(der);
  return buffer;
}

absl::StatusOr<LoadedCertificate> Load(const TlsCertificate& from) {
  std::string chain_pem = from.chain_pem;
  base::Secret key_pem = from.key_pem;
  if (!from.chain_file.empty()) {
    GODWIT_ASSIGN_OR_RETURN(chain_pem, ReadFile(from.chain_file));
    GODWIT_ASSIGN_OR_RETURN(std::string key_text, ReadFile(from.key_file));
    key_pem = base::Secret(key_text);
    OPENSSL_cleanse(key_text.data(), key_text.size());
  }
  const std::string where = from.chain_file.empty() ? "certificate" : from.chain_file;
  const auto chain = ParseChain(chain_pem);
  if (chain.empty()) return base::InvalidArgument(where + ": no certificate in PEM form");

  LoadedCertificate loaded;
  const auto bio = MemoryBio(key_pem.Reveal());
  loaded.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!loaded.key) {
    return base::InvalidArgument((from.key_file.empty() ? "key" : from.key_file) +
                                 ": no private key in PEM form (" + Reason() + ")");
  }
  if (X509_check_private_key(chain.front().get(), loaded.key.get()) != 1) {
    return base::InvalidArgument(where + ": the key does not belong to it (" + Reason() + ")");
  }
  for (const auto& each : chain) loaded.chain.push_back(ToBuffer(each.get()));
  loaded.names = DnsNames(chain.front().get());
  loaded.ecdsa = EVP_PKEY_id(loaded.key.get()) == EVP_PKEY_EC;
  return loaded;
}

bool Use(SSL* ssl, const LoadedCertificate& certificate) {
  std::vector<CRYPTO_BUFFER*> chain;
  for (const auto& each : certificate.chain) chain.push_back(each.get());
  return SSL_set_chain_and_key(ssl, chain.data(), chain.size(), certificate.key.get(), nullptr) ==
         1;
}

// RFC 9525 §6.3: "*" stands for the whole first label and only for it.
bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern == name) return true;
  if (!pattern.starts_with("*.")) return false;
  const size_t dot = name.find('.');
  return dot != name.npos && dot > 0 && name.substr(dot) == pattern.substr(1);
}

bool CanVerifyEcdsa(const SSL_CLIENT_HELLO* hello) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_signature_algorithms, &data,
                                            &size)) {
    return false;
  }
  for (size_t i = 2; i + 1 < size; i += 2) {
    if (data[i] * 256 + data[i + 1] == kEcdsaP256Sha256) return true;
  }
  return false;
}

const LoadedCertificate& Choose(const ServerState& state, std::string_view name, bool ecdsa_fits) {
  const LoadedCertificate* best = nullptr;
  const LoadedCertificate& fallback = state.certificates.front();
  for (const LoadedCertificate& each : state.certificates) {
    // Without a name: whatever has the names of the first.
    bool fits = name.empty() && each.names == fallback.names;
    for (const std::string& pattern : each.names) fits = fits || Matches(pattern, name);
    if (!fits || (each.ecdsa && !ecdsa_fits)) continue;
    if (best == nullptr || (each.ecdsa && !best->ecdsa)) best = &each;
  }
  if (best != nullptr) return *best;
  return name.empty() ? fallback : Choose(state, "", ecdsa_fits);
}

ssl_select_cert_result_t SelectCertificate(const SSL_CLIENT_HELLO* hello) {
  const auto* state =
      static_cast<const ServerState*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(hello->ssl)));
  // The library has read the name already; it refuses malformed ones.
  const char* name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
  const std::string wanted = name != nullptr ? base::Lower(name) : "";
  const bool ok = Use(hello->ssl, Choose(*state, wanted, CanVerifyEcdsa(hello)));
  return ok ? ssl_select_cert_success : ssl_select_cert_error;
}

int SelectAlpn(SSL*, const uint8_t** out, uint8_t* out_size, const uint8_t* in, unsigned in_size,
               void* arg) {
  const auto* state = static_cast<const ServerState*>(arg);
  // RFC 7301 §3.2: the server's order decides; without overlap the handshake ends.
  const int found = SSL_select_next_proto(const_cast<uint8_t**>(out), out_size,
                                          reinterpret_cast<const uint8_t*>(state->alpn.data()),
                                          static_cast<unsigned>(state->alpn.size()), in, in_size);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

std::string AlpnWire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& each : protocols) {
    wire.push_back(static_cast<char>(each.size()));
    wire += each;
  }
  return wire;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> NewSslContext(TlsVersion min_version,
                                                       const char* ciphers) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (!context) return base::ResourceExhausted("no memory for a TLS context");
  const uint16_t version = min_version == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (!SSL_CTX_set_min_proto_version(context.get(), version) ||
      !SSL_CTX_set_strict_cipher_list(context.get(), ciphers)) {
    return base::Internal("TLS policy refused: " + Reason());
  }
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

absl::Status Trust(SSL_CTX* context, const std::string& ca_file) {
  if (SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) == 1) {
    return absl::OkStatus();
  }
  return base::InvalidArgument("can not read trust anchors from " + ca_file + ": " + Reason());
}

int StateIndex() {
  // Frees the ServerState together with its SSL_CTX.
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* pointer, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<ServerState*>(pointer);
      });
  return index;
}

}  // namespace

std::string_view PeerVerdictName(PeerVerdict verdict) {
  switch (verdict) {
    case PeerVerdict::kNotChecked: return "not-checked";
    case PeerVerdict::kVerified: return "verified";
    case PeerVerdict::kExpired: return "expired";
    case PeerVerdict::kHostMismatch: return "host-mismatch";
    case PeerVerdict::kNotTrusted: return "not-trusted";
    case PeerVerdict::kNoTlsaMatch: return "no-tlsa-match";
    case PeerVerdict::kNoUsableTlsa: return "no-usable-tlsa";
    case PeerVerdict::kBadCertificate: return "bad-certificate";
  }
  return "";
}

absl::StatusOr<TlsContext::Context> TlsContext::BuildServer(const TlsServerOptions& options) {
  if (options.certificates.empty())
    return base::InvalidArgument("a TLS server needs a certificate");
  auto state = std::make_unique<ServerState>();
  state->alpn = AlpnWire(options.alpn);
  for (const TlsCertificate& each : options.certificates) {
    GODWIT_ASSIGN_OR_RETURN(LoadedCertificate loaded, Load(each));
    state->certificates.push_back(std::move(loaded));
  }
  GODWIT_ASSIGN_OR_RETURN(Context context, NewSslContext(options.min_version, kStrictCiphers));
  if (!options.session_tickets) SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  if (!options.alpn.empty()) SSL_CTX_set_alpn_select_cb(context.get(), SelectAlpn, state.get());
  if (options.client_certificates != ClientCertificates::kIgnored) {
    GODWIT_RETURN_IF_ERROR(Trust(context.get(), options.client_ca_file));
    const bool required = options.client_certificates == ClientCertificates::kRequired;
    SSL_CTX_set_verify(context.get(),
                       SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  }
  SSL_CTX_set_select_certificate_cb(context.get(), SelectCertificate);
  SSL_CTX_set_app_data(context.get(), state.get());
  SSL_CTX_set_ex_data(context.get(), StateIndex(), state.release());
  return context;
}

absl::StatusOr<TlsContext::Context> TlsContext::BuildClient(const TlsClientOptions& options) {
  const bool verify = options.verification != ServerVerification::kNone;
  const bool strict = verify && options.enforce;
  GODWIT_ASSIGN_OR_RETURN(
      Context context,
      NewSslContext(options.min_version, strict ? kStrictCiphers : kOpportunisticCiphers));
  // Of kDane TlsConnection takes care.
  if (verify && options.verification != ServerVerification::kDane) {
    GODWIT_RETURN_IF_ERROR(Trust(context.get(), options.ca_file));
    // SSL_VERIFY_NONE verifies, too, and keeps the result.
    SSL_CTX_set_verify(context.get(), strict ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  }
  const std::string alpn = AlpnWire(options.alpn);
  // Zero is success here, unlike everywhere else.
  if (SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const uint8_t*>(alpn.data()),
                              static_cast<unsigned>(alpn.size())) != 0) {
    return base::InvalidArgument("bad ALPN list");
  }
  if (options.certificate.chain_file.empty() && options.certificate.chain_pem.empty()) {
    return context;
  }
  GODWIT_ASSIGN_OR_RETURN(const LoadedCertificate own, Load(options.certificate));
  std::vector<CRYPTO_BUFFER*> chain;
  for (const auto& each : own.chain) chain.push_back(each.get());
  if (SSL_CTX_set_chain_and_key(context.get(), chain.data(), chain.size(), own.key.get(),
                                nullptr) != 1) {
    return base::InvalidArgument("client certificate refused: " + Reason());
  }
  return context;
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::NewServer(TlsServerOptions options) {
  std::shared_ptr<TlsContext> made(new TlsContext());
  GODWIT_ASSIGN_OR_RETURN(made->context_, BuildServer(options));
  made->is_server_ = true;
  made->server_ = std::move(options);
  return made;
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::NewClient(TlsClientOptions options) {
  std::shared_ptr<TlsContext> made(new TlsContext());
  GODWIT_ASSIGN_OR_RETURN(made->context_, BuildClient(options));
  made->client_ = std::move(options);
  return made;
}

bool TlsContext::verifies_peer() const {
  if (!is_server_) return client_.verification != ServerVerification::kNone && client_.enforce;
  std::lock_guard lock(mutex_);
  return server_.client_certificates != ClientCertificates::kIgnored;
}

std::vector<std::string> TlsContext::files() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> files;
  const auto add = [&files](const TlsCertificate& certificate) {
    if (!certificate.chain_file.empty()) files.push_back(certificate.chain_file);
    if (!certificate.key_file.empty()) files.push_back(certificate.key_file);
  };
  for (const TlsCertificate& certificate : server_.certificates) add(certificate);
  add(client_.certificate);
  const std::string& ca_file = is_server_ ? server_.client_ca_file : client_.ca_file;
  if (!ca_file.empty()) files.push_back(ca_file);
  return files;
}

absl::Status TlsContext::Reload() {
  if (!is_server_) {
    GODWIT_ASSIGN_OR_RETURN(Context client, BuildClient(client_));
    std::lock_guard lock(mutex_);
    context_ = std::move(client);
    return absl::OkStatus();
  }
  // Files are read under the lock: two reloads at the same time must not end with the older one.
  std::lock_guard lock(mutex_);
  GODWIT_ASSIGN_OR_RETURN(context_, BuildServer(server_));
  return absl::OkStatus();
}

absl::Status TlsContext::SetCertificates(std::vector<TlsCertificate> certificates) {
  if (!is_server_) return base::FailedPrecondition("not a server's TLS context");
  std::lock_guard lock(mutex_);
  TlsServerOptions changed = server_;
  changed.certificates = std::move(certificates);
  GODWIT_ASSIGN_OR_RETURN(context_, BuildServer(changed));
  server_ = std::move(changed);
  return absl::OkStatus();
}

TlsContext::Context TlsContext::current() const {
  std::lock_guard lock(mutex_);
  return context_;
}

namespace {

absl::Status SetServerName(SSL* ssl, std::string_view server_name,
                           ServerVerification verification) {
  if (server_name.ends_with('.')) server_name.remove_suffix(1);
  const std::string name(server_name);
  const bool check = verification == ServerVerification::kHostName;
  if (name.empty()) {
    return check ? base::InvalidArgument("no server name to verify") : absl::OkStatus();
  }
  if (const auto address = base::IpAddress::Parse(name)) {
    // RFC 6066 §3: addresses are not sent as server names.
    const auto bytes = address->bytes();
    const bool ok = !check || X509_VERIFY_PARAM_set1_ip(
                                  SSL_get0_param(ssl),
                                  reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return ok ? absl::OkStatus() : base::InvalidArgument("bad address to verify");
  }
  if (!SSL_set_tlsext_host_name(ssl, name.c_str())) {
    return base::InvalidArgument("bad server name: " + Reason());
  }
  if (!check) return absl::OkStatus();
  SSL_set_hostflags(ssl,
                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(ssl, name.c_str()) ? absl::OkStatus()
                                          : base::InvalidArgument("bad name to verify");
}

}  // namespace

absl::StatusOr<ssl_st*> TlsContext::NewConnection(std::string_view server_name) const {
  const Context context = current();
  bssl::UniquePtr<SSL> ssl(SSL_new(context.get()));
  if (!ssl) return base::ResourceExhausted("no memory for a TLS connection");
  if (is_server_) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
    GODWIT_RETURN_IF_ERROR(SetServerName(ssl.get(), server_name, client_.verification));
  }
  // Certificates, verification and callbacks are not needed after the handshake: several hundred
  // bytes of an idle connection.
  SSL_set_shed_handshake_config(ssl.get(), 1);
  return ssl.release();
}

}  // namespace godwit::net
