#include "libs/tlsrpt/record.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/base/status.h"

namespace godwit::tlsrpt {
namespace {

using Uris = std::vector<std::string>;

TEST_CASE("RFC 8460 §3: records that can be used", "[tlsrpt][unit]") {
  struct Row {
    std::string text;
    Uris rua;
  };
  const Row row = GENERATE(values<Row>({
      {"v=TLSRPTv1; rua=mailto:reports@example.com", {"mailto:reports@example.com"}},
      {"v=TLSRPTv1;rua=https://reporting.example.com/v1/tlsrpt",
       {"https://reporting.example.com/v1/tlsrpt"}},
      {"v=TLSRPTv1 \t;\trua=mailto:a@x.example , https://x.example/ ;",
       {"mailto:a@x.example", "https://x.example/"}},
      {"v=TLSRPTv1; x-new_1.a=b; rua=MAILTO:a@x.example; y=", {"MAILTO:a@x.example"}},
      {"v=TLSRPTv1; rua=ftp://x.example/,mailto:a@x.example", {"mailto:a@x.example"}},
  }));
  CAPTURE(row.text);
  const auto record = ParseRecord(row.text);
  REQUIRE(record.ok());
  CHECK(record->rua == row.rua);
}

TEST_CASE("RFC 8460 §3: records that can not, and why", "[tlsrpt][unit]") {
  struct Row {
    std::string text;
    std::string reason;
  };
  const Row row = GENERATE(values<Row>({
      {"", "begin with"},
      {"v=TLSRPTv1", "begin with"},
      {"v=TLSRPTv11; rua=mailto:a@x.example", "begin with"},
      {"V=TLSRPTv1; rua=mailto:a@x.example", "begin with"},
      {" v=TLSRPTv1; rua=mailto:a@x.example", "begin with"},
      {"v=TLSRPTv1;", "no rua="},
      {"v=TLSRPTv1; RUA=mailto:a@x.example", "no rua="},
      {"v=TLSRPTv1; rua=", "no mailto:"},
      {"v=TLSRPTv1; rua=http://x.example/", "no mailto:"},
      {"v=TLSRPTv1; rua=mailto:a b@x.example", "no mailto:"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; rua=mailto:b@x.example", "twice"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; nothing", "no name=value"},
      {"v=TLSRPTv1;; rua=mailto:a@x.example", "no name=value"},
      {"v=TLSRPTv1; -a=b; rua=mailto:a@x.example", "no name=value"},
      {"v=TLSRPTv1; " + std::string(33, 'a') + "=b; rua=mailto:a@x.example", "no name=value"},
  }));
  CAPTURE(row.text);
  const auto record = ParseRecord(row.text);
  REQUIRE(record.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(base::Message(record.status()).find(row.reason) != std::string_view::npos);
}

TEST_CASE("RFC 8460 §3: of several texts exactly one is the record", "[tlsrpt][unit]") {
  const std::string good = "v=TLSRPTv1; rua=mailto:a@x.example";
  CHECK(RecordName("x.example") == "_smtp._tls.x.example");
  CHECK(ChooseRecord({"v=spf1 -all", good, "v=TLSRPTv2; rua=mailto:b@x.example"}).ok());
  CHECK(ChooseRecord({}).status().code() == absl::StatusCode::kNotFound);
  CHECK(ChooseRecord({"v=spf1 -all"}).status().code() == absl::StatusCode::kNotFound);
  CHECK(ChooseRecord({good, good}).status().code() == absl::StatusCode::kInvalidArgument);
  // A broken one is one all the same.
  CHECK(ChooseRecord({good, "v=TLSRPTv1;"}).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("A record asks for ten reports of a day at most", "[tlsrpt][unit]") {
  std::string text = "v=TLSRPTv1; rua=mailto:a@x.example";
  for (int i = 0; i < 100; ++i) text += ",mailto:a@x.example";
  CHECK(ParseRecord(text)->rua.size() == 10);
}

}  // namespace
}  // namespace godwit::tlsrpt
