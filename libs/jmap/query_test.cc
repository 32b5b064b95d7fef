#include <catch2/catch.hpp>

#include "libs/jmap/email_filter.h"
#include "libs/jmap/mailbox.h"
#include "libs/jmap/session.h"

namespace godwit::jmap {
namespace {

json::value Parse(std::string_view text) {
  auto value = ParseJson(text);
  INFO(text);
  REQUIRE(value.ok());
  return *value;
}

TEST_CASE("Filters of emails (RFC 8621 4.4.1)", "[jmap][unit]") {
  struct Row {
    std::string_view filter;
    std::string_view error;
  };
  const Row row = GENERATE(values<Row>(
      {{R"({})", ""},
       {R"({"inMailbox":"m1","hasKeyword":"$Seen","before":"2030-01-01T00:00:00Z"})", ""},
       {R"({"operator":"NOT","conditions":[{"text":"x"},{"header":["X-A","b"]}]})", ""},
       {R"({"inMailbox":1})", "invalidArguments"},
       {R"({"before":"yesterday"})", "invalidArguments"},
       {R"({"nothing":1})", "invalidArguments"},
       {R"({"operator":"XOR","conditions":[]})", "invalidArguments"},
       {R"({"operator":"AND"})", "invalidArguments"},
       {R"({"operator":"AND","conditions":[1]})", "invalidArguments"},
       {R"({"header":[]})", "invalidArguments"},
       {R"({"hasKeyword":"a b"})", "invalidArguments"},
       {R"({"someInThreadHaveKeyword":"$seen"})", "unsupportedFilter"}}));
  CAPTURE(row.filter);
  auto parsed = ParseFilter(Parse(row.filter).get_object());
  const auto* error = std::get_if<MethodError>(&parsed);
  CHECK((error == nullptr ? "" : error->type) == row.error);
}

TEST_CASE("Operators of filters", "[jmap][unit]") {
  struct Row {
    std::string_view op;
    bool none, one, all;
  };
  const Row row = GENERATE(values<Row>(
      {{"AND", false, false, true}, {"OR", false, true, true}, {"NOT", true, false, false}}));
  const std::string text =
      R"({"operator":")" + std::string(row.op) + R"(","conditions":[{"from":"a"},{"from":"b"}]})";
  const auto filter = std::get<Filter>(ParseFilter(Parse(text).get_object()));
  const auto with = [&](std::string_view passing) {
    return Evaluate(filter, [&](const FilterCondition& c) {
      return passing.find(*c.from) != std::string_view::npos;
    });
  };
  CHECK(with("") == row.none);
  CHECK(with("a") == row.one);
  CHECK(with("ab") == row.all);
}

TEST_CASE("A mailbox that all must lie in is found", "[jmap][unit]") {
  struct Row {
    std::string_view filter;
    std::optional<int64_t> mailbox;
  };
  const Row row = GENERATE(
      values<Row>({{R"({"inMailbox":"m3","text":"x"})", 3},
                   {R"({"operator":"AND","conditions":[{"text":"x"},{"inMailbox":"m4"}]})", 4},
                   {R"({"operator":"OR","conditions":[{"inMailbox":"m4"}]})", std::nullopt},
                   {R"({"operator":"NOT","conditions":[{"inMailbox":"m4"}]})", std::nullopt}}));
  CAPTURE(row.filter);
  CHECK(RequiredMailbox(std::get<Filter>(ParseFilter(Parse(row.filter).get_object()))) ==
        row.mailbox);
}

TEST_CASE("Sorting (RFC 8621 4.4.2)", "[jmap][unit]") {
  const auto type = [](std::string_view text) {
    auto sort = ParseSort(Parse(text).get_array());
    const auto* error = std::get_if<MethodError>(&sort);
    return error == nullptr ? "" : error->type;
  };
  CHECK(type(R"([{"property":"receivedAt","isAscending":false}])") == "");
  CHECK(type(R"([{"property":"hasKeyword","keyword":"$flagged"}])") == "");
  CHECK(type(R"([{"property":"hasKeyword"}])") == "invalidArguments");
  CHECK(type(R"([{"property":"colour"}])") == "unsupportedSort");
  CHECK(type(R"([{"property":"from","collation":"i;octet"}])") == "unsupportedSort");
  CHECK(type(R"([1])") == "invalidArguments");
}

std::vector<MailboxInfo> Boxes() {
  std::vector<MailboxInfo> boxes(5);
  const char* names[] = {"INBOX", "Work", "Zoo", "Archive", "Ape"};
  for (size_t i = 0; i < boxes.size(); ++i) {
    boxes[i].id = static_cast<int64_t>(i) + 1;
    boxes[i].name = names[i];
  }
  boxes[0].role = "inbox";
  boxes[3].role = "archive";
  boxes[4].parent = 2;
  boxes[2].subscribed = true;
  return boxes;
}

TEST_CASE("Mailbox/query (RFC 8621 2.3)", "[jmap][unit]") {
  struct Row {
    std::string_view arguments;
    std::vector<int64_t> ids;
  };
  const Row row = GENERATE(values<Row>(
      {{R"({})", {1, 4, 5, 2, 3}},
       {R"({"sort":[{"property":"name"}]})", {5, 4, 1, 2, 3}},
       {R"({"sort":[{"property":"name","isAscending":false}]})", {3, 2, 1, 4, 5}},
       {R"({"sort":[{"property":"name"}],"sortAsTree":true})", {4, 1, 2, 5, 3}},
       {R"({"filter":{"parentId":null},"sort":[{"property":"name"}]})", {4, 1, 2, 3}},
       {R"({"filter":{"parentId":"m2"}})", {5}},
       {R"({"filter":{"role":"inbox"}})", {1}},
       {R"({"filter":{"hasAnyRole":false,"isSubscribed":true}})", {3}},
       {R"({"filter":{"name":"oo"}})", {3}},
       {R"({"filter":{"name":"ape"},"filterAsTree":true})", {}},
       {R"({"filter":{"operator":"OR","conditions":[{"role":"inbox"},{"name":"zoo"}]}})", {1, 3}},
       {R"({"filter":{"operator":"NOT","conditions":[{"hasAnyRole":true}]}})", {5, 2, 3}}}));
  CAPTURE(row.arguments);
  const json::object arguments = Parse(row.arguments).get_object();
  Arguments reader(arguments);
  MailboxQuery query;
  query.filter = reader.Object("filter");
  query.sort = reader.Array("sort");
  query.sort_as_tree = reader.Bool("sortAsTree").value_or(false);
  query.filter_as_tree = reader.Bool("filterAsTree").value_or(false);
  const auto found = QueryMailboxes(Boxes(), query);
  REQUIRE(std::holds_alternative<std::vector<int64_t>>(found));
  CHECK(std::get<std::vector<int64_t>>(found) == row.ids);
}

TEST_CASE("Conditions and comparators of Mailbox/query have bounds", "[jmap][unit]") {
  json::array conditions;
  json::array sort;
  for (int i = 0; i < 100; ++i) conditions.push_back(json::object());
  for (int i = 0; i < 11; ++i) sort.push_back(json::object{{"property", "name"}});
  const json::object filter = {{"operator", "NOT"}, {"conditions", conditions}};
  MailboxQuery query;
  query.filter = &filter;
  auto found = QueryMailboxes(Boxes(), query);
  REQUIRE(std::holds_alternative<MethodError>(found));
  CHECK(std::get<MethodError>(found).type == "unsupportedFilter");
  query.filter = nullptr;
  query.sort = &sort;
  found = QueryMailboxes(Boxes(), query);
  REQUIRE(std::holds_alternative<MethodError>(found));
  CHECK(std::get<MethodError>(found).type == "unsupportedSort");
}

TEST_CASE("The session names what there is (RFC 8620 2)", "[jmap][unit]") {
  const json::object session =
      SessionToJson({"a@x.example", "a7", "https://mail.x.example", Limits()});
  CHECK(*FindString(session, "apiUrl") == "https://mail.x.example/jmap/api");
  CHECK(session.at("accounts").at("a7").at("isPersonal").get_bool());
  CHECK(session.at("capabilities").get_object().size() == 3);
  CHECK(session.at("primaryAccounts").at("urn:ietf:params:jmap:mail") == "a7");
  for (const char* variable : {"{accountId}", "{blobId}", "{name}", "{type}"}) {
    CHECK(FindString(session, "downloadUrl")->find(variable) != std::string::npos);
  }
  for (const char* variable : {"{types}", "{closeafter}", "{ping}"}) {
    CHECK(FindString(session, "eventSourceUrl")->find(variable) != std::string::npos);
  }
}

TEST_CASE("Queries of the event stream (RFC 8620 7.3)", "[jmap][unit]") {
  struct Row {
    std::string_view query;
    bool good;
    int64_t ping = 0;
  };
  const Row row = GENERATE(values<Row>({{"types=*&closeafter=no&ping=0", true, 0},
                                        {"types=Email,Mailbox&closeafter=state&ping=5", true, 30},
                                        {"types=Email%2CThread&closeafter=no&ping=60", true, 60},
                                        {"types=*&closeafter=no&ping=99999999999", true, 300},
                                        {"types=*&closeafter=no", false},
                                        {"types=*&closeafter=maybe&ping=0", false},
                                        {"types=*&closeafter=no&ping=-1", false},
                                        {"types=%zz&closeafter=no&ping=0", false},
                                        {"", false}}));
  CAPTURE(row.query);
  const auto request = ParseEventQuery(row.query);
  REQUIRE(request.has_value() == row.good);
  if (request) CHECK(request->ping_seconds == row.ping);
}

TEST_CASE("Events as the browser reads them", "[jmap][unit]") {
  CHECK(FormatEvent("state", "x", StateChangeToJson("a1", {{"Email", "5"}})) ==
        "event: state\nid: x\ndata: "
        "{\"@type\":\"StateChange\",\"changed\":{\"a1\":{\"Email\":\"5\"}}}"
        "\n\n");
  CHECK(PercentDecode("a%20b") == "a b");
  CHECK_FALSE(PercentDecode("%ff").has_value());
  CHECK_FALSE(PercentDecode("%2").has_value());
}

}  // namespace
}  // namespace godwit::jmap
