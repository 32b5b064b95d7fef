// Emails as JMAP sees and changes them; the rights of webmail-api.

#include "libs/store/entries.h"
#include "libs/store/jmap_blob.h"
#include "libs/store/jmap_changes.h"
#include "libs/store/jmap_email.h"
#include "libs/store/jmap_update.h"
#include "libs/store/store_fixture.h"
#include "libs/store/web_session.h"

namespace godwit::store {
namespace {

class JmapFixture : public StoreFixture {
 public:
  JmapFixture() : inbox(Find("INBOX").id), archive(Find("Archive").id), trash(Find("Trash").id) {}

  JmapEmails Get(EmailId id) { return Must(GetJmapEmails(*connection, alice, {&id, 1}, false)); }
  JmapEmail GetOne(EmailId id) {
    auto got = Get(id);
    REQUIRE(got.emails.size() == 1);
    return got.emails[0];
  }
  absl::Status Update(const JmapUpdate& update) {
    return Must(UpdateJmapEmails(*connection, alice, {&update, 1}, now)).results[0];
  }
  void Flag(MailboxId mailbox, FlagMask flags) {
    FlagsChange change;
    change.flags = flags;
    Must(StoreFlags(*connection, alice, mailbox, {kAllUids}, change, now));
  }

  MailboxId inbox, archive, trash;
};

TEST_CASE_METHOD(JmapFixture, "An email in several mailboxes is one, seen when all are seen",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  MustOk(Update({.email = id, .add_mailboxes = {archive}}));
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{inbox, archive});
  Flag(inbox, kSeen | kFlagged);
  CHECK(GetOne(id).flags() == kFlagged);
  Flag(archive, kSeen);
  CHECK(GetOne(id).flags() == (kSeen | kFlagged));
  // A change writes every entry.
  MustOk(Update({.email = id, .remove_flags = kSeen, .add_keywords = {"blue"}}));
  const JmapEmail email = GetOne(id);
  for (const JmapEntry& entry : email.entries) {
    CHECK((entry.flags.mask & kSeen) == 0);
    CHECK(entry.flags.keywords.size() == 1);
  }
  MustOk(Update({.email = id, .replace_keywords = true, .add_flags = kDraft}));
  CHECK(GetOne(id).flags() == kDraft);
  CHECK(GetOne(id).keywords().empty());
}

TEST_CASE_METHOD(JmapFixture,
                 "What is marked \\Deleted does not exist, until it is put there again",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  MustOk(Update({.email = id, .add_mailboxes = {archive}}));
  Flag(archive, kDeleted);
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{inbox});
  // Not a copy, which would be another email: the entry there is shown again.
  MustOk(Update({.email = id, .replace_mailboxes = true, .add_mailboxes = {archive}}));
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{archive});
  CHECK(Find("Archive").total == 1);
  CHECK(Find("INBOX").total == 0);
  Flag(archive, kDeleted);
  CHECK(Get(id).emails.empty());
  CHECK(absl::IsNotFound(Update({.email = id, .add_flags = kSeen})));
}

// The entry came back with the keywords that it had when it was hidden.
TEST_CASE_METHOD(JmapFixture, "What is shown again has the keywords of the email",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  MustOk(Update({.email = id, .add_mailboxes = {archive}}));
  Flag(archive, kFlagged | kDeleted);
  MustOk(Update({.email = id, .add_flags = kSeen, .add_keywords = {"blue"}}));
  SECTION("which it had") {
    MustOk(Update({.email = id, .replace_mailboxes = true, .add_mailboxes = {archive}}));
    CHECK(GetOne(id).flags() == kSeen);
    CHECK(GetOne(id).keywords().size() == 1);
  }
  SECTION("which come with the same update") {
    MustOk(Update({.email = id,
                   .add_flags = kAnswered,
                   .remove_keywords = {"blue"},
                   .add_mailboxes = {archive}}));
    for (const JmapEntry& entry : GetOne(id).entries) {
      CHECK(entry.flags.mask == (kSeen | kAnswered));
      CHECK(entry.flags.keywords.empty());
    }
  }
  SECTION("which replace all others") {
    MustOk(Update({.email = id,
                   .replace_keywords = true,
                   .add_flags = kDraft,
                   .replace_mailboxes = true,
                   .add_mailboxes = {archive}}));
    CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{archive});
    CHECK(GetOne(id).flags() == kDraft);
    CHECK(GetOne(id).keywords().empty());
  }
}

// RFC 8620 §5.3: notFound is for the object itself, and a client forgets it.
TEST_CASE_METHOD(JmapFixture, "A mailbox that is gone is not an email that is gone",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  CHECK(absl::IsInvalidArgument(Update({.email = id, .add_mailboxes = {MailboxId{999}}})));
  CHECK(absl::IsInvalidArgument(Update(
      {.email = id, .replace_mailboxes = true, .add_mailboxes = {archive, MailboxId{999}}})));
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{inbox});
}

