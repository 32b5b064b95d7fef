// The tlsrpt commands against a database.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "libs/store/admin.h"
#include "libs/store/tls_reports.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

struct Fixture {
  Fixture() : connection(database.Connect()), commands(TlsrptCommands()) {
    REQUIRE(setenv("GODWIT_DATABASE", database.ConnInfo().c_str(), /*overwrite=*/1) == 0);
    const absl::Time now = absl::FromUnixSeconds(1'790'000'000);
    REQUIRE(store::AddDomain(*connection, "xn--bcher-kva.example", now).ok());
    store::ReceivedTlsFailure failure;
    failure.result_type = "certificate-expired";
    failure.sending_ip = "\xc0\x01\x02\x03";
    failure.sessions = 7;
    store::ReceivedTlsPolicy policy;
    policy.domain = "mx.xn--bcher-kva.example";
    policy.type = "tlsa";
    policy.text = {"3 1 1 abcd"};
    policy.successful = 5;
    policy.failed = 7;
    policy.failures = {failure};
    store::ReceivedTlsReport report;
    report.reporter = "x.example";
    report.report_id = "id-1";
    report.begins = now - absl::Hours(24);
    report.ends = report.received = now;
    report.policies = {policy};
    REQUIRE(store::StoreTlsReport(*connection, &report, 10).ok());
  }
  int Run(const std::vector<std::string>& words) { return commands.Run(words); }
  // What it prints.
  std::string Said(const std::vector<std::string>& words) {
    std::fflush(stdout);
    const int before = ::dup(1);
    std::FILE* const file = std::tmpfile();
    REQUIRE((before >= 0 && file != nullptr));
    ::dup2(::fileno(file), 1);
    const int code = commands.Run(words);
    std::fflush(stdout);
    ::dup2(before, 1);
    ::close(before);
    CHECK(code == 0);
    std::fseek(file, 0, SEEK_END);
    std::string said(static_cast<size_t>(std::ftell(file)), '\0');
    std::rewind(file);
    CHECK(std::fread(said.data(), 1, said.size(), file) == said.size());
    std::fclose(file);
    return said;
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  CommandLine commands;
};

TEST_CASE_METHOD(Fixture, "TLS reports that came are listed and shown",
                 "[godwitctl][integration]") {
  CHECK(Said({"tlsrpt", "reports"}).find("x.example") != std::string::npos);
  CHECK(Said({"tlsrpt", "reports", "--domain", "mx.b\xc3\xbc\x63her.example", "--json"})
            .find("\"successful\":5,\"failed\":7") != std::string::npos);
  CHECK(Said({"tlsrpt", "reports", "--domain", "a.example", "--json"}) == "[]\n");
  const std::string shown = Said({"tlsrpt", "show", "1"});
  for (const char* text : {"tlsa of mx.xn--bcher-kva.example: 5 sessions went well, 7 failed",
                           "3 1 1 abcd", "certificate-expired", "192.1.2.3", "id id-1"}) {
    CAPTURE(shown, text);
    CHECK(shown.find(text) != std::string::npos);
  }
  CHECK(Said({"tlsrpt", "show", "1", "--json"}).find("\"sending_ip\":\"192.1.2.3\"") !=
        std::string::npos);
  CHECK(Run({"tlsrpt", "show", "2"}) == 1);
  CHECK(Run({"tlsrpt", "show", "x"}) == 1);
  CHECK(Run({"tlsrpt", "reports", "--domain", ".."}) == 1);
}

}  // namespace
}  // namespace godwit::ctl
