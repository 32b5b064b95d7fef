#include "libs/store/credentials.h"

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/store/directory.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
// The other Scope is what a credential opens.
using DbScope = db::Scope;

const db::Statement kAccount("credentials_account", DbScope::kOneAccount, Access::kRead, R"sql(
  SELECT a.disabled, s.sha256_salt, s.sha256_iterations, s.sha1_salt, s.sha1_iterations
  FROM accounts a LEFT JOIN account_scram s ON s.account_id = a.account_id
  WHERE a.account_id = $1)sql");

const db::Statement kEnded("credentials_ended", DbScope::kBatch, Access::kRead, R"sql(
  SELECT w.account, w.credential FROM unnest($1, $2) w(account, credential)
  WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.account_id = w.account AND NOT a.disabled)
     OR w.credential <> 0 AND NOT EXISTS (
       SELECT FROM credentials c WHERE c.account_id = w.account
         AND c.credential_id = w.credential))sql");

const db::Statement kAdmin("credentials_admin", DbScope::kDirectory, Access::kRead,
                           "SELECT 1 FROM admins WHERE account_id = $1");

const db::Statement kVerifiers("credentials_verifiers", DbScope::kOneAccount, Access::kRead, R"sql(
  SELECT credential_id, name, scopes, created_at, sha256_stored_key, sha256_server_key,
         sha1_stored_key, sha1_server_key
  FROM credentials WHERE account_id = $1 ORDER BY credential_id)sql");

const db::Statement kList("credentials_list", DbScope::kOneAccount, Access::kRead, R"sql(
  SELECT credential_id, name, scopes, created_at
  FROM credentials WHERE account_id = $1 ORDER BY name)sql");

const db::Statement kFakeSalt("credentials_fake_salt", DbScope::kDirectory, Access::kRead,
                              "SELECT key FROM server_keys WHERE name = 'fake-salt'");

const db::Statement kMakeScram("credentials_make_scram", DbScope::kOneAccount, Access::kWrite,
                               R"sql(
  INSERT INTO account_scram (account_id, sha256_salt, sha256_iterations, sha1_salt, sha1_iterations)
  SELECT account_id, $2, $4, $3, $4 FROM accounts WHERE account_id = $1
  ON CONFLICT DO NOTHING)sql");

const db::Statement kSet("credentials_set", DbScope::kOneAccount, Access::kWrite,
                         "SELECT set_credential($1, $2, $3, $4, $5, $6, $7, $8)");

const db::Statement kRemove("credentials_remove", DbScope::kOneAccount, Access::kWrite,
                            "DELETE FROM credentials WHERE account_id = $1 AND name = $2");

// An address that no account has.
constexpr std::string_view kNobody = " @invalid";

// RFC 5802 wants a salt that is hard to guess twice; 16 octets are what servers commonly take.
constexpr size_t kSaltSize = 16;

Credential CredentialFrom(const db::Row& row) {
  Credential credential;
  credential.id = row.Int(0);
  credential.name = row.Text(1);
  credential.scopes = static_cast<ScopeMask>(row.Int(2));
  credential.created = row.Time(3);
  return credential;
}

ScramParameters ScramFrom(const db::Row& row, int column) {
  if (row.IsNull(column)) return {};
  return {std::string(row.Bytes(column)), static_cast<int>(row.Int(column + 1))};
}

ScramVerifier VerifierFrom(const db::Row& row, int column) {
  return {base::Secret(row.Bytes(column)), base::Secret(row.Bytes(column + 1))};
}

}  // namespace

