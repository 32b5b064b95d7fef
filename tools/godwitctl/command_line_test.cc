#include "tools/godwitctl/command_line.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/status.h"

namespace godwit::ctl {
namespace {

// Runs `words` against one command and gives what it was called with; "" when it was not.
struct Called {
  int code = 0;
  std::string address;
  std::string size;
  std::vector<std::string> rest;
};

Called RunWith(const std::vector<std::string>& words) {
  Called called;
  const Command command = {"box add",
                           {"ADDRESS", "MEMBER..."},
                           {{"size", "SIZE", "how large"}, {"quick", "", "soon"}},
                           "Adds a box.",
                           [&](const Invocation& in) -> absl::StatusOr<Report> {
                             called.address = in.argument("ADDRESS");
                             called.size = in.flag("size").value_or("none");
                             called.rest = in.rest();
                             if (called.address == "fails") return base::NotFound("nobody");
                             return Report::Done("done");
                           }};
  called.code = CommandLine({command}).Run(words);
  return called;
}

TEST_CASE("Arguments and flags come in any order", "[godwitctl][unit]") {
  const Called called = RunWith({"box", "add", "--size", "5", "a@b", "--quick", "c", "d"});
  CHECK(called.code == 0);
  CHECK(called.address == "a@b");
  CHECK(called.size == "5");
  CHECK(called.rest == std::vector<std::string>{"c", "d"});
  CHECK(RunWith({"box", "add", "--size=7", "--", "--a", "c"}).size == "7");
}

TEST_CASE("Wrong words end with 2 and run nothing", "[godwitctl][unit]") {
  const auto words = GENERATE(values<std::vector<std::string>>({
      {},
      {"box"},
      {"box", "drop"},
      {"box", "add", "a@b"},
      {"box", "add", "a@b", "c", "--no-such"},
      {"box", "add", "a@b", "c", "--size"},
      {"box", "add", "a@b", "c", "--quick=1"},
      {"box", "add", "a@b", "c", "--size=1", "--size=2"},
  }));
  CAPTURE(words);
  const Called called = RunWith(words);
  CHECK(called.code == 2);
  CHECK(called.address.empty());
}

TEST_CASE("An argument in brackets may be left out, or be many", "[godwitctl][unit]") {
  std::vector<std::string> rest = {"untouched"};
  const CommandLine line(
      {{"ask", {"[WHOM...]"}, {}, "Asks.", [&](const Invocation& in) -> absl::StatusOr<Report> {
          rest = in.rest();
          return Report::Done("done");
        }}});
  CHECK(line.Run({"ask"}) == 0);
  CHECK(rest.empty());
  CHECK(line.Run({"ask", "a", "b"}) == 0);
  CHECK(rest == std::vector<std::string>{"a", "b"});
}

TEST_CASE("A command that fails ends with 1", "[godwitctl][unit]") {
  CHECK(RunWith({"box", "add", "fails", "x"}).code == 1);
}

TEST_CASE("Columns are as wide as their widest cell", "[godwitctl][unit]") {
  Table table({"A", "LONG"});
  table.Add({"bücher", "x"});
  CHECK(table.ToString() == "A       LONG\nbücher  x\n");
}

}  // namespace
}  // namespace godwit::ctl
