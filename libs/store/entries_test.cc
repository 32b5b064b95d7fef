#include "libs/store/entries.h"

#include <thread>

#include "libs/store/maintenance.h"
#include "libs/store/store_fixture.h"
#include "libs/store/watch.h"

namespace godwit::store {
namespace {

std::vector<Entry> Entries(StoreFixture* f, MailboxId mailbox, FetchColumns columns = {}) {
  return Must(FetchEntries(*f->connection, f->alice, mailbox, {kAllUids}, columns)).entries;
}

TEST_CASE_METHOD(StoreFixture, "Flags are added, removed and replaced", "[store][integration]") {
  Fill(alice, 4);
  const MailboxId inbox = Find("INBOX").id;
  auto store = [&](UidRanges uids, FlagsMode mode, FlagMask flags,
                   std::vector<std::string> keywords = {}) {
    return Must(StoreFlags(*connection, alice, inbox, std::move(uids),
                           {.mode = mode, .flags = flags, .keywords = std::move(keywords)}, now));
  };
  auto added = store({{1, 2}, {2, 3}}, FlagsMode::kAdd, kSeen | kFlagged, {"$Forwarded"});
  CHECK(added.change.modseq == 6);
  REQUIRE(added.entries.size() == 3);
  CHECK(added.entries[2].flags.mask == (kSeen | kFlagged));
  CHECK(added.entries[2].modseq == 6);
  REQUIRE(added.keywords.size() == 1);
  CHECK(added.entries[0].flags.keywords == std::vector<KeywordId>{added.keywords[0].id});

  auto same = store({{1, 1}}, FlagsMode::kAdd, kSeen, {"$FORWARDED"});
  CHECK(same.change.modseq == 0);
  CHECK(same.entries.size() == 1);

  auto removed = store({kAllUids}, FlagsMode::kRemove, kFlagged, {"$forwarded"});
  CHECK(removed.change.modseq == 7);
  REQUIRE(removed.entries.size() == 4);
  CHECK((removed.entries[0].modseq == 7 && removed.entries[3].modseq == 5));
  CHECK(removed.entries[0].flags.keywords.empty());

  store({{2, 2}, {4, 4}}, FlagsMode::kReplace, kDeleted, {"a", "b"});
  const Mailbox box = Find("INBOX");
  CHECK((box.unseen == 2 && box.deleted == 2 && box.deleted_unseen == 2));
  CHECK(box.highest_modseq == 8);
  CHECK(StoreFlags(*connection, alice, MailboxId{99}, {kAllUids}, {}, now).status().code() ==
        absl::StatusCode::kNotFound);
}

// A client that removed what was never there used the account's keywords up.
TEST_CASE_METHOD(StoreFixture, "Removing a keyword that nobody has makes none",
                 "[store][integration]") {
  Fill(alice, 1);
  const auto removed = Must(StoreFlags(*connection, alice, Find("INBOX").id, {kAllUids},
                                       {.mode = FlagsMode::kRemove, .keywords = {"Never"}}, now));
  CHECK(removed.change.modseq == 0);
  CHECK(database.Ask("SELECT count(*) FROM keywords") == "0");
}

TEST_CASE_METHOD(StoreFixture, "UNCHANGEDSINCE leaves alone what has changed",
                 "[store][integration]") {
  Fill(alice, 3);  // modseqs 2, 3, 4
  const MailboxId inbox = Find("INBOX").id;
  auto result = Must(StoreFlags(*connection, alice, inbox, {kAllUids},
                                {.flags = kSeen, .unchanged_since = 3}, now));
  CHECK(result.modified == UidRanges{{3, 3}});
  CHECK(result.entries[2].flags.mask == 0);
  CHECK(result.entries[1].modseq == 5);
}

TEST_CASE_METHOD(StoreFixture, "Flag changes are HOT updates", "[store][integration]") {
  // An index that names flags, keywords, unseen or modseq would rewrite every index entry.
  Fill(alice, 200);
  const MailboxId inbox = Find("INBOX").id;
  for (int round = 0; round < 5; ++round) {
    const FlagsMode mode = round % 2 == 0 ? FlagsMode::kAdd : FlagsMode::kRemove;
    for (Uid uid = 1; uid <= 200; uid += 10) {
      Must(StoreFlags(*connection, alice, inbox, {{uid, uid}},
                      {.mode = mode, .flags = kSeen, .keywords = {"k"}}, now));
    }
  }
  // Statistics of a session are sent when it is idle; asking makes that sure.
  MustOk(connection->ExecuteScript("SELECT pg_stat_force_next_flush()").status());
  CHECK(database.Ask("SELECT n_tup_upd FROM pg_stat_user_tables "
                     "WHERE relname = 'mailbox_entries'") == "100");
  CHECK(database.Ask("SELECT n_tup_hot_upd FROM pg_stat_user_tables "
                     "WHERE relname = 'mailbox_entries'") == "100");
}

TEST_CASE_METHOD(StoreFixture, "A change of one entry reads one entry", "[store][integration]") {
  // The planner knows nothing of arrays of ranges: it read the whole mailbox and tried each entry
  // on each range, 16 ms for one flag in a mailbox of 9,000.
  Fill(alice, 300);
  const MailboxId inbox = Find("INBOX").id;
  const MailboxId trash = Find("Trash").id;
  auto reads = [&] {
    MustOk(connection->ExecuteScript("SELECT pg_stat_force_next_flush()").status());
    return std::stol(
        database.Ask("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables "
                     "WHERE relname = 'mailbox_entries'"));
  };
  // What was before is counted only when the session is idle for the second time.
  Must(StoreFlags(*connection, alice, inbox, {{7, 7}}, {.flags = kSeen}, now));
  reads();
  const long before = reads();
  Must(StoreFlags(*connection, alice, inbox, {{7, 7}}, {.flags = kFlagged}, now));
  Must(FetchEntries(*connection, alice, inbox, {{7, 7}}, {.summary = true}));
  Must(CopyEntries(*connection, alice, inbox, {{7, 7}}, trash, now));
  Must(MoveEntries(*connection, alice, inbox, {{8, 8}}, trash, now));
  Must(ExpungeEntries(*connection, alice, inbox, {{9, 9}}, now, true));
  Must(ChangesSince(*connection, alice, inbox, Must(GetModseq(*connection, alice)) - 3));
  CHECK(reads() - before < 40);
}

TEST_CASE_METHOD(StoreFixture, "Keywords are bounded", "[store][integration]") {
  Fill(alice, 1);
  const MailboxId inbox = Find("INBOX").id;
  absl::Status last;
  for (int i = 0; i <= kMaxKeywordsPerAccount / kMaxKeywordsPerChange; ++i) {
    FlagsChange change;
    for (int k = 0; k < kMaxKeywordsPerChange; ++k) {
      change.keywords.push_back("k" + std::to_string(i) + "-" + std::to_string(k));
    }
    last = StoreFlags(*connection, alice, inbox, {kAllUids}, change, now).status();
    if (i < 10) MustOk(last);
  }
  CHECK(last.code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE_METHOD(StoreFixture, "A copy keeps the email, onto itself it makes a new one",
                 "[store][integration]") {
  Fill(alice, 3);
  const MailboxId inbox = Find("INBOX").id;
  const MailboxId archive = Find("Archive").id;
  Must(StoreFlags(*connection, alice, inbox, {{2, 2}}, {.flags = kSeen, .keywords = {"k"}}, now));

  auto copy = Must(CopyEntries(*connection, alice, inbox, {{2, 9}}, archive, now));
  CHECK(copy.source == std::vector<Uid>{2, 3});
  CHECK(copy.destination == std::vector<Uid>{1, 2});
  CHECK(copy.uidvalidity == Find("Archive").uidvalidity);
  const auto source = Entries(this, inbox, {.summary = true});
  auto copies = Entries(this, archive, {.summary = true});
  CHECK(copies[0].email == source[1].email);
  CHECK(copies[0].flags.mask == kSeen);
  CHECK(copies[0].flags.keywords == source[1].flags.keywords);
  CHECK(database.Ask("SELECT count(*) FROM emails") == "3");
  CHECK(Must(GetQuota(*connection, alice)).emails == 3);

  // COPY onto a mailbox that holds the email already.
  auto again = Must(CopyEntries(*connection, alice, inbox, {{1, 2}}, archive, now));
  CHECK(again.destination == std::vector<Uid>{3, 4});
  copies = Entries(this, archive, {.summary = true});
  CHECK(copies[2].email == source[0].email);
  CHECK(copies[3].email != source[1].email);
  CHECK(copies[3].blob.blob == source[1].blob.blob);
  CHECK(copies[3].thread == source[1].thread);
  CHECK(Must(GetQuota(*connection, alice)).emails == 4);
  CHECK(database.Ask("SELECT count(*) FROM blob_chunks") == "6");

  // The content stays as long as one email has it.
  Must(ExpungeEntries(*connection, alice, archive, {{4, 4}}, now, true));
  CHECK(Must(SweepBlobs(*connection, now, now + absl::Hours(1))) == 0);
  CHECK(CopyEntries(*connection, alice, inbox, {{1, 1}}, MailboxId{77}, now).status().code() ==
        absl::StatusCode::kNotFound);
  CHECK(Must(CopyEntries(*connection, alice, inbox, {{50, 60}}, archive, now)).change.modseq == 0);
}

TEST_CASE_METHOD(StoreFixture, "A copy within a mailbox is bounded by the quota",
                 "[store][integration]") {
  const Delivered delivered = Fill(alice, 2);
  MustOk(SetQuota(*connection, alice, Must(GetQuota(*connection, alice)).used_bytes + 10));
  CHECK(CopyEntries(*connection, alice, delivered.mailbox, {kAllUids}, delivered.mailbox, now)
            .status()
            .code() == absl::StatusCode::kResourceExhausted);
  Must(CopyEntries(*connection, alice, delivered.mailbox, {kAllUids}, Find("Sent").id, now));
}

TEST_CASE_METHOD(StoreFixture, "A move takes the entries along", "[store][integration]") {
  Fill(alice, 4);
  const MailboxId inbox = Find("INBOX").id;
  const MailboxId trash = Find("Trash").id;
  const auto before = Entries(this, inbox);
  auto moved = Must(MoveEntries(*connection, alice, inbox, {{1, 1}, {3, 3}}, trash, now));
  CHECK(moved.source == std::vector<Uid>{1, 3});
  CHECK(moved.destination == std::vector<Uid>{1, 2});
  CHECK(Entries(this, trash)[1].email == before[2].email);
  CHECK((Find("INBOX").total == 2 && Find("Trash").total == 2));

  // Onto a mailbox that holds it: a new email there, the old one stays.
  Must(CopyEntries(*connection, alice, inbox, {{2, 2}}, trash, now));
  auto onto = Must(MoveEntries(*connection, alice, inbox, {{2, 2}}, trash, now));
  CHECK(onto.destination == std::vector<Uid>{4});
  CHECK(Entries(this, trash)[3].email != before[1].email);
  CHECK(Find("INBOX").total == 1);

  // Within one mailbox: new UIDs, same emails.
  auto within = Must(MoveEntries(*connection, alice, trash, {{1, 2}}, trash, now));
  CHECK(within.destination == std::vector<Uid>{5, 6});
  CHECK(Entries(this, trash)[2].email == before[0].email);
  CHECK(Find("Trash").total == 4);
}

TEST_CASE_METHOD(StoreFixture, "Expunge removes what is marked, and the content after the sweep",
                 "[store][integration]") {
  Fill(alice, 5);
  const MailboxId inbox = Find("INBOX").id;
  Must(CopyEntries(*connection, alice, inbox, {{1, 1}}, Find("Archive").id, now));
  Must(StoreFlags(*connection, alice, inbox, {{1, 2}, {4, 4}}, {.flags = kDeleted}, now));
  auto some = Must(ExpungeEntries(*connection, alice, inbox, {{1, 3}}, now));
  CHECK(some.vanished == UidRanges{{1, 2}});
  CHECK(Find("INBOX").deleted == 1);
  CHECK(Must(GetQuota(*connection, alice)).emails == 4);  // one of the two is in Archive
  CHECK(Must(ExpungeEntries(*connection, alice, inbox, {{5, 5}}, now)).change.modseq == 0);
  CHECK(Must(ExpungeEntries(*connection, alice, inbox, {kAllUids}, now)).vanished ==
        UidRanges{{4, 4}});
  CHECK(Must(SweepBlobs(*connection, now, now)) == 0);
  CHECK(Must(SweepBlobs(*connection, now, now + absl::Seconds(1))) == 2);
  CHECK(database.Ask("SELECT count(*) FROM blob_chunks") == "6");
}

TEST_CASE_METHOD(StoreFixture, "Changes since a modseq: what is new, changed and vanished",
                 "[store][integration]") {
  Fill(alice, 6);
  const MailboxId inbox = Find("INBOX").id;
  const Modseq start = Must(GetModseq(*connection, alice));
  CHECK(Must(ChangesSince(*connection, alice, inbox, start)).changed.empty());

  Must(StoreFlags(*connection, alice, inbox, {{1, 3}}, {.flags = kSeen}, now));
  Must(ExpungeEntries(*connection, alice, inbox, {{2, 2}, {5, 5}}, now, true));
  Fill(alice, 2);
  Must(MoveEntries(*connection, alice, inbox, {{6, 7}}, Find("Junk").id, now));
  auto changes = Must(ChangesSince(*connection, alice, inbox, start));
  CHECK_FALSE(changes.resync);
  CHECK(changes.vanished == UidRanges{{2, 2}, {5, 7}});
  REQUIRE(changes.changed.size() == 3);
  CHECK((changes.changed[0].uid == 1 && changes.changed[1].uid == 3));
  CHECK(changes.changed[2].uid == 8);
  CHECK(changes.modseq == Must(GetModseq(*connection, alice)));
  CHECK(changes.uidnext == 9);
  CHECK(Must(ChangesSince(*connection, alice, inbox, changes.modseq)).vanished.empty());
  CHECK(Must(ChangesSince(*connection, alice, inbox, start, 2)).resync);
  CHECK(Must(ChangesSince(*connection, alice, MailboxId{88}, start)).mailbox_gone);
}

TEST_CASE_METHOD(StoreFixture, "The change log is compacted up to a floor",
                 "[store][integration]") {
  Fill(alice, 3);
  const MailboxId inbox = Find("INBOX").id;
  const Modseq old = Must(GetModseq(*connection, alice));
  Must(StoreFlags(*connection, alice, inbox, {{1, 1}}, {.flags = kSeen}, now + absl::Hours(1)));
  // Not for a minute's rows.
  CHECK(Must(CompactChangeLogs(*connection, now + absl::Minutes(1), 100, absl::Minutes(2)))
            .accounts == 0);
  auto compacted = Must(CompactChangeLogs(*connection, now + absl::Minutes(1)));
  CHECK((compacted.accounts == 1 && compacted.rows == 3));
  CHECK(Must(ChangesSince(*connection, alice, inbox, old - 1)).resync);
  auto changes = Must(ChangesSince(*connection, alice, inbox, old));
  CHECK_FALSE(changes.resync);
  CHECK(changes.changed.size() == 1);
  CHECK(Must(CompactChangeLogs(*connection, now + absl::Minutes(1))).accounts == 0);
  CHECK(CompactChangeLog(*connection, AccountId{5}, now).status().code() ==
        absl::StatusCode::kNotFound);
}

// The log's time was INTERNALDATE: an old message that was appended today looked 30 days old to the
// compaction, which dropped the account's whole log.
TEST_CASE_METHOD(StoreFixture, "An APPEND of an old message is a change of today",
                 "[store][integration]") {
  Delivery old = Message(alice, "from 2010");
  old.received = absl::FromUnixSeconds(1'270'000'000);
  old.now = now;
  const Modseq before = DeliverOne(Message(alice, "first")).change.modseq;
  DeliverOne(old);
  CHECK(Must(CompactChangeLogs(*connection, now - absl::Hours(24 * 30))).rows == 0);
  CHECK_FALSE(Must(ChangesSince(*connection, alice, Find("INBOX").id, before)).resync);
  CHECK(Entries(this, Find("INBOX").id).at(1).received == old.received);
}

TEST_CASE_METHOD(StoreFixture, "After a restore nothing is given twice", "[store][integration]") {
  Fill(alice, 3);
  const Modseq old = Must(GetModseq(*connection, alice));
  CHECK(Must(MarkRestored(*connection)).accounts == 1);
  const Delivered delivered = Fill(alice, 1);
  CHECK(delivered.uid > 1'000'000);
  CHECK(delivered.change.modseq > old + 1'000'000);
  CHECK(Must(ChangesSince(*connection, alice, delivered.mailbox, old + 5)).resync);
}

TEST_CASE_METHOD(StoreFixture, "Entries are fetched in pages and filtered",
                 "[store][integration]") {
  Fill(alice, 10);
  const MailboxId inbox = Find("INBOX").id;
  auto page = Must(FetchEntries(*connection, alice, inbox, {{2, 4}, {8, 99}}, {}, 4));
  CHECK_FALSE(page.complete);
  REQUIRE(page.entries.size() == 4);
  CHECK((page.entries[0].uid == 2 && page.entries[3].uid == 8));
  CHECK(Must(FetchEntries(*connection, alice, inbox, {{9, 99}}, {.search = true}, 4)).complete);

  auto flagged = Must(
      StoreFlags(*connection, alice, inbox, {{3, 6}}, {.flags = kSeen, .keywords = {"k"}}, now));
  Must(StoreFlags(*connection, alice, inbox, {{5, 8}}, {.flags = kFlagged}, now));
  auto filter = [&](const EntryFilter& f) {
    return ToString(Must(FilterEntries(*connection, alice, inbox, {kAllUids}, f)));
  };
  CHECK(filter({}) == "1:10");
  CHECK(filter({.have = kSeen}) == "3:6");
  CHECK(filter({.lack = kSeen}) == "1:2,7:10");
  CHECK(filter({.have = kSeen, .lack = kFlagged}) == "3:4");
  CHECK(filter({.keywords = {flagged.keywords[0].id}}) == "3:6");
  CHECK(filter({.not_keywords = {flagged.keywords[0].id}}) == "1:2,7:10");
  CHECK(filter({.min_modseq = flagged.change.modseq + 1}) == "5:8");
}

TEST_CASE_METHOD(StoreFixture, "Gateways watch accounts and are told apart when they are gone",
                 "[store][integration]") {
  const GatewayId one{1};
  const GatewayId two{2};
  CHECK(WatchAccount(*connection, alice, one).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  MustOk(RegisterGateway(*connection, one, "imap-gateway", "one:1"));
  MustOk(RegisterGateway(*connection, two, "webmail-api", "two:2"));
  CHECK(Must(WatchAccount(*connection, alice, one)) == 1);
  CHECK(Must(WatchAccount(*connection, alice, one)) == 1);
  CHECK(Must(WatchAccount(*connection, alice, two)) == 1);
  auto watchers = Fill(alice, 1).change.watchers;
  std::sort(watchers.begin(), watchers.end());
  CHECK(watchers == std::vector<std::string>{"imap-gateway@one:1", "webmail-api@two:2"});
  MustOk(UnwatchAccount(*connection, alice, two));
  CHECK(Fill(alice, 1).change.watchers == std::vector<std::string>{"imap-gateway@one:1"});
  const AccountId both[] = {alice, AccountId{4}};
  CHECK(Must(GetModseqs(*connection, both)) == std::vector<Modseq>{3, 0});

  // A silent one is removed by the others, and learns it from its own beat.
  MustOk(connection
             ->ExecuteScript("UPDATE gateways SET beat_at = beat_at - interval '2 minutes' "
                             "WHERE gateway_id = 1")
             .status());
  MustOk(Heartbeat(*connection, two));
  CHECK(Heartbeat(*connection, one).code() == absl::StatusCode::kNotFound);
  CHECK(Fill(alice, 1).change.watchers.empty());
  MustOk(UnregisterGateway(*connection, two));
  CHECK(database.Ask("SELECT count(*) FROM gateways") == "0");
}

// One statement kept the snapshot from before its wait for the registration: the watcher made
// meanwhile stayed for ever.
TEST_CASE_METHOD(StoreFixture, "A gateway that ends while it registers a watch leaves none",
                 "[store][integration]") {
  const GatewayId gateway{1};
  MustOk(RegisterGateway(*connection, gateway, "imap-gateway", "one:1"));
  auto watching = database.Connect();
  MustOk(watching->Begin());
  Must(WatchAccount(*watching, alice, gateway));
  std::thread ending([&] {
    auto own = database.Connect();
    CHECK(UnregisterGateway(*own, gateway).ok());
  });
  while (database.Ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                      "AND datname = current_database()") != "1") {
    std::this_thread::yield();
  }
  MustOk(watching->Commit());
  ending.join();
  CHECK(database.Ask("SELECT count(*) FROM watchers") == "0");
}

}  // namespace
}  // namespace godwit::store
