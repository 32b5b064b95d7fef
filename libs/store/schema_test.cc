// The schema itself: migrations, rights, and what each statement may touch.

#include <regex>
#include <set>
#include <thread>

#include "libs/store/admin.h"
#include "libs/store/credentials.h"
#include "libs/store/directory.h"
#include "libs/store/dkim_keys.h"
#include "libs/store/entries.h"
#include "libs/store/maintenance.h"
#include "libs/store/migrate.h"
#include "libs/store/store_fixture.h"
#include "libs/store/watch.h"

namespace godwit::store {
namespace {

TEST_CASE("Migrations are numbered without gaps and applied once", "[store][integration]") {
  int expected = 0;
  for (const Migration& migration : Migrations()) CHECK(migration.version == ++expected);
  testing::ScratchDatabase database(testing::Durability::kFast, testing::Schema::kEmpty);
  auto connection = database.Connect();
  CHECK(Must(SchemaVersion(*connection)) == 0);
  CHECK(CheckSchema(*connection).code() == absl::StatusCode::kFailedPrecondition);
  // Two at the same time take turns.
  std::thread other([&] {
    auto own = database.Connect();
    MustOk(Migrate(*own).status());
  });
  MustOk(Migrate(*connection).status());
  other.join();
  auto again = Must(Migrate(*connection));
  CHECK((again.from == RequiredVersion() && again.to == RequiredVersion()));
  MustOk(CheckSchema(*connection));
  CHECK(database.Ask("SELECT count(*) FROM schema_versions") == std::to_string(expected));
  CHECK(database.Ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' "
                     "AND tableowner <> 'godwit'") == "0");

