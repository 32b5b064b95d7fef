#include "libs/imap/command_parser.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/testing/split.h"

namespace godwit::imap {
namespace {

// What a parser says to some input, as text: one line an event, chunks joined.
class Recorder {
 public:
  explicit Recorder(const Limits& limits) : parser_(limits) {}

  void Feed(std::string_view in) {
    while (true) {
      CommandParser::Event event = parser_.Next(&in);
      if (std::holds_alternative<NeedMore>(event)) {
        CHECK(in.empty());
        return;
      }
      std::visit([this](auto& e) { Note(e); }, event);
    }
  }

  std::string log;
  bool refuse_append = false;
  int lines_expected = 0;

 private:
  void Note(NeedMore&) {}
  void Note(NeedContinuation&) { log += "+\n"; }
  void Note(Command& command) {
    log += "C " + command.tag + " " + std::string(VerbName(command.verb)) + "\n";
    last = std::move(command);
    if (lines_expected > 0) parser_.ExpectLine();
  }
  void Note(AppendStart& start) {
    log += "A " + start.header.tag + " " + start.header.mailbox + " " + std::to_string(start.size) +
           (start.synchronizing ? " sync" : "") + "\n";
    if (refuse_append) parser_.RefuseAppend();
  }
  void Note(AppendChunk& chunk) {
    if (log.empty() || log.back() == '\n') log += "D ";
    log += chunk.bytes;
  }
  void Note(AppendEnd& end) { log += "\nE " + end.tag + "\n"; }
  void Note(Line& line) {
    log += "L " + line.text + "\n";
    if (--lines_expected > 0) parser_.ExpectLine();
  }
  void Note(Malformed& bad) {
    log += (bad.fatal ? "! " : "? ") + bad.tag + " " + bad.reason + "\n";
  }

 public:
  Command last;