absl::StatusOr<std::optional<Login>> LookupLogin(db::Connection& connection,
                                                 std::string_view address) {
  // Everybody costs the same two round trips, so that time does not tell who has an account: a name
  // that no account can have is looked up as another one that nobody has.
  const bool text = base::IsUtf8(address) && address.find('\0') == std::string_view::npos;
  const bool possible = text && SplitAddress(address).ok();
  auto own = FindOwnAddress(connection, possible ? address : kNobody);
  if (own.status().code() == absl::StatusCode::kNotFound) own = OwnAddress();
  GODWIT_RETURN_IF_ERROR(own.status());

  const Params by_account = std::move(Params().Int(ToInt(own->account)));
  const std::vector<db::Connection::Call> calls = {
      {&kAccount, by_account}, {&kVerifiers, by_account}, {&kAdmin, by_account}};
  GODWIT_ASSIGN_OR_RETURN(auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  if (results[0].empty()) return std::optional<Login>();
  Login login;
  login.account = own->account;
  login.disabled = results[0][0].Bool(0);
  login.address = own->address;
  login.sha256 = ScramFrom(results[0][0], 1);
  login.sha1 = ScramFrom(results[0][0], 3);
  for (db::Row row : results[1]) {
    Credential credential = CredentialFrom(row);
    credential.sha256 = VerifierFrom(row, 4);
    credential.sha1 = VerifierFrom(row, 6);
    login.credentials.push_back(std::move(credential));
  }
  login.admin = !results[2].empty();
  return std::optional<Login>(std::move(login));
}

absl::StatusOr<std::vector<LoginRef>> EndedLogins(db::Connection& connection,
                                                  const std::vector<LoginRef>& logins) {
  std::vector<int64_t> accounts;
  std::vector<int64_t> credentials;
  for (const LoginRef& login : logins) {
    accounts.push_back(ToInt(login.account));
    credentials.push_back(login.credential);
  }
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kEnded, Params().Ints(accounts).Ints(credentials)));
  std::vector<LoginRef> ended;
  for (db::Row row : rows) ended.push_back({AccountId{row.Int(0)}, row.Int(1)});
  return ended;
}

absl::StatusOr<base::Secret> FakeSaltKey(db::Connection& connection) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFakeSalt, Params()));
  if (rows.empty()) return base::DataLoss("the key of the fake salts is missing");
  return base::Secret(rows[0].Bytes(0));
}

absl::StatusOr<AccountScram> GetOrMakeScramParameters(db::Connection& connection, AccountId account,
                                                      base::RandomSource* random, int iterations) {
  const Params by_account = std::move(Params().Int(ToInt(account)));
  for (int round = 0; round < 2; ++round) {
    GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kAccount, by_account));
    if (rows.empty()) return base::NotFound("no such account");
    if (!rows[0].IsNull(1)) return AccountScram{ScramFrom(rows[0], 1), ScramFrom(rows[0], 3)};
    Params params;
    params.Int(ToInt(account)).Bytes(random->Bytes(kSaltSize)).Bytes(random->Bytes(kSaltSize));
    params.Int(iterations);
    GODWIT_RETURN_IF_ERROR(connection.Execute(kMakeScram, params).status());
  }
  return base::NotFound("no such account");
}

absl::StatusOr<int64_t> SetCredential(db::Connection& connection, AccountId account,
                                      const NewCredential& credential, absl::Time now) {
  if (credential.name.empty() || credential.name.size() > 100) {
    return base::InvalidArgument("a credential's name has 1 to 100 octets");
  }
  Params params;
  params.Int(ToInt(account)).Text(credential.name).Int(credential.scopes);
  params.Bytes(credential.sha256.stored_key.Reveal());
  params.Bytes(credential.sha256.server_key.Reveal());
  params.Bytes(credential.sha1.stored_key.Reveal());
  params.Bytes(credential.sha1.server_key.Reveal());
  params.Time(now);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kSet, params));
  return rows[0].Int(0);
}

absl::Status RemoveCredential(db::Connection& connection, AccountId account,
                              std::string_view name) {
  GODWIT_ASSIGN_OR_RETURN(auto result,
                          connection.Execute(kRemove, Params().Int(ToInt(account)).Text(name)));
  if (result.affected() == 0) return base::NotFound("no such credential");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Credential>> ListCredentials(db::Connection& connection,
                                                        AccountId account) {
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kList, Params().Int(ToInt(account))));
  std::vector<Credential> credentials;
  for (db::Row row : rows) credentials.push_back(CredentialFrom(row));
  return credentials;
}

}  // namespace godwit::store