  MustOk(connection->ExecuteScript("UPDATE schema_versions SET sha256 = 'x' WHERE version = 3")
             .status());
  CHECK(Migrate(*connection).status().code() == absl::StatusCode::kFailedPrecondition);
  // A newer schema belongs to a newer program, and serves this one.
  MustOk(
      connection->ExecuteScript("INSERT INTO schema_versions VALUES (9999, 'later', '')").status());
  MustOk(Migrate(*connection).status());
  MustOk(CheckSchema(*connection));
}

TEST_CASE_METHOD(StoreFixture, "Every role can do its work and nothing beside it",
                 "[store][integration]") {
  using Code = absl::StatusCode;
  auto code = [](db::Connection& c, const std::string& sql) {
    return c.ExecuteScript(sql).status().code();
  };
  NewCredential credential;
  credential.name = "password";
  Must(SetCredential(*connection, alice, credential, now));

  SECTION("smtp-ingress delivers, and sees neither mail nor passwords nor keys") {
    auto c = database.Connect("godwit_smtp_ingress");
    CHECK(Must(LookupRecipient(*c, "alice", "b.example")).local.size() == 1);
    StagedBlob staged =
        Must(StageBlob(*c, alice, base::RandomSource::System(), now + absl::Hours(1)));
    MustOk(StageChunk(*c, &staged, "body"));
    Delivery delivery = Message(alice, "x", "");
    delivery.staged = staged;
    Must(Deliver(*c, delivery));
    MustOk(CheckSchema(*c));
    // With these rights it could have the sweep remove what others have stored.
    CHECK(code(*c, "INSERT INTO dead_blobs SELECT 1, 2, 3, now()") == Code::kPermissionDenied);
    CHECK(code(*c, "INSERT INTO staged_blobs SELECT 1, 2, now()") == Code::kPermissionDenied);
    CHECK(code(*c, "INSERT INTO blob_chunks SELECT 1, 2, 3, 4, 0, ''") == Code::kPermissionDenied);
    const std::string blob = std::to_string(ToInt(staged.blob));
    const std::string account = std::to_string(ToInt(alice));
    CHECK(code(*c, "SELECT stage_blob(" + account + ", " + blob + ", '-infinity')") ==
          Code::kAlreadyExists);
    for (const char* table :
         {"staged_blobs", "dead_blobs", "credentials", "account_scram", "server_keys", "dkim_keys",
          "emails", "mailbox_entries", "blob_chunks", "queue_messages", "admins"}) {
      CAPTURE(table);
      CHECK(code(*c, std::string("SELECT * FROM ") + table) == Code::kPermissionDenied);
    }
    CHECK(code(*c, "UPDATE accounts SET quota_bytes = 0") == Code::kPermissionDenied);
    CHECK(code(*c, "DELETE FROM mailbox_entries") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT mark_restored()") == Code::kPermissionDenied);
    CHECK(code(*c, "CREATE TABLE t (x int)") == Code::kPermissionDenied);
    CHECK(StoreFlags(*c, alice, MailboxId{1}, {kAllUids}, {}, now).status().code() ==
          Code::kPermissionDenied);
  }
  SECTION("imap-gateway logs in and serves mail, and changes no account") {
    auto c = database.Connect("godwit_imap_gateway");
    CHECK(Must(LookupLogin(*c, "alice@b.example"))->credentials.size() == 1);
    Must(FakeSaltKey(*c));
    MustOk(RegisterGateway(*c, GatewayId{1}, "imap-gateway", "x:1"));
    MustOk(Heartbeat(*c, GatewayId{1}));
    Must(WatchAccount(*c, alice, GatewayId{1}));
    Must(Deliver(*c, Message(alice, "append")));
    const MailboxId inbox = Must(FindMailbox(*c, alice, "INBOX")).id;
    Must(ListMailboxes(*c, alice));
    Must(OpenMailbox(*c, alice, inbox));
    auto entries = Must(FetchEntries(*c, alice, inbox, {kAllUids}, {.summary = true}));
    Must(ReadBlob(*c, alice, entries.entries.at(0).blob, 0, 100));
    Must(StoreFlags(*c, alice, inbox, {kAllUids}, {.flags = kSeen, .keywords = {"k"}}, now));
    Must(CopyEntries(*c, alice, inbox, {kAllUids}, Find("Sent").id, now));
    Must(ExpungeEntries(*c, alice, inbox, {kAllUids}, now, true));
    Must(ChangesSince(*c, alice, inbox, 1));
    Must(CreateMailbox(*c, alice, "a", Role::kNone, now));
    Must(RenameMailbox(*c, alice, "a", "b", now));
    Must(SetSubscribed(*c, alice, "b", true, now));
    const MailboxId doomed = Must(DeleteMailbox(*c, alice, "b", now)).doomed;
    Must(PurgeMailbox(*c, alice, doomed, now));
    Must(SweepDeleted(*c, now));
    Must(SweepBlobs(*c, now, now));
    Must(CompactChangeLogs(*c, now));
    Must(GetQuota(*c, alice));
    MustOk(UnwatchAccount(*c, alice, GatewayId{1}));
    MustOk(UnregisterGateway(*c, GatewayId{1}));
    CHECK(code(*c, "SELECT * FROM dkim_keys") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT * FROM queue_messages") == Code::kPermissionDenied);
    CHECK(code(*c, "UPDATE credentials SET scopes = 15") == Code::kPermissionDenied);
    CHECK(RemoveAccount(*c, alice).code() == Code::kPermissionDenied);
  }
  SECTION("webmail-api administers") {
    auto c = database.Connect("godwit_webmail_api");
    MustOk(AddDomain(*c, "c.example", now));
    const AccountId bob = Must(AddAccount(*c, "bob@c.example", base::RandomSource::System(), now));
    MustOk(SetQuota(*c, bob, 1));
    MustOk(SetAdmin(*c, bob, true, now));
    MustOk(SetAccountDisabled(*c, bob, true));
    Must(GetOrMakeScramParameters(*c, bob, base::RandomSource::System()));
    Must(SetCredential(*c, bob, credential, now));
    MustOk(AddAlias(*c, {"t@c.example", true, {"bob@c.example", "x@y.example"}}, now));
    MustOk(RemoveCredential(*c, bob, "password"));
    MustOk(RemoveAccount(*c, bob));
    CHECK(code(*c, "SELECT private_key FROM dkim_keys") == Code::kPermissionDenied);
  }
  SECTION("auth-verifier has the signing keys, delivery-queue the queue, and that is all") {
    auto verifier = database.Connect("godwit_auth_verifier");
    CHECK(code(*verifier, "SELECT private_key FROM dkim_keys") == Code::kOk);
    CHECK(Must(LookupSigningRight(*verifier, alice, "b.example")).permitted);
    CHECK(code(*verifier, "UPDATE dkim_keys SET state = 'active'") == Code::kPermissionDenied);
    CHECK(code(*verifier, "SELECT name FROM accounts") == Code::kPermissionDenied);
    CHECK(code(*verifier, "SELECT local_part FROM addresses") == Code::kPermissionDenied);
    CHECK(code(*verifier, "SELECT * FROM emails") == Code::kPermissionDenied);
    auto queue = database.Connect("godwit_delivery_queue");
    CHECK(code(*queue, "UPDATE queue_shards SET epoch = epoch + 1") == Code::kOk);
    CHECK(code(*queue, "SELECT * FROM blob_chunks") == Code::kPermissionDenied);
    for (const char* role : {"godwit_tls_policy", "godwit_acme"}) {
      auto c = database.Connect(role);
      CHECK(code(*c, "SELECT * FROM domains") == Code::kOk);
      CHECK(code(*c, "SELECT * FROM credentials") == Code::kPermissionDenied);
      CHECK(code(*c, "SELECT * FROM accounts") == Code::kPermissionDenied);
    }
    auto submission = database.Connect("godwit_submission");
    CHECK(Must(LookupLogin(*submission, "alice@b.example")).has_value());
    CHECK(code(*submission, "SELECT * FROM mailbox_entries") == Code::kPermissionDenied);
  }
  SECTION("reader reads everything but secrets, and changes nothing") {
    auto c = database.Connect("godwit_reader");
    CHECK(code(*c, "SELECT private_key FROM dkim_keys") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT sha256_stored_key FROM credentials") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT * FROM server_keys") == Code::kPermissionDenied);
    CHECK(code(*c, "SELECT selector, public_key FROM dkim_keys") == Code::kOk);
    CHECK(code(*c, "SELECT name, scopes FROM credentials") == Code::kOk);
    CHECK(Must(CheckStore(*c)).empty());
    CHECK(code(*c, "DELETE FROM domains") == Code::kPermissionDenied);
    CHECK(Deliver(*c, Message(alice, "x")).status().code() == Code::kPermissionDenied);
  }
}

TEST_CASE("No function but those granted can be called by everybody", "[store][integration]") {
  testing::ScratchDatabase database;
  CHECK(database.Ask("SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                     "WHERE n.nspname = 'public' AND has_function_privilege('public', p.oid, "
                     "'EXECUTE')") == "0");
  // What runs with the owner's rights looks names up in its own schema only.
  CHECK(database.Ask("SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                     "WHERE n.nspname = 'public' AND p.prosecdef AND NOT coalesce(p.proconfig, "
                     "'{}') @> '{\"search_path=public, pg_temp\"}'") == "0");
}

// --- Classification ------------------------------------------------------------------------------

const std::set<std::string> kDirectoryTables = {
    "domains",     "addresses", "aliases",         "alias_members",     "settings",   "admins",
    "server_keys", "dkim_keys", "directory_state", "directory_changes", "srs_secrets"};
const std::set<std::string> kAccountTables = {
    "accounts",         "mailboxes",      "subscriptions",   "emails",        "blob_chunks",
    "staged_blobs",     "dead_blobs",     "mailbox_entries", "keywords",      "threads",
    "thread_refs",      "change_log",     "watchers",        "account_scram", "credentials",
    "doomed_mailboxes", "doomed_accounts"};
// Functions of one account; their first argument is its id.
const std::set<std::string> kAccountFunctions = {
    "store_flags",      "copy_entries",   "expunge_entries",    "create_mailbox", "rename_mailbox",
    "delete_mailbox",   "set_subscribed", "watch_account",      "mailbox_at",     "set_credential",
    "create_account",   "remove_account", "compact_change_log", "stage_blob",     "stage_chunk",
    "drop_staged_blob", "purge_mailbox",  "purge_account"};

std::set<std::string> Words(const std::string& sql) {
  std::set<std::string> words;
  const std::regex word("[a-z_0-9]+");
  for (std::sregex_iterator it(sql.begin(), sql.end(), word), end; it != end; ++it) {
    words.insert(it->str());
  }
  return words;
}

bool Any(const std::set<std::string>& words, const std::set<std::string>& of) {
  return std::any_of(words.begin(), words.end(), [&](const auto& w) { return of.contains(w); });
}

bool Contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

TEST_CASE("Every statement is of one account, of the directory, or a batch", "[store][unit]") {
  std::set<std::string> names;
  int checked = 0;
  for (const db::Statement* statement : db::Statement::All()) {
    const std::string sql = statement->sql();
    CAPTURE(statement->name(), sql);
    CHECK(names.insert(statement->name()).second);
    CHECK(names.rbegin()->size() <= 63);
    // Time is a parameter; leases and beats say clock_timestamp().
    CHECK_FALSE(Contains(sql, "now()"));
    CHECK_FALSE(Contains(sql, "current_timestamp"));
    CHECK_FALSE(Contains(sql, "NOTIFY"));
    const std::set<std::string> words = Words(sql);
    if (statement->scope() == db::Scope::kOneAccount) {
      ++checked;
      CHECK_FALSE(Any(words, kDirectoryTables));
      bool by_account = Contains(sql, "account_id = $1") || Contains(sql, "VALUES ($1, ") ||
                        Contains(sql, "SELECT $1, ");
      for (const std::string& function : kAccountFunctions) {
        by_account |= Contains(sql, function + "($1");
      }
      CHECK(by_account);
    }
    if (statement->scope() == db::Scope::kDirectory) {
      ++checked;
      CHECK_FALSE(Any(words, kAccountTables));
      CHECK_FALSE(Any(words, kAccountFunctions));
    }
  }
  // All of libs/store is linked in, or this test proves nothing.
  CHECK(checked > 70);
}

TEST_CASE("User data begins with the account, everywhere", "[store][integration]") {
  testing::ScratchDatabase database;
  std::string list;
  for (const std::string& table : kAccountTables) list += (list.empty() ? "'" : ",'") + table + "'";
  CHECK(database.Ask("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
                     "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] "
                     "WHERE i.indisprimary AND c.relname IN (" +
                     list + ") AND a.attname = 'account_id'") ==
        std::to_string(kAccountTables.size()));
  // Uniqueness across accounts can not be kept on a sharded store.
  CHECK(database.Ask("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
                     "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] "
                     "WHERE i.indisunique AND c.relname IN (" +
                     list + ") AND a.attname <> 'account_id'") == "0");
  CHECK(database.Ask("SELECT count(*) FROM pg_class WHERE relname IN ('watchers', 'gateways') "
                     "AND relpersistence = 'u'") == "2");
}

}  // namespace
}  // namespace godwit::store
