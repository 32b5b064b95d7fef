#include "libs/store/mailbox.h"

#include "libs/store/entries.h"
#include "libs/store/maintenance.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

std::string Paths(const MailboxList& list) {
  std::string paths;
  for (const Mailbox& mailbox : list.mailboxes) paths += mailbox.path + " ";
  return paths;
}

TEST_CASE("Mailbox paths are checked", "[store][unit]") {
  CHECK(SplitMailboxPath("inbox/a")->front() == "INBOX");
  CHECK(SplitMailboxPath("a/inbox")->back() == "inbox");
  for (const std::string& bad :
       {std::string(""), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("a\tb"), std::string("\xff"), std::string("a\u0085"), std::string("\u2028"),
        std::string(256, 'x')}) {
    CAPTURE(bad);
    CHECK(SplitMailboxPath(bad).status().code() == absl::StatusCode::kInvalidArgument);
  }
  std::string deep = "x";
  for (size_t i = 1; i < kMaxMailboxDepth; ++i) deep += "/x";
  CHECK(SplitMailboxPath(deep).ok());
  CHECK_FALSE(SplitMailboxPath(deep + "/x").ok());
  const std::string name(249, 'x');
  CHECK(SplitMailboxPath(name + "/" + name + "/" + name + "/" + name + "x").ok());
  CHECK_FALSE(SplitMailboxPath(name + "/" + name + "/" + name + "/" + name + "xx").ok());
}

