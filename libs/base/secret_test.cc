#include "libs/base/secret.h"

#include <catch2/catch.hpp>
#include <ostream>
#include <type_traits>
#include <utility>

namespace godwit::base {
namespace {

template <typename T, typename = void>
struct IsStreamable : std::false_type {};
template <typename T>
struct IsStreamable<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<T>())>>
    : std::true_type {};

// The point of the type: none of these compiles by accident.
static_assert(IsStreamable<std::string>::value);
static_assert(!IsStreamable<Secret>::value);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<std::string_view, Secret>);

TEST_CASE("Secrets are equal when all their bytes are", "[base][unit]") {
  const bool equal = Secret("open sesame") == Secret("open sesame");
  const bool differ_first = Secret("xpen sesame") == Secret("open sesame");
  const bool differ_last = Secret("open sesamx") == Secret("open sesame");
  const bool shorter = Secret("open") == Secret("open sesame");
  // NOLINTNEXTLINE(readability-container-size-empty): the operator is what is tested
  const bool empty = Secret() == Secret("");
  CHECK(equal);
  CHECK_FALSE(differ_first);
  CHECK_FALSE(differ_last);
  CHECK_FALSE(shorter);
  CHECK(empty);
}

TEST_CASE("ConstantTimeEquals sees a difference in any one byte", "[base][unit]") {
  const std::string secret = "0123456789abcdef";
  CHECK(ConstantTimeEquals(secret, std::string(secret)));
  CHECK(ConstantTimeEquals("", ""));
  for (size_t i = 0; i < secret.size(); ++i) {
    std::string other = secret;
    other[i] = static_cast<char>(other[i] ^ 0x80);
    CAPTURE(i);
    CHECK_FALSE(ConstantTimeEquals(secret, other));
  }
}

TEST_CASE("A moved-from Secret is empty, short and long", "[base][unit]") {
  const std::string text = GENERATE(std::string("short"), std::string(100, 'k'));
  Secret first(text);
  Secret second(std::move(first));
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  CHECK(second.Reveal() == text);
  Secret third("something else that is longer than the small string buffer");
  third = std::move(second);
  CHECK(second.empty());  // NOLINT(bugprone-use-after-move)
  CHECK(third.Reveal() == text);
}

TEST_CASE("Moving out wipes the bytes in place", "[base][unit]") {
  // The buffer still belongs to `first`, so that looking at it is allowed.
  Secret first(std::string(100, 'k'));
  const char* bytes = first.Reveal().data();
  const Secret second(std::move(first));
  CHECK(bytes[0] == '\0');
  CHECK(second.Reveal().data() != bytes);
}

TEST_CASE("Assignment copies, also onto itself", "[base][unit]") {
  Secret a("one");
  const Secret b("another");
  a = b;
  CHECK(a.Reveal() == "another");
  CHECK(b.Reveal() == "another");
  Secret& alias = a;
  a = alias;
  CHECK(a.Reveal() == "another");
}

}  // namespace
}  // namespace godwit::base
