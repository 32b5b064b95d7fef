#include "libs/store/certificates.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kFindAuthority("certificates_find_authority", Scope::kDirectory, Access::kRead,
                                   "SELECT certificate_pem, private_key "
                                   "FROM certificate_authorities WHERE name = $1");

const db::Statement kAddAuthority("certificates_add_authority", Scope::kDirectory, Access::kWrite,
                                  "INSERT INTO certificate_authorities "
                                  "(name, certificate_pem, private_key, created_at) "
                                  "VALUES ($1, $2, $3, $4)");

const db::Statement kLock("certificates_lock", Scope::kDirectory, Access::kWrite,
                          "SELECT version FROM certificate_state FOR UPDATE");

const db::Statement kVersion("certificates_version", Scope::kDirectory, Access::kRead,
                             "SELECT version FROM certificate_state");

const db::Statement kGrow("certificates_grow", Scope::kDirectory, Access::kWrite,
                          "UPDATE certificate_state SET version = version + 1");

const db::Statement kList("certificates_list", Scope::kDirectory, Access::kRead, R"sql(
  SELECT kind, name, names, chain_pem, private_key, serial, public_key_sha256, not_before,
         not_after, renew_at, last_error, last_error_at
  FROM certificates ORDER BY kind, name)sql");

const db::Statement kPut("certificates_put", Scope::kDirectory, Access::kWrite, R"sql(
  INSERT INTO certificates (kind, name, names, chain_pem, private_key, serial, public_key_sha256,
                            not_before, not_after, renew_at, last_error, last_error_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  ON CONFLICT (kind, name) DO UPDATE SET names = excluded.names, chain_pem = excluded.chain_pem,
    private_key = excluded.private_key, serial = excluded.serial,
    public_key_sha256 = excluded.public_key_sha256, not_before = excluded.not_before,
    not_after = excluded.not_after, renew_at = excluded.renew_at,
    last_error = excluded.last_error, last_error_at = excluded.last_error_at)sql");

const db::Statement kRemove("certificates_remove", Scope::kDirectory, Access::kWrite,
                            "DELETE FROM certificates WHERE kind = $1 AND name = $2");

std::string_view KindName(CertificateKind kind) {
  return kind == CertificateKind::kRpc ? "rpc" : "public";
}

Certificate ToCertificate(db::Row row) {
  Certificate certificate;
  certificate.kind = row.Text(0) == "rpc" ? CertificateKind::kRpc : CertificateKind::kPublic;
  certificate.name = row.Text(1);
  certificate.names = row.Texts(2);
  certificate.chain_pem = row.Text(3);
  certificate.key_pem = base::Secret(row.Bytes(4));
  certificate.serial = row.Text(5);
  certificate.public_key_sha256 = row.Bytes(6);
  certificate.not_before = row.Time(7);
  certificate.not_after = row.Time(8);
  certificate.renew_at = row.Time(9);
  certificate.last_error = row.Text(10);
  certificate.last_error_at = row.OptionalTime(11);
  return certificate;
}

}  // namespace

absl::StatusOr<std::optional<CertificateAuthority>> FindAuthority(db::Connection& connection,
                                                                  std::string_view name) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFindAuthority, Params().Text(name)));
  if (rows.empty()) return std::nullopt;
  return CertificateAuthority{std::string(name), std::string(rows[0].Text(0)),
                              base::Secret(rows[0].Bytes(1))};
}

absl::Status AddAuthority(db::Connection& connection, const CertificateAuthority& authority,
                          absl::Time now) {
  Params params;
  params.Text(authority.name).Text(authority.certificate_pem).Bytes(authority.key_pem.Reveal());
  params.Time(now);
  return connection.Execute(kAddAuthority, params).status();
}

absl::Status LockCertificates(db::Connection& connection) {
  return connection.Execute(kLock, Params()).status();
}

absl::StatusOr<std::vector<Certificate>> ListCertificates(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params()));
  std::vector<Certificate> all;
  for (db::Row row : rows) all.push_back(ToCertificate(row));
  return all;
}

absl::Status PutCertificate(db::Connection& connection, const Certificate& certificate) {
  Params params;
  params.Text(KindName(certificate.kind)).Text(certificate.name).Texts(certificate.names);
  params.Text(certificate.chain_pem).Bytes(certificate.key_pem.Reveal());
  params.Text(certificate.serial).Bytes(certificate.public_key_sha256);
  params.Time(certificate.not_before).Time(certificate.not_after).Time(certificate.renew_at);
  params.Text(certificate.last_error).OptionalTime(certificate.last_error_at);
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(c.Execute(kGrow, Params()).status());
    return c.Execute(kPut, params).status();
  });
}

absl::Status RemoveCertificate(db::Connection& connection, CertificateKind kind,
                               std::string_view name) {
  return db::RunTransaction(connection, [&](db::Connection& c) -> absl::Status {
    GODWIT_RETURN_IF_ERROR(c.Execute(kGrow, Params()).status());
    return c.Execute(kRemove, Params().Text(KindName(kind)).Text(name)).status();
  });
}

absl::StatusOr<int64_t> CertificatesVersion(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kVersion, Params()));
  return rows[0].Int(0);
}

}  // namespace godwit::store
