#include "services/smtp-ingress/sender_domain.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_resolver.h"

namespace godwit::smtp_ingress {
namespace {

TEST_CASE("A sender's domain has hosts for mail, or says none (RFC 5321 §5.1, RFC 7505)",
          "[smtp-ingress][unit]") {
  testing::FakeResolver resolver(R"(
    mx.example        MX       10 host.mx.example
    two.example       MX       0 .
    two.example       MX       10 host.mx.example
    null.example      MX       0 .
    four.example      A        192.0.2.1
    six.example       AAAA     2001:db8::1
    text.example      TXT      "v=spf1 -all"
    broken.example    TEMPFAIL
    half.example      TXT      "x"
  )");
  resolver.zone().Override({"half.example", base::DnsType::kAaaa}, testing::TempFail("timeout"));
  struct Row {
    std::string domain;
    int code;
    std::string enhanced;
    int questions;
  };
  const Row row = GENERATE(values<Row>({{"mx.example", 250, "2.1.0", 1},
                                        {"two.example", 250, "2.1.0", 1},
                                        {"null.example", 550, "5.7.27", 1},
                                        {"four.example", 250, "2.1.0", 3},
                                        {"six.example", 250, "2.1.0", 3},
                                        {"text.example", 550, "5.1.8", 3},
                                        {"nowhere.example", 550, "5.1.8", 1},
                                        {"broken.example", 451, "4.4.3", 1},
                                        {"half.example", 451, "4.4.3", 3}}));
  CAPTURE(row.domain);
  const smtp::Reply reply = base::RunBlocking(CheckSenderDomain(&resolver, row.domain));
  CHECK(reply.code == row.code);
  CHECK(reply.enhanced == row.enhanced);
  CHECK(resolver.total() == row.questions);
}

}  // namespace
}  // namespace godwit::smtp_ingress
