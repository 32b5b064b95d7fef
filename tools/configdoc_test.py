#!/usr/bin/python3
"""tools/configdoc reads what our configurations and metrics are written in, and sees what is missing."""

import importlib.machinery
import importlib.util
import os
import unittest

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "configdoc")
loader = importlib.machinery.SourceFileLoader("configdoc", PATH)
configdoc = importlib.util.module_from_spec(importlib.util.spec_from_loader("configdoc", loader))
loader.exec_module(configdoc)

COMMON = configdoc.parse_proto("""
// What the file is about; no comment of a type.
syntax = "proto3";

package godwit.config.v1;

import "godwit/config/v1/options.proto";

// Another daemon.
message Client {
  // Where it is.
  string target = 1 [(rules) = {unit: UNIT_ENDPOINT required: true env: "TARGET"}];
  // Of one call.
  google.protobuf.Duration deadline = 2 [(rules) = {default: "10s", min: "1s"}];
}
""", "common.proto")

CONFIG = """
package godwit.x;

message Config {
  // Who judges.
  godwit.config.v1.Client judge = 1;
  repeated Listener listeners = 2;  // Where
  OnFail on_fail = 3 [(godwit.config.v1.rules) = {default: "wait_long"}];
}

// In every one of them: | is a bar.
message Listener {
  // Octets, at the
  // most.
  uint64 size = 1
      [(godwit.config.v1.rules) = {unit: UNIT_BYTES default: "1MiB" max: "1GiB"}];
  repeated string names = 2;  // of peers
  bool fast = 3;              // or slow
}

// What then.
enum OnFail {
  ON_FAIL_UNSPECIFIED = 0;
  ON_FAIL_WAIT_LONG = 1;  // 451.
  ON_FAIL_STOP = 2;
}
"""


def rows(config):
    """The table without its head, by path."""
    lines = configdoc.settings_table(config, "config.proto", COMMON).splitlines()[2:]
    cells = [line.replace("\\|", "\0").strip("| ").split("|") for line in lines]
    return {row[0].strip().strip("`"): [cell.strip().replace("\0", "|") for cell in row[1:]] for row in cells}


class Settings(unittest.TestCase):
    def refused(self, config, words):
        with self.assertRaises(configdoc.Fault) as caught:
            rows(config)
        self.assertIn(words, str(caught.exception))

    def test_sections_of_this_file_and_of_the_common_one_are_expanded(self):
        self.assertEqual(list(rows(CONFIG)), [
            "judge", "judge.target", "judge.deadline",
            "listeners", "listeners[].size", "listeners[].names", "listeners[].fast", "on_fail"])

    def test_a_field_says_all_it_has(self):
        got = rows(CONFIG)
        self.assertEqual(got["judge"], ["section", "", "", "Who judges."])
        self.assertEqual(got["judge.target"], ["HOST:PORT", "required, or `$TARGET`", "", "Where it is."])
        self.assertEqual(got["judge.deadline"], ["duration", "`10s`", "from `1s`", "Of one call."])
        self.assertEqual(got["listeners[].size"], ["size", "`1MiB`", "up to `1GiB`", "Octets, at the most."])
        self.assertEqual(got["listeners[].names"], ["text, list", "none", "", "of peers"])
        self.assertEqual(got["listeners[].fast"], ["yes or no", "`false`", "", "or slow"])

    def test_the_comment_of_the_type_stands_in(self):
        self.assertEqual(rows(CONFIG)["listeners"][-1], "Where")
        silent = CONFIG.replace("listeners = 2;  // Where", "listeners = 2;")
        self.assertEqual(rows(silent)["listeners"][-1], "In every one of them: | is a bar.")
        self.assertEqual(rows(CONFIG)["on_fail"],
                         ["choice", "`wait_long`", "", "What then. One of `wait_long` (451), `stop`."])

    def test_a_field_without_a_word_is_a_fault(self):
        self.refused(CONFIG.replace("  // or slow", ""), "config.proto:18: nothing is said about listeners[].fast")
        # A comment apart from a type or a field is not its own.
        self.refused(CONFIG.replace("// What then.\n", "// What then.\n\n"), "nothing is said about on_fail")

    def test_what_it_does_not_know_is_a_fault(self):
        self.refused(CONFIG.replace("bool fast", "bytes fast"), "does not know the type bytes")
        self.refused(CONFIG.replace("bool fast = 3;", "oneof a { bool fast = 3; }"), '"oneof"')
        self.refused(CONFIG.replace("message Config", "message Other"), "no message Config")


METRICS = """
struct Metrics {
  obs::Gauge sessions{"godwit_x_y_sessions", "Open, or \\"half\\" open."};
  obs::CounterFamily mail{"godwit_x_y_mail_total",
                          "Mail "
                          "by end.",
                          {{"end", {"good", "bad"}}, {"tls", {"yes"}}}};
  obs::Histogram seconds{"godwit_x_y_seconds", "Time.", obs::kSeconds};
};
"""


class Metrics(unittest.TestCase):
    def refused(self, text, words):
        with self.assertRaises(configdoc.Fault) as caught:
            configdoc.metrics_table(text, "metrics.h", "x-y")
        self.assertIn(words, str(caught.exception))

    def test_the_table(self):
        self.assertEqual(configdoc.metrics_table(METRICS, "metrics.h", "x-y").splitlines()[2:], [
            '| `godwit_x_y_sessions` | gauge |  | Open, or "half" open. |',
            "| `godwit_x_y_mail_total` | counter | `end`: good, bad; `tls`: yes | Mail by end. |",
            "| `godwit_x_y_seconds` | histogram |  | Time. |"])

    def test_faults(self):
        self.refused(METRICS.replace("x_y_seconds", "x_seconds"), "metrics.h:8: godwit_x_seconds is not called")
        self.refused(METRICS.replace("_mail_total", "_mail"), "does not end in _total")
        self.refused(METRICS.replace(', "Time."', ""), "what it means")
        self.refused(METRICS.replace('{"yes"}', "kYes"), "written out here")


class Readme(unittest.TestCase):
    OLD = "# x\n\n## Configuration\nYAML.\n\n## Metrics\nFew."

    def put(self, readme, content):
        return configdoc.put(readme, "README.md", "Configuration", "configdoc", content)

    def test_marks_are_set_once_and_what_stands_between_them_is_replaced(self):
        first = self.put(self.OLD, "one")
        self.assertEqual(first, "# x\n\n## Configuration\nYAML.\n\n"
                                "<!-- configdoc begin -->\none\n<!-- configdoc end -->\n\n## Metrics\nFew.")
        self.assertEqual(self.put(first, "two"), first.replace("one", "two"))
        self.assertEqual(self.put(first, "one"), first)

    def test_the_last_section(self):
        new = configdoc.put(self.OLD, "README.md", "Metrics", "metrics", "one")
        self.assertTrue(new.endswith("Few.\n\n<!-- metrics begin -->\none\n<!-- metrics end -->\n"))
        self.assertEqual(configdoc.put(new, "README.md", "Metrics", "metrics", "one"), new)

    def test_a_readme_without_the_section(self):
        with self.assertRaises(configdoc.Fault):
            self.put("# x\n", "one")


if __name__ == "__main__":
    unittest.main()
