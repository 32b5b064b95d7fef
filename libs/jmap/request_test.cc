#include "libs/jmap/request.h"

#include <catch2/catch.hpp>

#include "libs/jmap/id.h"
#include "libs/jmap/standard.h"

namespace godwit::jmap {
namespace {

json::value Parse(std::string_view text) {
  auto value = ParseJson(text);
  INFO(text);
  REQUIRE(value.ok());
  return *value;
}

std::string TypeOf(const std::variant<Request, Problem>& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  return problem == nullptr ? "" : problem->type.substr(problem->type.rfind(':') + 1);
}

TEST_CASE("Ids have one form each", "[jmap][unit]") {
  struct Row {
    std::string_view text;
    std::optional<int64_t> number;
  };
  const Row row = GENERATE(values<Row>({{"m12", 12},
                                        {"m0", 0},
                                        {"m9223372036854775807", INT64_MAX},
                                        {"m9223372036854775808", std::nullopt},
                                        {"m012", std::nullopt},
                                        {"m-1", std::nullopt},
                                        {"m", std::nullopt},
                                        {"e12", std::nullopt},
                                        {"", std::nullopt}}));
  CAPTURE(row.text);
  CHECK(ParseId(IdType::kMailbox, row.text) == row.number);
  if (row.number) CHECK(FormatId(IdType::kMailbox, *row.number) == row.text);
}

TEST_CASE("Names of blobs", "[jmap][unit]") {
  for (const char* text : {"B5", "P5-1", "P5-1_2_3", "U77"}) {
    CAPTURE(text);
    const auto name = ParseBlob(text);
    REQUIRE(name.has_value());
    CHECK(FormatBlob(*name) == text);
    CHECK(IsId(text));
  }
  for (const char* text : {"", "B", "X5", "P5", "P5-", "P5-a", "P-1", "B05", "P5-1.2x"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseBlob(text).has_value());
  }
}

TEST_CASE("Requests that are none (RFC 8620 3.6.1)", "[jmap][unit]") {
  struct Row {
    std::string_view body;
    std::string_view type;
    std::string_view content_type = "application/json; charset=utf-8";
  };
  const Row row = GENERATE(values<Row>(
      {{R"({"using":[],"methodCalls":[]})", ""},
       {R"({"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"a"]]})", ""},
       {R"({"using":[],"methodCalls":[],"createdIds":{"k":"m1"}})", ""},
       {R"({"using":[],"methodCalls":[]})", "notJSON", "text/plain"},
       {R"({"using":[])", "notJSON"},
       {"[]", "notRequest"},
       {R"({"methodCalls":[]})", "notRequest"},
       {R"({"using":[1],"methodCalls":[]})", "notRequest"},
       {R"({"using":[]})", "notRequest"},
       {R"({"using":[],"methodCalls":[["a",{}]]})", "notRequest"},
       {R"({"using":[],"methodCalls":[["a",[],"c"]]})", "notRequest"},
       {R"({"using":[],"methodCalls":[],"createdIds":[]})", "notRequest"},
       {R"({"using":["urn:x"],"methodCalls":[]})", "unknownCapability"}}));
  CAPTURE(row.body);
  CHECK(TypeOf(ParseRequest(row.content_type, row.body, Limits())) == row.type);
}

TEST_CASE("Limits of a request name themselves", "[jmap][unit]") {
  Limits limits;
  limits.max_calls_in_request = 1;
  limits.max_size_request = 200;
  auto many = ParseRequest("application/json",
                           R"({"using":[],"methodCalls":[["a",{},"1"],["a",{},"2"]]})", limits);
  REQUIRE(std::holds_alternative<Problem>(many));
  CHECK(std::get<Problem>(many).limit == "maxCallsInRequest");
  auto large = ParseRequest("application/json", std::string(201, ' '), limits);
  REQUIRE(std::holds_alternative<Problem>(large));
  CHECK(std::get<Problem>(large).limit == "maxSizeRequest");
  CHECK(Serialize(ToJson(std::get<Problem>(large))).find("\"status\":400") != std::string::npos);
}

TEST_CASE("Pointers with * (RFC 8620 3.7)", "[jmap][unit]") {
  const json::value value =
      Parse(R"({"list":[{"id":"a","t":["x","y"]},{"id":"b","t":["z"]}],"a/b":{"~":1},"n":null})");
  struct Row {
    std::string_view pointer;
    std::string_view result;
  };
  const Row row = GENERATE(values<Row>({{"/list/*/id", R"(["a","b"])"},
                                        {"/list/*/t", R"(["x","y","z"])"},
                                        {"/list/1/id", R"("b")"},
                                        {"/list/01/id", ""},
                                        {"/list/2/id", ""},
                                        {"/list/*/x", ""},
                                        {"/a~1b/~0", "1"},
                                        {"/n", "null"},
                                        {"/n/x", ""},
                                        {"list", ""},
                                        {"", ""}}));
  CAPTURE(row.pointer);
  size_t budget = 100'000;
  const auto found = EvaluatePointer(value, row.pointer, &budget);
  if (row.pointer.empty()) {
    CHECK(found == value);
  } else {
    CHECK((found ? Serialize(*found) : "") == row.result);
  }
}

