#include "libs/store/certificates.h"

#include <thread>

#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

using Code = absl::StatusCode;

Certificate Example(CertificateKind kind, const std::string& name) {
  Certificate certificate;
  certificate.kind = kind;
  certificate.name = name;
  certificate.names = {name, "127.0.0.1"};
  certificate.chain_pem = "chain";
  certificate.key_pem = base::Secret(std::string("k\0y", 3));
  certificate.serial = "5b2f";
  certificate.public_key_sha256 = std::string(32, '\xff');
  certificate.not_before = absl::FromUnixSeconds(1000);
  certificate.not_after = absl::FromUnixSeconds(3000);
  certificate.renew_at = absl::FromUnixSeconds(2000);
  return certificate;
}

TEST_CASE_METHOD(StoreFixture, "A certificate comes back as it was put, and grows the version",
                 "[store][integration]") {
  auto acme = database.Connect("godwit_acme");
  const int64_t before = Must(CertificatesVersion(*acme));
  MustOk(PutCertificate(*acme, Example(CertificateKind::kRpc, "smtp-ingress")));
  Certificate failed = Example(CertificateKind::kPublic, "mx.example.org");
  failed.last_error = "no such name";
  failed.last_error_at = absl::FromUnixSeconds(2500);
  MustOk(PutCertificate(*acme, failed));
  CHECK(Must(CertificatesVersion(*acme)) == before + 2);

  auto all = Must(ListCertificates(*acme));
  REQUIRE(all.size() == 2);
  CHECK(all[0].last_error == "no such name");
  CHECK(all[0].last_error_at == failed.last_error_at);
  const Certificate expected = Example(CertificateKind::kRpc, "smtp-ingress");
  CHECK(all[1].kind == expected.kind);
  CHECK(all[1].names == expected.names);
  CHECK(all[1].key_pem == expected.key_pem);
  CHECK(all[1].public_key_sha256 == expected.public_key_sha256);
  CHECK(all[1].not_after == expected.not_after);
  CHECK(all[1].renew_at == expected.renew_at);
  CHECK_FALSE(all[1].last_error_at.has_value());

  failed.last_error = "";
  failed.last_error_at.reset();
  MustOk(PutCertificate(*acme, failed));
  MustOk(RemoveCertificate(*acme, CertificateKind::kRpc, "smtp-ingress"));
  CHECK(Must(CertificatesVersion(*acme)) == before + 4);
  all = Must(ListCertificates(*acme));
  REQUIRE(all.size() == 1);
  CHECK(all[0].last_error.empty());
}

TEST_CASE_METHOD(StoreFixture, "An authority is kept once, and its key is acme's alone",
                 "[store][integration]") {
  auto acme = database.Connect("godwit_acme");
  CHECK_FALSE(Must(FindAuthority(*acme, "rpc")).has_value());
  const CertificateAuthority authority = {"rpc", "pem", base::Secret("key")};
  MustOk(AddAuthority(*acme, authority, now));
  CHECK(AddAuthority(*acme, {"rpc", "other", base::Secret("other")}, now).code() ==
        Code::kAlreadyExists);
  CHECK(Must(FindAuthority(*acme, "rpc"))->certificate_pem == "pem");
  CHECK(Must(FindAuthority(*acme, "rpc"))->key_pem == base::Secret("key"));

  auto code = [](db::Connection& c, const std::string& sql) {
    return c.ExecuteScript(sql).status().code();
  };
  CHECK(code(*acme, "UPDATE certificate_authorities SET certificate_pem = ''") ==
        Code::kPermissionDenied);
  CHECK(code(*acme, "DELETE FROM certificate_authorities") == Code::kPermissionDenied);
  for (const char* role :
       {"godwit_smtp_ingress", "godwit_submission", "godwit_imap_gateway", "godwit_delivery_queue",
        "godwit_auth_verifier", "godwit_tls_policy", "godwit_webmail_api", "godwit_reader"}) {
    CAPTURE(role);
    auto c = database.Connect(role);
    CHECK(code(*c, "SELECT private_key FROM certificate_authorities") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT private_key FROM certificates") == Code::kPermissionDenied);
    CHECK(code(*c, "DELETE FROM certificates") == Code::kPermissionDenied);
  }
  auto reader = database.Connect("godwit_reader");
  CHECK(code(*reader, "SELECT name, serial, not_after, last_error FROM certificates") == Code::kOk);
}

TEST_CASE_METHOD(StoreFixture, "Of two that lock the certificates one waits for the other",
                 "[store][integration]") {
  auto first = database.Connect("godwit_acme");
  MustOk(first->Begin());
  MustOk(LockCertificates(*first));
  int64_t seen = 0;
  const int64_t before = Must(CertificatesVersion(*first));
  std::thread other([&] {
    auto second = database.Connect("godwit_acme");
    seen = Must(db::RunTransaction(*second, [](db::Connection& c) -> absl::StatusOr<int64_t> {
      GODWIT_RETURN_IF_ERROR(LockCertificates(c));
      return CertificatesVersion(c);
    }));
  });
  MustOk(PutCertificate(*first, Example(CertificateKind::kRpc, "imap-gateway")));
  MustOk(first->Commit());
  other.join();
  CHECK(seen == before + 1);
}

}  // namespace
}  // namespace godwit::store
