#!/usr/bin/python3
"""tools/layering sees each kind of breach, and lets pass what is allowed."""

import importlib.machinery
import importlib.util
import os
import unittest

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "layering")
loader = importlib.machinery.SourceFileLoader("layering", PATH)
layering = importlib.util.module_from_spec(importlib.util.spec_from_loader("layering", loader))
loader.exec_module(layering)


def breaches(**files):
    """Judges a tree given as {path: text}."""
    return list(layering.judge_tree(files))


def judge(path, line):
    text = line if path.endswith(".cc") else "#pragma once\n" + line
    return breaches(**{path: text})


class LayeringTest(unittest.TestCase):
    def refused(self, path, line, words):
        found = judge(path, line)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])
        self.assertTrue(found[0].startswith(path + ":"))

    def allowed(self, path, line):
        self.assertEqual(judge(path, line), [])

    def test_includes_go_downwards(self):
        self.allowed("libs/net/stream.cc", '#include "libs/base/status.h"')
        self.allowed("libs/store/mailboxes.cc", '#include "libs/db/pool.h"')
        self.allowed("services/acme/server.cc", '#include "libs/runtime/service_main.h"')
        self.refused("libs/base/status.cc", '#include "libs/mime/structure.h"', "(layer 0)")
        self.refused("libs/mime/structure.cc", '#include "libs/net/stream.h"', "(layer 2)")
        self.refused("libs/net/stream.cc", '#include "libs/store/accounts.h"', "(layer 3)")

    def test_sideways_only_along_listed_edges(self):
        self.allowed("libs/imap/fetch.cc", '#include "libs/mime/structure.h"')
        self.refused("libs/mime/structure.cc", '#include "libs/imap/fetch.h"', "no listed edge")
        self.refused("libs/store/accounts.cc", '#include "libs/runtime/config.h"', "no listed edge")

    def test_services_meet_in_proto_only(self):
        self.allowed("services/acme/server.cc", '#include "services/acme/session.h"')
        self.allowed("services/acme/rpc_service.cc", '#include "proto/godwit/acme/v1/acme.grpc.pb.h"')
        self.refused("services/acme/server.cc", '#include "services/submission/session.h"', "proto/")
        self.refused("libs/store/accounts.cc", '#include "services/acme/server.h"', "a library includes")

    def test_testing_is_for_tests(self):
        self.allowed("libs/mime/structure_test.cc", '#include "libs/testing/split.h"')
        self.allowed("tests/e2e/mail_in.cc", '#include "libs/testing/split.h"')
        self.allowed("libs/store/store_fixture.h", '#include "libs/testing/scratch_database.h"')
        self.refused("libs/mime/structure.cc", '#include "libs/testing/split.h"', "only tests")
        self.refused("libs/store/accounts.cc", '#include "libs/store/store_fixture.h"', "a fixture")
        self.refused("services/acme/server.cc", '#include "libs/testing/split.h"', "only tests")

    def test_protocol_code_has_no_io(self):
        self.refused("libs/smtp/machine.cc", "#include <sys/socket.h>", "protocol code sees no socket")
        self.refused("libs/smtp/machine.h", "#include <thread>", "protocol code sees no socket")
        self.refused("libs/smtp/machine.h", '#include "absl/time/clock.h"', "protocol code sees no socket")
        self.allowed("libs/smtp/machine_test.cc", "#include <fstream>")
        self.allowed("libs/smtp/machine.cc", '#include "absl/time/time.h"')
        self.allowed("libs/net/stream.cc", "#include <sys/socket.h>")

    def test_third_parties_stay_where_they_belong(self):
        self.allowed("libs/net/stream.cc", "#include <boost/asio/ip/tcp.hpp>")
        self.refused("libs/net/stream.h", "#include <boost/asio/ip/tcp.hpp>", "Asio appears in .cc")
        self.refused("libs/store/a.cc", "#include <pqxx/connection>", "libs/db only")
        self.refused("libs/mime/a.cc", '#include "proto/godwit/hint/v1/hint.pb.h"', "protobuf appears")
        self.refused("libs/db/a.cc", "#include <grpcpp/grpcpp.h>", "gRPC appears")
        self.refused("libs/net/a.cc", '#include "absl/synchronization/mutex.h"', "std::mutex")
        self.allowed("libs/rpc/channel.h", "#include <grpcpp/grpcpp.h>")
        self.refused("libs/obs/log.cc", '#include "status.h"', "from the root")

    def test_beast_is_in_one_file(self):
        beast = "#include <boost/beast/http/parser.hpp>"
        self.allowed("libs/net/http.cc", beast)
        found = breaches(**{"libs/net/http.cc": beast, "libs/net/http_client.cc": beast})
        self.assertEqual(len(found), 1, found)
        self.assertIn("belongs into one file", found[0])

    def test_headers_with_pqxx_stay_inside(self):
        session = {"libs/db/session.h": "#pragma once\n#include <pqxx/connection>",
                   "libs/db/pool.h": '#pragma once\n#include "libs/db/session.h"'}
        self.assertEqual(breaches(**session), [])
        found = breaches(**session, **{"libs/store/a.cc": '#include "libs/db/pool.h"'})
        self.assertEqual(len(found), 1, found)
        self.assertIn("brings PostgreSQL's headers", found[0])

    def test_sql_stands_in_the_store(self):
        statement = 'auto q = "SELECT uid FROM mailbox_entries WHERE account_id = $1";'
        self.allowed("libs/store/entries.cc", statement)
        self.refused("services/imap-gateway/session.cc", statement, "SQL stands in libs/store")
        self.refused("libs/net/a.cc", 'auto q = "INSERT INTO t VALUES (1)";', "SQL stands in libs/store")
        self.allowed("libs/imap/command.cc", 'Reply("OK SELECT completed");')

    def test_headers_are_included_once(self):
        found = breaches(**{"libs/net/a.h": "int x;"})
        self.assertEqual(len(found), 1, found)
        self.assertIn("#pragma once", found[0])


if __name__ == "__main__":
    unittest.main()
