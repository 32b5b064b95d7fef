#include "libs/store/mailbox.h"

#include "libs/store/entries.h"
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
        std::string("a\tb"), std::string("\xff"), std::string(256, 'x')}) {
    CAPTURE(bad);
    CHECK(SplitMailboxPath(bad).status().code() == absl::StatusCode::kInvalidArgument);
  }
  std::string deep = "x";
  for (int i = 0; i < 20; ++i) deep += "/x";
  CHECK_FALSE(SplitMailboxPath(deep).ok());
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

TEST_CASE_METHOD(StoreFixture, "Renaming INBOX moves its messages and leaves it",
                 "[store][integration]") {
  Fill(alice, 3);
  Must(CreateMailbox(*connection, alice, "INBOX/child", Role::kNone, now));
  auto renamed = Must(RenameMailbox(*connection, alice, "INBOX", "old", now));
  CHECK(Find("old").total == 3);
  CHECK(Find("old").id == renamed.mailbox);
  CHECK(Find("INBOX").total == 0);
  CHECK(Find("INBOX/child").total == 0);
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