TEST_CASE_METHOD(JmapFixture, "Moving keeps the email, and it never lies nowhere",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  MustOk(Update({.email = id, .replace_mailboxes = true, .add_mailboxes = {archive, trash}}));
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{archive, trash});
  CHECK(absl::IsFailedPrecondition(Update({.email = id, .remove_mailboxes = {archive, trash}})));
  CHECK(GetOne(id).mailboxes().size() == 2);
  MustOk(Update({.email = id, .add_mailboxes = {inbox}, .remove_mailboxes = {archive, trash}}));
  CHECK(GetOne(id).mailboxes() == std::vector<MailboxId>{inbox});
}

TEST_CASE_METHOD(JmapFixture, "One that can not be done stops no other",
                 "[store][jmap][integration]") {
  const EmailId first = Fill(alice, 1).email;
  const EmailId second = Fill(alice, 1).email;
  const std::vector<JmapUpdate> updates = {
      {.email = first, .add_flags = kSeen},
      {.email = EmailId{999}, .add_flags = kSeen},
      {.email = second, .add_mailboxes = {MailboxId{999}}},
      {.email = second, .add_keywords = {std::string(300, 'x')}}};
  const auto updated = Must(UpdateJmapEmails(*connection, alice, updates, now));
  CHECK(updated.results[0].ok());
  for (size_t i = 1; i < updates.size(); ++i) CHECK_FALSE(updated.results[i].ok());
  CHECK(updated.change.modseq > 0);
  CHECK(GetOne(first).flags() == kSeen);
  CHECK(GetOne(second).flags() == 0);
}

TEST_CASE_METHOD(JmapFixture, "Destroying takes every entry, hidden ones too",
                 "[store][jmap][integration]") {
  const EmailId id = Fill(alice, 1).email;
  MustOk(Update({.email = id, .add_mailboxes = {archive}}));
  Flag(archive, kDeleted);
  const auto destroyed = Must(DestroyJmapEmails(*connection, alice, {&id, 1}, now));
  MustOk(destroyed.results[0]);
  CHECK(Find("INBOX").total + Find("Archive").total == 0);
}

TEST_CASE_METHOD(JmapFixture, "Changes since a state", "[store][jmap][integration]") {
  const auto since = [&](JmapType type, Modseq state, size_t max = 1000) {
    return Must(JmapChangesSince(*connection, alice, type, state, max));
  };
  const Modseq start = Must(GetJmapStates(*connection, alice)).modseq;
  const Delivered delivered = Fill(alice, 1);
  const int64_t email = ToInt(delivered.email);
  CHECK(since(JmapType::kEmail, start)->created == std::vector<int64_t>{email});
  CHECK(since(JmapType::kThread, start)->created == std::vector<int64_t>{ToInt(delivered.thread)});
  CHECK(since(JmapType::kMailbox, start)->updated == std::vector<int64_t>{ToInt(inbox)});
  CHECK(since(JmapType::kMailbox, start)->only_counts);
  const Modseq later = Must(GetJmapStates(*connection, alice)).modseq;
  CHECK(since(JmapType::kEmail, later)->created.empty());
  Flag(inbox, kDeleted);
  CHECK(since(JmapType::kEmail, later)->destroyed == std::vector<int64_t>{email});
  // States that were never given, and those that the log has forgotten.
  CHECK_FALSE(since(JmapType::kEmail, 1'000'000).has_value());
  CHECK_FALSE(since(JmapType::kEmail, -1).has_value());
  CHECK_FALSE(since(JmapType::kEmail, start, 0).has_value());
}

TEST_CASE_METHOD(JmapFixture, "A query goes newest first, page by page",
                 "[store][jmap][integration]") {
  std::vector<EmailId> wanted;
  for (int i = 0; i < 5; ++i) {
    Delivery delivery = Message(alice, "m");
    delivery.received = now + absl::Seconds(i / 2);
    wanted.insert(wanted.begin(), DeliverOne(delivery).email);
  }
  MustOk(Update({.email = wanted[2], .add_mailboxes = {archive}}));
  for (const MailboxId mailbox : {inbox, MailboxId::kNone}) {
    std::vector<EmailId> found;
    JmapScan scan;
    scan.mailbox = mailbox;
    scan.limit = 2;
    while (true) {
      const auto page = Must(ScanJmapEmails(*connection, alice, scan));
      for (const JmapScanRow& row : page) found.push_back(row.id);
      if (page.size() < 2) break;
      scan.before = page.back().received;
      scan.before_id = page.back().id;
    }
    CHECK(found == wanted);
  }
}