 private:
  CommandParser parser_;
};

struct Row {
  std::string wire;
  std::string want;
};

TEST_CASE("CommandParser gives the same events for every split", "[imap][unit]") {
  const Row row = GENERATE(values<Row>({
      {"a1 NOOP\r\n", "C a1 NOOP\n"},
      {"a1 noop\r\na2 LOGOUT\r\n", "C a1 NOOP\nC a2 LOGOUT\n"},
      {"a LOGIN {5}\r\nalice {6+}\r\nsecret\r\nb NOOP\r\n", "+\nC a LOGIN\nC b NOOP\n"},
      {"a LOGIN \"a{5}\" x\r\n", "C a LOGIN\n"},
      {"a LOGIN \"a\\\"{5}\" {1+}\r\n}\r\n", "C a LOGIN\n"},
      {"a SELECT {0+}\r\n\r\n", "C a SELECT\n"},
      {"a LOGIN \"x{5}\r\n", "? a bad quoted string\n"},
      {"a FOO\r\nb NOOP\r\n", "? a unknown command\nC b NOOP\n"},
      {"\r\n", "?  missing tag\n"},
      {"a NOOP \r\n", "? a unexpected text at the end\n"},
      {"a UID NOOP\r\n", "? a unknown command\n"},
      {"a NOOP\nb NOOP\r\n", "!  Line does not end with CRLF, or has a control\n"},
      {"a NO\rOP\r\nb NOOP\r\n", "!  Line does not end with CRLF, or has a control\n"},
      {"a APPEND INBOX {3}\r\nabc\r\nb NOOP\r\n", "A a INBOX 3 sync\nD abc\nE a\nC b NOOP\n"},
      {"a APPEND {5+}\r\ninbox (\\Seen) \" 1-Feb-2024 01:02:03 +0100\" {2+}\r\n\r\n\r\n",
       "A a inbox 2\nD \r\n\nE a\n"},
      {"a APPEND x UTF8 (~{2+}\r\nhi)\r\n", "A a x 2\nD hi\nE a\n"},
      {"a APPEND x {2+}\r\nhi {2+}\r\nb NOOP\r\n",
       "A a x 2\nD hi? a unexpected text after the message\nC b NOOP\n"},
      {"a APPEND x {0+}\r\n\r\n", "A a x 0\n\nE a\n"},
      {"a APPEND x\r\n", "? a bad arguments\n"},
      {"a APPEND x (\\Foo) {3+}\r\nabc\r\n", "? a bad arguments\n"},
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    Recorder recorder{Limits()};
    for (const std::string_view chunk : chunks) recorder.Feed(chunk);
    REQUIRE(recorder.log == row.want);
  });
}

TEST_CASE("A refused APPEND is forgotten, or its bytes are skipped", "[imap][unit]") {
  const Row row = GENERATE(values<Row>({
      {"a APPEND x {3}\r\nb NOOP\r\n", "A a x 3 sync\nC b NOOP\n"},
      {"a APPEND x {3+}\r\nabc\r\nb NOOP\r\n", "A a x 3\nC b NOOP\n"},
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire, [&](const testing::Chunks& chunks) {
    Recorder recorder{Limits()};
    recorder.refuse_append = true;
    for (const std::string_view chunk : chunks) recorder.Feed(chunk);
    REQUIRE(recorder.log == row.want);
  });
}

TEST_CASE("Expected lines are no commands", "[imap][unit]") {
  testing::ForEachSplit("a AUTHENTICATE PLAIN\r\nAGE{5}\r\n\r\nb NOOP\r\n",
                        [&](const testing::Chunks& chunks) {
                          Recorder recorder{Limits()};
                          recorder.lines_expected = 2;
                          for (const std::string_view chunk : chunks) recorder.Feed(chunk);
                          REQUIRE(recorder.log == "C a AUTHENTICATE\nL AGE{5}\nL \nC b NOOP\n");
                        });
}

TEST_CASE("Commands and literals have bounds", "[imap][unit]") {
  Limits limits;
  limits.command_bytes = 40;
  limits.literal_bytes = 10;
  const Row row = GENERATE(values<Row>({
      {"a LOGIN {11}\r\nb NOOP\r\n", "? a Literal is too large\nC b NOOP\n"},
      {"a LOGIN {11+}\r\nhello worldb NOOP\r\n", "!  Literal is too large\n"},
      {"a LOGIN {9}\r\n123456789 {9}\r\n123456789 {9}\r\n", "+\n+\n!  Command is too long\n"},
      {"a LOGIN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb NOOP\r\n",
       "!  Command is too long\n"},
      {"a APPEND x {99999}\r\n", "A a x 99999 sync\n"},
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    Recorder recorder{limits};
    for (const std::string_view chunk : chunks) recorder.Feed(chunk);
    REQUIRE(recorder.log == row.want);
  });
}

Command ParseOne(const std::string& text) {
  auto parsed = ParseCommand(text, Limits());
  if (auto* bad = std::get_if<Malformed>(&parsed)) FAIL(text << ": " << bad->reason);
  return std::get<Command>(std::move(parsed));
}

TEST_CASE("Arguments of session commands", "[imap][unit]") {
  CHECK(ParseOne("a LOGIN \"al ice\" pw").As<LoginArguments>().user == "al ice");
  const Command plain = ParseOne("a authenticate plain AGFsaWNlAHB3");
  CHECK(plain.As<AuthenticateArguments>().mechanism == "PLAIN");
  CHECK(plain.As<AuthenticateArguments>().initial_response->Reveal() ==
        std::string_view("\0alice\0pw", 9));
  CHECK(ParseOne("a AUTHENTICATE X =").As<AuthenticateArguments>().initial_response->empty());
  CHECK_FALSE(ParseOne("a AUTHENTICATE X").As<AuthenticateArguments>().initial_response);
  CHECK(ParseOne("a ENABLE condstore IMAP4rev2").As<EnableArguments>().capabilities ==
        std::vector<std::string>{"CONDSTORE", "IMAP4REV2"});
  const Command id = ParseOne("a ID (\"name\" \"mutt\" \"os\" NIL)");
  CHECK(id.As<IdArguments>().fields.size() == 2);
  CHECK(ParseOne("a ID NIL").As<IdArguments>().fields.empty());
}

TEST_CASE("Arguments of mailbox commands", "[imap][unit]") {
  const Command select =
      ParseOne("a SELECT inbox (QRESYNC (67890007 20 41,43:211 (1 9)) CONDSTORE)");
  CHECK(select.As<SelectArguments>().qresync->modseq == 20);
  CHECK(select.As<SelectArguments>().qresync->known_uids->ranges.size() == 2);
  CHECK(select.As<SelectArguments>().condstore);
  CHECK(ParseOne("a CREATE \"x y\" (USE (\\Sent))").As<CreateArguments>().special_use ==
        std::vector<std::string>{"\\Sent"});
  CHECK(ParseOne("a RENAME a b").As<RenameArguments>().to == "b");
  CHECK(ParseOne("a STATUS x (MESSAGES unseen SIZE)").As<StatusArguments>().items.size() == 3);
  const Command list = ParseOne(
      "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" a%) RETURN (CHILDREN STATUS (MESSAGES))");
  CHECK(list.As<ListArguments>().patterns == std::vector<std::string>{"INBOX", "a%"});
  CHECK(list.As<ListArguments>().recursive_match);
  CHECK(list.As<ListArguments>().return_children);
  CHECK(list.As<ListArguments>().return_status.size() == 1);
  CHECK_FALSE(ParseOne("a LIST \"\" %").As<ListArguments>().extended);
  CHECK(ParseOne("a LSUB \"\" *").As<ListArguments>().select_subscribed);
}

TEST_CASE("FETCH, STORE, COPY and EXPUNGE", "[imap][unit]") {
  const Command fetch =
      ParseOne("a UID FETCH 2,4:* (FLAGS BODY.PEEK[]) (CHANGEDSINCE 12 VANISHED)");
  const auto& arguments = fetch.As<FetchArguments>();
  CHECK(arguments.uid);
  CHECK(arguments.set.Resolve(9).ToString() == "2,4:9");
  CHECK(arguments.items.size() == 4);  // UID and MODSEQ come by themselves
  CHECK(arguments.changed_since == 12u);
  CHECK(arguments.vanished);
  CHECK(ParseOne("a FETCH 1 FULL").As<FetchArguments>().items.size() == 5);
  const Command store = ParseOne("a STORE 1:2 (UNCHANGEDSINCE 5) -FLAGS.SILENT (\\Seen work Work)");
  CHECK(store.As<StoreArguments>().mode == StoreArguments::Mode::kRemove);
  CHECK(store.As<StoreArguments>().silent);
  CHECK(store.As<StoreArguments>().flags == FlagList{kSeen, {"work"}});
  CHECK(ParseOne("a STORE 1 FLAGS \\Seen \\Deleted").As<StoreArguments>().flags.system == 9);
  CHECK(ParseOne("a UID MOVE 1 \"a b\"").As<CopyArguments>().mailbox == "a b");
  CHECK(ParseOne("a UID EXPUNGE $").As<ExpungeArguments>().uids->saved);
  CHECK_FALSE(ParseOne("a EXPUNGE").As<ExpungeArguments>().uids);
}

TEST_CASE("Commands that are wrong are malformed, with their tag", "[imap][unit]") {
  const std::string text = GENERATE(values<std::string>({"a LOGIN x",
                                                         "a LOGIN  x y",
                                                         "a AUTHENTICATE PLAIN !",
                                                         "a ENABLE",
                                                         "a SELECT",
                                                         "a SELECT x y",
                                                         "a SELECT x (FOO)",
                                                         "a CREATE x (USE)",
                                                         "a RENAME x",
                                                         "a STATUS x ()",
                                                         "a STATUS x (FOO)",
                                                         "a LIST x",
                                                         "a LIST (FOO) x y",
                                                         "a LIST (RECURSIVEMATCH) \"\" *",
                                                         "a LSUB x",
                                                         "a FETCH x ALL",
                                                         "a FETCH 0 ALL",
                                                         "a FETCH 1:2: ALL",
                                                         "a FETCH 4294967296 ALL",
                                                         "a FETCH 1",
                                                         "a FETCH 1 FLAGS (VANISHED)",
                                                         "a STORE 1 FLAGS",
                                                         "a STORE 1 FOO (x)",
                                                         "a STORE 1 +FLAGS (\\X)",
                                                         "a COPY 1",
                                                         "a UID EXPUNGE",
                                                         "a EXPUNGE 1",
                                                         "a SEARCH",
                                                         "a UID LOGIN x y",
                                                         "a ID (\"x\")",
                                                         "a IDLE x"}));
  CAPTURE(text);
  const auto parsed = ParseCommand(text, Limits());
  const auto* bad = std::get_if<Malformed>(&parsed);
  REQUIRE(bad != nullptr);
  CHECK(bad->tag == "a");
  CHECK_FALSE(bad->reason.empty());
  CHECK_FALSE(bad->fatal);
}

TEST_CASE("Sequence sets resolve as RFC 9051 section 9 says", "[imap][unit]") {
  const auto set = ParseOne("a FETCH 2,4:7,9,12:* UID").As<FetchArguments>().set;
  CHECK(set.Resolve(15).ToString() == "2,4:7,9,12:15");  // the RFC's example
  const auto star = ParseOne("a FETCH *:4,5:7 UID").As<FetchArguments>().set;
  CHECK(star.Resolve(10).ToString() == "4:10");
  CHECK(star.Resolve(3).ToString() == "3:7");
  CHECK(star.Exceeds(6));
  CHECK_FALSE(star.Exceeds(7));
  CHECK(ParseOne("a FETCH * UID").As<FetchArguments>().set.Resolve(0).empty());
  CHECK(ParseOne("a FETCH 1:* UID").As<FetchArguments>().set.Exceeds(0));
}

}  // namespace
}  // namespace godwit::imap