TEST_CASE_METHOD(StoreFixture, "A new account has its mailboxes", "[store][integration]") {
  const MailboxList list = Must(ListMailboxes(*connection, alice));
  CHECK(Paths(list) == "INBOX Archive Drafts Junk Sent Trash ");
  CHECK(list.mailboxes[3].role == Role::kJunk);
  CHECK(list.mailboxes[3].subscribed);
  CHECK(list.modseq == 1);
  CHECK(ListMailboxes(*connection, AccountId{1}).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE_METHOD(StoreFixture, "Mailboxes are made, renamed and removed", "[store][integration]") {
  auto made = Must(CreateMailbox(*connection, alice, "a/b/c", Role::kNone, now));
  CHECK(made.change.modseq == 2);
  CHECK(CreateMailbox(*connection, alice, "a/b", Role::kNone, now).status().code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(CreateMailbox(*connection, alice, "Bin", Role::kTrash, now).status().code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(Paths(Must(ListMailboxes(*connection, alice))) ==
        "INBOX Archive Drafts Junk Sent Trash a a/b a/b/c ");

  auto renamed = Must(RenameMailbox(*connection, alice, "a/b", "x/y", now));
  CHECK(renamed.uidvalidity == made.uidvalidity - 1);
  CHECK(Paths(Must(ListMailboxes(*connection, alice))) ==
        "INBOX Archive Drafts Junk Sent Trash a x x/y x/y/c ");
  CHECK(Find("x/y/c").id == made.mailbox);
  CHECK(RenameMailbox(*connection, alice, "x", "x/z", now).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(RenameMailbox(*connection, alice, "x", "a", now).status().code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(RenameMailbox(*connection, alice, "gone", "b", now).status().code() ==
        absl::StatusCode::kNotFound);

  CHECK(DeleteMailbox(*connection, alice, "x/y", now).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(DeleteMailbox(*connection, alice, "Inbox", now).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  MustOk(DeleteMailbox(*connection, alice, "x/y/c", now).status());
  CHECK(FindMailbox(*connection, alice, "x/y/c").status().code() == absl::StatusCode::kNotFound);
  // UIDVALIDITY never repeats, whatever the name.
  CHECK(Must(CreateMailbox(*connection, alice, "x/y/c", Role::kNone, now)).uidvalidity >
        made.uidvalidity);
}

TEST_CASE_METHOD(StoreFixture, "Removing a mailbox destroys what lies nowhere else",
                 "[store][integration]") {
  Fill(alice, 2);
  auto box = Must(CreateMailbox(*connection, alice, "box", Role::kNone, now)).mailbox;
  const MailboxId inbox = Find("INBOX").id;
  Must(CopyEntries(*connection, alice, inbox, {{1, 1}}, box, now));
  Must(MoveEntries(*connection, alice, inbox, {{2, 2}}, box, now));
  MustOk(DeleteMailbox(*connection, alice, "box", now).status());
  CHECK(Must(GetQuota(*connection, alice)).emails == 1);
  CHECK(Must(ChangesSince(*connection, alice, box, 1)).mailbox_gone);
}

// One statement for all of a mailbox of 100,000 held the account's lock for four seconds.
TEST_CASE_METHOD(StoreFixture, "A large mailbox is gone at once, and its entries in pages",
                 "[store][integration]") {
  constexpr int kPageOfTest = 3;
  auto box = Must(CreateMailbox(*connection, alice, "box", Role::kNone, now)).mailbox;
  const Delivered last = Fill(alice, 8);
  Must(CopyEntries(*connection, alice, last.mailbox, {{1, 1}}, box, now));
  Must(MoveEntries(*connection, alice, last.mailbox, {{2, 8}}, box, now));
  const Modseq before = Must(GetModseq(*connection, alice));

  auto gone = Must(DeleteMailbox(*connection, alice, "box", now, kPageOfTest));
  CHECK(gone.doomed == box);
  CHECK(gone.change.modseq == before + 1);
  CHECK(FindMailbox(*connection, alice, "box").status().code() == absl::StatusCode::kNotFound);
  CHECK(Must(ChangesSince(*connection, alice, box, before)).mailbox_gone);
  CHECK(database.Ask("SELECT count(*) FROM mailbox_entries WHERE mailbox_id = " +
                     std::to_string(ToInt(box))) == "5");
  CHECK(Must(CheckStore(*connection)).empty());
  // The name is free for another one.
  CHECK(Must(CreateMailbox(*connection, alice, "box", Role::kNone, now)).mailbox != box);

  auto purged = Must(PurgeMailbox(*connection, alice, box, now, kPageOfTest));
  CHECK((purged.entries == 3 && !purged.done && purged.change.modseq == before + 3));
  CHECK(Must(CheckStore(*connection)).empty());
  purged = Must(PurgeMailbox(*connection, alice, box, now, kPageOfTest));
  CHECK((purged.entries == 2 && purged.done));
  purged = Must(PurgeMailbox(*connection, alice, box, now, kPageOfTest));
  CHECK((purged.entries == 0 && purged.done && purged.change.modseq == 0));
  CHECK(Must(GetQuota(*connection, alice)).emails == 1);
  CHECK(database.Ask("SELECT count(*) FROM doomed_mailboxes") == "0");
  // Every step is told: which emails are gone.
  CHECK(database.Ask("SELECT sum(cardinality(email_ids)) FROM change_log WHERE kind = 3 "
                     "AND mailbox_id = " +
                     std::to_string(ToInt(box))) == "8");
}

TEST_CASE_METHOD(StoreFixture, "Nothing but what is doomed is purged", "[store][integration]") {
  const Delivered last = Fill(alice, 2);
  CHECK(Must(PurgeMailbox(*connection, alice, last.mailbox, now)).entries == 0);
  CHECK(database.Ask("SELECT purge_account(" + std::to_string(ToInt(alice)) + ", 10)") == "0");
  CHECK(Find("INBOX").total == 2);
}

// Who deletes may die in between: the mail would have lain there for ever.
TEST_CASE_METHOD(StoreFixture, "The sweep goes on with what was being deleted",
                 "[store][integration]") {
  Must(CreateMailbox(*connection, alice, "box", Role::kNone, now));
  Fill(alice, 7);
  Must(MoveEntries(*connection, alice, Find("INBOX").id, {kAllUids}, Find("box").id, now));
  const AccountId bob = MakeAccount("bob@b.example");
  Fill(bob, 4);
  Must(DeleteMailbox(*connection, alice, "box", now, 2));
  MustOk(RemoveAccount(*connection, bob));
  SweepBacklog backlog = Must(GetSweepBacklog(*connection, now, now));
  CHECK((backlog.mailboxes == 1 && backlog.accounts == 1 && backlog.dead_blobs == 0));
  CHECK(Must(CheckStore(*connection)).empty());

  auto sweeper = database.Connect("godwit_smtp_ingress");
  int64_t rows = 0;
  int rounds = 0;
  for (int64_t round = 3; round >= 3; ++rounds) {
    round = Must(SweepDeleted(*sweeper, now, 3));
    rows += round;
    CHECK(Must(CheckStore(*connection)).empty());
  }
  CHECK(rounds > 4);
  // Of the mailbox 5 entries; of the account 4 each of entries, emails, threads, changes and chunks
  // (header and body apart).
  CHECK(rows == 5 + 4 * 6);
  CHECK(Must(GetQuota(*connection, alice)).emails == 0);
  const std::string of_bob = " WHERE account_id = " + std::to_string(ToInt(bob));
  for (const char* table :
       {"mailbox_entries", "emails", "threads", "thread_refs", "change_log", "blob_chunks",
        "mailboxes", "credentials", "subscriptions", "doomed_accounts"}) {
    CAPTURE(table);
    CHECK(database.Ask("SELECT count(*) FROM " + std::string(table) + of_bob) == "0");
  }
  backlog = Must(GetSweepBacklog(*sweeper, now + absl::Hours(1), now + absl::Hours(1)));
  CHECK((backlog.mailboxes == 0 && backlog.accounts == 0 && backlog.dead_blobs == 7));
  Must(StageBlob(*connection, alice, base::RandomSource::System(), now));
  CHECK(Must(GetSweepBacklog(*sweeper, now, now)).staged_blobs == 0);
  CHECK(Must(GetSweepBacklog(*sweeper, now + absl::Seconds(1), now)).staged_blobs == 1);
}

TEST_CASE_METHOD(StoreFixture, "Renaming INBOX makes a mailbox and says what to move there",
                 "[store][integration]") {
  auto empty = Must(BeginInboxRename(*connection, alice, "none", now));
  CHECK(empty.uids.empty());
  Fill(alice, 3);
  Must(CreateMailbox(*connection, alice, "INBOX/child", Role::kNone, now));
  auto rename = Must(BeginInboxRename(*connection, alice, "old", now));
  CHECK(Find("old").id == rename.made.mailbox);
  Fill(alice, 1);  // comes meanwhile
  Must(MoveEntries(*connection, alice, rename.inbox, rename.uids, rename.made.mailbox, now));
  CHECK(Find("old").total == 3);
  CHECK(Find("INBOX").total == 1);
  CHECK(Find("INBOX/child").total == 0);
  CHECK(BeginInboxRename(*connection, alice, "old", now).status().code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(RenameMailbox(*connection, alice, "Inbox", "x", now).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

// Only the new name itself was looked at: its children became too deep to be named.
TEST_CASE_METHOD(StoreFixture, "What lies below a renamed mailbox keeps within the bounds",
                 "[store][integration]") {
  std::string deep = "a";
  for (size_t i = 1; i < kMaxMailboxDepth; ++i) deep += "/a";
  Must(CreateMailbox(*connection, alice, deep, Role::kNone, now));
  CHECK(RenameMailbox(*connection, alice, "a", "b/c", now).status().code() ==
        absl::StatusCode::kInvalidArgument);
  Must(RenameMailbox(*connection, alice, "a", "b", now));
  Must(RenameMailbox(*connection, alice, "b/a", "c", now));
  Must(RenameMailbox(*connection, alice, "c", "b/a", now));

  const std::string name(240, 'x');
  Must(CreateMailbox(*connection, alice, "d/" + name + "/" + name + "/" + name + "/" + name,
                     Role::kNone, now));  // 965 octets
  Must(RenameMailbox(*connection, alice, "d", std::string(36, 'd'), now));
  Must(RenameMailbox(*connection, alice, std::string(36, 'd'), "d", now));
  CHECK(RenameMailbox(*connection, alice, "d", std::string(37, 'd'), now).status().code() ==
        absl::StatusCode::kInvalidArgument);
  for (const Mailbox& mailbox : Must(ListMailboxes(*connection, alice)).mailboxes) {
    CHECK(SplitMailboxPath(mailbox.path).ok());
  }
}

// There was no bound: one client could subscribe to any number of names that do not exist.
TEST_CASE_METHOD(StoreFixture, "Subscriptions are bounded", "[store][integration]") {
  MustOk(connection
             ->ExecuteScript("INSERT INTO subscriptions SELECT account_id, 'n' || g FROM accounts, "
                             "generate_series(7, " +
                             std::to_string(kMaxSubscriptions) + ") g")
             .status());
  CHECK(SetSubscribed(*connection, alice, "one/more", true, now).status().code() ==
        absl::StatusCode::kOutOfRange);
  CHECK(Must(SetSubscribed(*connection, alice, "n7", true, now)).modseq == 0);
  Must(SetSubscribed(*connection, alice, "n7", false, now));
  Must(SetSubscribed(*connection, alice, "one/more", true, now));
}

TEST_CASE_METHOD(StoreFixture, "Daemons of the version before find what they call",
                 "[store][integration]") {
  auto old = database.Connect("godwit_imap_gateway");
  const std::string id = std::to_string(ToInt(alice));
  auto call = [&](const std::string& function) {
    MustOk(old->ExecuteScript("SELECT modseq, watchers FROM " + function).status());
  };
  call("rename_mailbox(" + id + ", ARRAY['Junk'], ARRAY['a', 'b'], 100, '2026-01-01')");
  call("set_subscribed(" + id + ", 'a/b', ARRAY['a', 'b'], true, '2026-01-01')");
  CHECK(Find("a/b").subscribed);
  Must(MoveEntries(*connection, alice, Fill(alice, 2).mailbox, {kAllUids}, Find("a/b").id, now));
  call("delete_mailbox(" + id + ", ARRAY['a', 'b'], '2026-01-01')");
  CHECK(Must(GetQuota(*connection, alice)).emails == 0);
}

TEST_CASE_METHOD(StoreFixture, "Subscriptions are by name", "[store][integration]") {
  CHECK(Must(SetSubscribed(*connection, alice, "not/there", true, now)).modseq == 2);
  CHECK(Must(SetSubscribed(*connection, alice, "not/there", true, now)).modseq == 0);
  CHECK(Must(SetSubscribed(*connection, alice, "inbox", false, now)).modseq == 3);
  CHECK_FALSE(Find("INBOX").subscribed);
  CHECK(Must(ListMailboxes(*connection, alice)).subscriptions ==
        std::vector<std::string>{"Archive", "Drafts", "Junk", "Sent", "Trash", "not/there"});
}

TEST_CASE_METHOD(StoreFixture, "Opening a mailbox gives its UIDs as ranges",
                 "[store][integration]") {
  auto opened = Must(OpenMailbox(*connection, alice, Find("INBOX").id));
  CHECK(opened.uids.empty());
  Fill(alice, 9);
  Must(ExpungeEntries(*connection, alice, Find("INBOX").id, {{1, 1}, {4, 5}}, now, true));
  opened = Must(OpenMailbox(*connection, alice, Find("INBOX").id));
  CHECK(opened.uids == UidRanges{{2, 3}, {6, 9}});
  CHECK(opened.mailbox.total == 6);
  CHECK(opened.mailbox.uidnext == 10);
  CHECK(opened.modseq == 11);
  CHECK(OpenMailbox(*connection, alice, MailboxId{99}).status().code() ==
        absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace godwit::store