// Each page read and sorted the whole mailbox: a search of it was quadratic.
TEST_CASE_METHOD(JmapFixture, "A page of a query costs the page, not the mailbox",
                 "[store][jmap][integration]") {
  Fill(alice, 1);
  REQUIRE(
      connection
          ->ExecuteScript("INSERT INTO emails SELECT account_id, 100000 + n, thread_id, blob_id, "
                          "created_modseq, received_at + make_interval(secs => n), sent_at, "
                          "size, header_size, prefix_size, has_attachment, message_id, "
                          "subject_base, subject, from_text, to_text, cc_text, bcc_text, "
                          "preview, summary FROM emails, generate_series(1, 5000) n;"
                          "INSERT INTO mailbox_entries SELECT account_id, mailbox_id, 100000 + "
                          "n, 100000 + n, modseq, received_at + make_interval(secs => n), "
                          "size, flags, unseen, keywords FROM mailbox_entries, "
                          "generate_series(1, 5000) n; ANALYZE emails; ANALYZE mailbox_entries")
          .ok());
  // By this transaction: what it began with may be of those before.
  const db::Statement kRead(
      "test_rows_read", db::Scope::kSession, db::Access::kRead,
      "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM "
      "pg_stat_xact_user_tables WHERE relname IN ('emails', 'mailbox_entries')");
  const auto rows_read = [&] { return Must(connection->Execute(kRead, db::Params()))[0].Int(0); };
  for (const MailboxId mailbox : {inbox, MailboxId::kNone}) {
    JmapScan scan;
    scan.mailbox = mailbox;
    scan.limit = 10;
    REQUIRE(connection->Begin().ok());
    const int64_t before = rows_read();
    REQUIRE(Must(ScanJmapEmails(*connection, alice, scan)).size() == 10);
    CHECK(rows_read() - before < 200);
    connection->Rollback();
  }
  REQUIRE(connection
              ->ExecuteScript("DELETE FROM mailbox_entries WHERE uid > 100000; "
                              "DELETE FROM emails WHERE email_id > 100000")
              .ok());
}

TEST_CASE_METHOD(JmapFixture, "Uploads count until they expire", "[store][jmap][integration]") {
  StagedBlob staged =
      Must(StageBlob(*connection, alice, base::RandomSource::System(), now + absl::Hours(1)));
  MustOk(StageChunk(*connection, &staged, "octets"));
  CHECK(absl::IsResourceExhausted(AddUpload(*connection, staged, now + absl::Hours(1), now, 5)));
  MustOk(AddUpload(*connection, staged, now + absl::Hours(1), now, 6));
  const auto found = Must(FindUpload(*connection, alice, staged.blob, now));
  REQUIRE(found.has_value());
  CHECK(Must(ReadBlob(*connection, alice, *found, 0, 100)) == "octets");
  CHECK_FALSE(Must(FindUpload(*connection, alice, staged.blob, now + absl::Hours(2))).has_value());
  const AccountId bob = MakeAccount("bob@b.example");
  CHECK_FALSE(Must(FindUpload(*connection, bob, staged.blob, now)).has_value());
  MustOk(SweepWeb(*connection, now + absl::Hours(2)));
  CHECK(database.Ask("SELECT count(*) FROM uploads") == "0");
}

TEST_CASE_METHOD(JmapFixture, "What webmail-api may not do", "[store][jmap][integration]") {
  auto c = database.Connect("godwit_webmail_api");
  for (const char* sql : {"INSERT INTO uploads SELECT 1, 2, 3, now()",
                          "INSERT INTO email_submissions SELECT * FROM email_submissions",
                          "DELETE FROM emails", "UPDATE mailbox_entries SET flags = 0",
                          "SELECT * FROM dkim_keys", "SELECT * FROM queue_messages"}) {
    CAPTURE(sql);
    CHECK(c->ExecuteScript(sql).status().code() == absl::StatusCode::kPermissionDenied);
  }
  for (const char* role : {"godwit_smtp_ingress", "godwit_imap_gateway", "godwit_reader"}) {
    auto other = database.Connect(role);
    CAPTURE(role);
    CHECK(other->ExecuteScript("SELECT token_hash FROM web_sessions").status().code() ==
          absl::StatusCode::kPermissionDenied);
  }
  Submission submission;
  submission.identity = "i";
  submission.rcpt_to = {"a@c.example"};
  submission.send_at = now;
  const auto added = Must(AddSubmission(*c, alice, submission));
  const auto listed = Must(ListSubmissions(*c, alice));
  REQUIRE(listed.submissions.size() == 1);
  CHECK(listed.state == added.change.modseq);
  CHECK(listed.submissions[0].rcpt_to == submission.rcpt_to);
}

}  // namespace
}  // namespace godwit::store