TEST_CASE("Result references", "[jmap][unit]") {
  std::vector<Invocation> responses;
  responses.push_back({"Foo/query", Parse(R"({"ids":["a","b"]})").get_object(), "c0"});
  responses.push_back({"error", Parse(R"({"type":"serverFail"})").get_object(), "c1"});
  struct Row {
    std::string_view arguments;
    std::string_view result;  // or the type of the error
  };
  const Row row = GENERATE(values<Row>(
      {{R"({"x":1})", R"({"x":1})"},
       {R"({"#ids":{"resultOf":"c0","name":"Foo/query","path":"/ids"}})", R"({"ids":["a","b"]})"},
       {R"({"#ids":{"resultOf":"c9","name":"Foo/query","path":"/ids"}})", "invalidResultReference"},
       {R"({"#ids":{"resultOf":"c0","name":"Foo/get","path":"/ids"}})", "invalidResultReference"},
       {R"({"#ids":{"resultOf":"c1","name":"Foo/query","path":"/ids"}})", "invalidResultReference"},
       {R"({"#ids":{"resultOf":"c0","name":"Foo/query","path":"/no"}})", "invalidResultReference"},
       {R"({"#ids":5})", "invalidResultReference"},
       {R"({"ids":null,"#ids":{"resultOf":"c0","name":"Foo/query","path":"/ids"}})",
        "invalidArguments"}}));
  CAPTURE(row.arguments);
  json::object arguments = Parse(row.arguments).get_object();
  size_t budget = 100'000;
  const auto error = ResolveReferences(&arguments, responses, &budget);
  CHECK((error ? error->type : Serialize(arguments)) == row.result);
}

// Each answer was twice the one before: 32 calls of 100 octets took all memory.
TEST_CASE("References take no more than their budget (RFC 8620 3.7)", "[jmap][unit]") {
  std::vector<Invocation> responses;
  responses.push_back({"Core/echo", Parse(R"({"x":"0123456789"})").get_object(), "c0"});
  size_t budget = 100'000;
  int resolved = 0;
  for (; resolved < 30; ++resolved) {
    const std::string all =
        R"({"resultOf":"c)" + std::to_string(resolved) + R"(","name":"Core/echo","path":""})";
    json::object arguments = Parse(R"({"#a":)" + all + R"(,"#b":)" + all + "}").get_object();
    const auto error = ResolveReferences(&arguments, responses, &budget);
    if (error) {
      CHECK(error->type == "invalidResultReference");
      break;
    }
    responses.push_back({"Core/echo", arguments, "c" + std::to_string(resolved + 1)});
  }
  CHECK(resolved == 8);
  // What is walked over counts as well as what is taken.
  const json::value hollow = Parse("[[],[],[],[],[],[],[],[]]");
  budget = 10 * kValueSize;
  CHECK(EvaluatePointer(hollow, "/*/*", &budget) == json::value(json::array()));
  CHECK(budget == kValueSize);
  CHECK_FALSE(EvaluatePointer(hollow, "/*/*", &budget));
}

TEST_CASE("An object is answered once, however often it is asked for (RFC 8620 5.1)",
          "[jmap][unit]") {
  const json::object object =
      Parse(R"({"ids":["b","a","b","a","c"],"properties":["x","x"]})").get_object();
  Arguments arguments(object);
  const GetArguments get = TakeGet(&arguments);
  CHECK_FALSE(arguments.Finish());
  CHECK(*get.ids == std::vector<std::string>{"b", "a", "c"});
  CHECK(*get.properties == std::vector<std::string>{"x"});
}

TEST_CASE("Properties have a bound", "[jmap][unit]") {
  json::array names;
  for (size_t i = 0; i <= kMaxProperties; ++i) names.emplace_back("header:x" + std::to_string(i));
  const json::object object = {{"properties", names}};
  Arguments arguments(object);
  TakeGet(&arguments);
  const auto error = arguments.Finish();
  REQUIRE(error);
  CHECK(error->type == "invalidArguments");
}

TEST_CASE("A value has a size, looked at up to a bound", "[jmap][unit]") {
  const json::value value = Parse(R"({"name":["abc",5,null]})");
  const size_t size = 5 * kValueSize + 4 + 3;
  CHECK(SizeWithin(value, 1000) == size);
  CHECK(SizeWithin(value, size) == size);
  CHECK_FALSE(SizeWithin(value, size - 1));
}

TEST_CASE("A request of very many small values is refused (RFC 8620 3.6.1)", "[jmap][unit]") {
  std::string body = R"({"using":[],"methodCalls":[["Core/echo",{"x":[0)";
  for (int i = 0; i < 500'000; ++i) body += ",0";
  body += R"(]},"c0"]]})";
  const auto parsed = ParseRequest("application/json", body, Limits());
  REQUIRE(std::holds_alternative<Problem>(parsed));
  CHECK(std::get<Problem>(parsed).limit == "maxSizeRequest");
}

TEST_CASE("Arguments have types, and none is unknown (RFC 8620 3.6.2)", "[jmap][unit]") {
  struct Row {
    std::string_view arguments;
    bool good;
  };
  const Row row = GENERATE(values<Row>({{R"({})", true},
                                        {R"({"s":"x","u":5,"i":-5,"b":true,"l":["a","#b"]})", true},
                                        {R"({"s":null,"u":null})", true},
                                        {R"({"s":5})", false},
                                        {R"({"u":-1})", false},
                                        {R"({"u":1.5})", false},
                                        {R"({"u":9007199254740992})", false},
                                        {R"({"u":9007199254740991})", true},
                                        {R"({"b":1})", false},
                                        {R"({"l":["a b"]})", false},
                                        {R"({"l":[1]})", false},
                                        {R"({"other":1})", false}}));
  CAPTURE(row.arguments);
  const json::object object = Parse(row.arguments).get_object();
  Arguments arguments(object);
  arguments.String("s");
  arguments.Uint("u");
  arguments.Int("i");
  arguments.Bool("b");
  arguments.Ids("l");
  CHECK(arguments.Finish().has_value() != row.good);
}

TEST_CASE("Dates", "[jmap][unit]") {
  struct Row {
    std::string_view text;
    std::string_view utc;
    int offset = 0;
  };
  const Row row = GENERATE(values<Row>({{"2014-10-30T06:12:00Z", "2014-10-30T06:12:00Z"},
                                        {"2014-10-30T14:12:00+08:00", "2014-10-30T06:12:00Z", 480},
                                        {"2014-10-30T06:12:00.5Z", "2014-10-30T06:12:00Z"},
                                        {"2014-10-30", ""},
                                        {"2014-10-30 06:12:00Z", ""},
                                        {"2014-13-30T06:12:00Z", ""},
                                        {" 2014-10-30T06:12:00Z", ""},
                                        {"", ""}}));
  CAPTURE(row.text);
  const auto time = ParseDate(row.text);
  CHECK((time ? FormatUtcDate(*time) : "") == row.utc);
  if (row.offset != 0) {
    CHECK(DateOffset(row.text) == row.offset);
    CHECK(FormatDate(*time, row.offset) == row.text);
  }
}

TEST_CASE("PatchObjects (RFC 8620 5.3)", "[jmap][unit]") {
  struct Row {
    std::string_view patch;
    std::string_view result;  // "" for invalidPatch
  };
  const Row row = GENERATE(values<Row>({{R"({"a":2})", R"({"a":2,"o":{"x":1}})"},
                                        {R"({"o/x":null})", R"({"a":1,"o":{}})"},
                                        {R"({"o/y":3})", R"({"a":1,"o":{"x":1,"y":3}})"},
                                        {R"({"o/a~1b":3})", R"({"a":1,"o":{"x":1,"a/b":3}})"},
                                        {R"({"p/y":3})", ""},
                                        {R"({"a/y":3})", ""},
                                        {R"({"o":{},"o-":1,"o/x":2})", ""}}));
  CAPTURE(row.patch);
  json::object target = Parse(R"({"a":1,"o":{"x":1}})").get_object();
  const auto error = ApplyPatch(Parse(row.patch).get_object(), &target);
  CHECK((error ? "" : Serialize(target)) == row.result);
}

TEST_CASE("Windows of a query (RFC 8620 5.5)", "[jmap][unit]") {
  struct Row {
    int64_t position;
    std::optional<uint64_t> limit;
    std::pair<size_t, size_t> window;
  };
  const Row row = GENERATE(values<Row>({{0, std::nullopt, {0, 5}},
                                        {2, 2, {2, 4}},
                                        {4, 10, {4, 7}},
                                        {9, 1, {7, 7}},
                                        {-2, std::nullopt, {5, 7}},
                                        {-20, 1, {0, 1}},
                                        {0, 0, {0, 0}}}));
  QueryArguments query;
  query.position = row.position;
  query.limit = row.limit;
  CAPTURE(row.position);
  CHECK(QueryWindow(query, 7, 5) == row.window);
}

TEST_CASE("The answer of a /set has null for what is empty", "[jmap][unit]") {
  SetResponse response;
  response.Created("k", {{"id", "m1"}});
  response.NotUpdated("m2", {"invalidProperties", "", {"name"}});
  const std::string text = Serialize(std::move(response).Finish("a1", "1", "2"));
  CHECK(text == R"({"accountId":"a1","oldState":"1","newState":"2","created":{"k":{"id":"m1"}},)"
                R"("updated":null,"destroyed":null,"notCreated":null,"notUpdated":{"m2":{"type":)"
                R"("invalidProperties","properties":["name"]}},"notDestroyed":null})");
}

}  // namespace
}  // namespace godwit::jmap
