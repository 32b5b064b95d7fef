#include "libs/mime/base_subject.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

TEST_CASE("ExtractBaseSubject follows RFC 5256 §2.1", "[mime][unit]") {
  struct Row {
    std::string subject;
    std::string want;
    bool is_reply;
  };
  const Row row = GENERATE(values<Row>({
      {"", "", false},
      {"hello", "hello", false},
      {"  a \t b  ", "a b", false},
      {"Re: hello", "hello", true},
      {"RE : re: FW:Fwd: hello", "hello", true},
      {"Re[2]: hello", "hello", true},
      {"re [x] : hello", "hello", true},
      {"[list] hello", "hello", false},
      {"[list] Re: [other] hello", "hello", true},
      {"Re: [list] [b] hello", "hello", true},
      {"[only]", "[only]", false},
      {"[a] [b]", "[b]", false},
      {"Re: [only]", "[only]", true},
      {"hello (fwd)", "hello", true},
      {"hello (FWD) (fwd) ", "hello", true},
      {"[fwd: hello]", "hello", true},
      {"[Fwd: Re: [list] hello (fwd)]", "hello", true},
      {"[fwd: [fwd: hello]]", "hello", true},
      {"Re:", "", true},
      {"regarding", "regarding", false},
      {"[unclosed hello", "[unclosed hello", false},
      {"[fwd:", "[fwd:", false},
      {"[fwd:]", "", true},
      {"re [x hello", "re [x hello", false},
  }));
  CAPTURE(row.subject);
  CHECK(ExtractBaseSubject(row.subject) == BaseSubject{row.want, row.is_reply});
}

TEST_CASE("ExtractBaseSubject takes linear time", "[mime][unit]") {
  const auto piece =
      GENERATE(values<std::string>({"[a]", "re:", "[fwd:", "(fwd)", "[", "[a] re:", "re["}));
  std::string text;
  while (text.size() < 256 * 1024) text += piece;
  CHECK(ExtractBaseSubject(text).text.size() <= text.size());
  CHECK(ExtractBaseSubject(text + std::string(50000, ']')).text.size() <= text.size() + 50000);
}

}  // namespace
}  // namespace godwit::mime
