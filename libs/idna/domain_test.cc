#include "libs/idna/domain.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::idna {
namespace {

TEST_CASE("RFC 5891 §5: names become A-labels", "[idna][unit]") {
  CHECK(ToAscii("Example.ORG.") == "example.org");
  CHECK(ToAscii("b\xc3\xbc"
                "cher.Example") == "xn--bcher-kva.example");
  CHECK(ToAscii("_dmarc.example") == "_dmarc.example");
  CHECK(ToAscii("fa\xc3\x9f.de") == "xn--fa-hia.de");  // nontransitional
}

TEST_CASE("RFC 1035 §2.3.4: what can't be a name", "[idna][unit]") {
  CHECK_FALSE(ToAscii(""));
  CHECK_FALSE(ToAscii("."));
  CHECK_FALSE(ToAscii("a..b"));
  CHECK_FALSE(ToAscii(std::string(64, 'a') + ".b"));
  CHECK_FALSE(ToAscii(std::string("a\0b", 3)));
  CHECK_FALSE(ToAscii("\xff.example"));
  std::string name;
  for (int i = 0; i < 127; ++i) name += "a.";
  CHECK(ToAscii(name));  // 253 and a final dot
  CHECK_FALSE(ToAscii("b" + name));
  CHECK(IsDnsName("a.b"));
  CHECK_FALSE(IsDnsName("A.b"));
  CHECK_FALSE(IsDnsName("a.b."));
}

TEST_CASE("Names below a name", "[idna][unit]") {
  CHECK(IsSameOrBelow("a.b", "a.b"));
  CHECK(IsSameOrBelow("x.a.b", "a.b"));
  CHECK_FALSE(IsSameOrBelow("xa.b", "a.b"));
  CHECK_FALSE(IsSameOrBelow(".a.b", "a.b"));
  CHECK_FALSE(IsSameOrBelow("b", "a.b"));
}

TEST_CASE("A host name has nothing that means something elsewhere", "[idna][unit]") {
  CHECK(IsHostName("mx-1.example_x.org"));
  for (const char* name :
       {"a/b", "a b.example", "a:1", "a@b", "*.example", "a..b", "", "A.example"}) {
    CAPTURE(name);
    CHECK(!IsHostName(name));
  }
}

}  // namespace
}  // namespace godwit::idna
