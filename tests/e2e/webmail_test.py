"""The web page in a browser, and JMAP by a library that others wrote, against the running suite."""

import base64
import email
import json
import os
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import harness

MODULES = os.path.join(harness.ROOT, "third_party", "web_modules", "node_modules")
PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGPQyF/EoJG/iIGBgYEBAAsoAj1nW5XpAAAAAElFTkSuQmCC")
HTML = """<html><head><script>parent.scripted = 1; top.scripted = 1</script>
<style>@import "http://tracker.sender.test/c.css"; p { color: rgb(23, 97, 122); background: url(http://tracker.sender.test/d.png) }</style></head>
<body onload="top.scripted=2"><p>Visible paragraph</p>
<style><@import;/style><@import;i class=planted>planted</style><img src="cid:%" alt="no encoding">
<img src="cid:picture@sender.test" alt="ours"><img src="http://tracker.sender.test/pixel.png" alt="theirs">
<img src=x onerror="top.scripted=3"><svg onload="top.scripted=4"></svg>
<a href="javascript:top.scripted=5">bad</a> <a href="https://sender.test/">good</a>
<form action="https://sender.test/"><input name=a></form><iframe src="https://sender.test/"></iframe>
<link rel=stylesheet href="http://tracker.sender.test/a.css">
<p style="background-image: url(http://tracker.sender.test/b.png)">styled</p></body></html>"""


def modules():
    """node_modules: of this checkout, or where a test's runfiles have it."""
    beside = os.path.join(os.path.dirname(harness.ROOT), "web_modules", "node_modules")
    return beside if os.path.exists(beside) else MODULES


class Webmail(harness.SuiteCase):
    def url(self):
        return "https://localhost:" + self.suite.told["https"].rsplit(":", 1)[1]

    def deliver_html(self):
        made = harness.message("ann@sender.test", self.alice, subject="Pictures and such")
        made.set_content("The text of it.\n")
        made.add_alternative(HTML, subtype="html")
        made.get_payload()[1].add_related(PICTURE, "image", "png", cid="<picture@sender.test>")
        made.add_attachment("some notes\n", filename="notes.txt")
        self.send("ann@sender.test", [self.alice], made)

    def run_node(self, script, given, deliver):
        """The script's JSON; `deliver` is called when it says so."""
        given = {"url": self.url(), "modules": modules(), "address": self.alice,
                 "password": self.passwords[self.alice], **given}
        script = os.path.join(harness.ROOT, "tests", "e2e", "webmail", script)
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": self.suite.told["ca_file"],
                       "HOME": given.get("shots", tempfile.gettempdir())}
        said = []
        with subprocess.Popen(["node", script, json.dumps(given)], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as node:
            for line in node.stderr:
                said.append(line)
                if line == "deliver\n":
                    deliver()
            out = node.stdout.read()
        self.assertEqual(node.returncode, 0, "".join(said))
        return json.loads(out)

    def wait_for_mail(self, person, subject):
        """The message as `person` has it, when it has come."""
        def find():
            messages = [email.message_from_bytes(raw) for raw in self.inbox(person)]
            return next((each for each in messages if each["Subject"] == subject), None)
        return self.wait_for(find, 30, f"the arrival of {subject!r}")

    def test_browser(self):
        self.deliver_html()
        self.send("ann@sender.test", [self.alice],
                  harness.message("ann@sender.test", self.alice, subject="Plain words", body="One line.\nAnother.\n"))
        shots = os.environ.get("GODWIT_SCREENSHOTS") or tempfile.mkdtemp(prefix="godwit-shots-")
        seen = self.run_node("page.mjs", {
            "shots": shots, "to": self.bob,
            "subjects": {"html": "Pictures and such", "text": "Plain words", "pushed": "By push", "sent": "From the page"},
        }, lambda: self.send("ann@sender.test", [self.alice],
                             harness.message("ann@sender.test", self.alice, subject="By push")))
        # Nothing of the message ran, and nothing was fetched from elsewhere.
        self.assertIsNone(seen["scripted"])
        self.assertEqual(seen["requests"], [])
        for gone in ("<script", "onload", "onerror", "javascript:", "<form", "<iframe", "<link", "tracker.sender.test"):
            self.assertNotIn(gone, seen["html"])
        # What is taken out of a style must not make its end of what stood around it.
        self.assertEqual(seen["planted"], 0)
        self.assertIn("not loaded", seen["note"])
        self.assertIn("noopener", seen["link"])
        self.assertEqual(seen["colour"], "rgb(23, 97, 122)", "its own styles are kept")
        self.assertEqual(seen["picture"], 2, "the picture that came with the message is shown")
        self.assertEqual(seen["download"], ["notes.txt", "some notes\r\n"])
        self.assertEqual(seen["text"].strip(), "One line.\nAnother.")
        self.assertTrue(seen["pushed"] and seen["sent"] and seen["draftsEmpty"])
        self.assertFalse(seen["overflow"])
        self.assertEqual(seen["loggedOut"], 401)
        sent = self.wait_for_mail(self.bob, "From the page")
        self.assertIn("DKIM-Signature", sent)
        self.assertIn("Written in the browser.", sent.get_payload(decode=True).decode())

    def test_library(self):
        self.send("ann@sender.test", [self.alice],
                  harness.message("ann@sender.test", self.alice, subject="For the library", body="Read me.\n"))
        seen = self.run_node("library.mjs", {"to": self.bob, "sent": "From the library"},
                             lambda: self.send("ann@sender.test", [self.alice],
                                               harness.message("ann@sender.test", self.alice, subject="Pushed")))
        self.assertEqual(seen["username"], self.alice)
        self.assertEqual(seen["roles"], ["archive", "drafts", "inbox", "junk", "sent", "trash"])
        self.assertEqual(seen["subjects"][0], "For the library")
        self.assertIn("Read me.", seen["body"])
        self.assertEqual((seen["uploaded"], seen["downloaded"]), (13, "attached text"))
        self.assertIn("s", seen["submission"]["created"] or {}, seen["submission"])
        self.assertTrue(seen["moved"])
        self.assertEqual(seen["pushed"], ["Email"])
        sent = self.wait_for_mail(self.bob, "From the library")
        self.assertEqual([part.get_filename() for part in sent.walk() if part.get_filename()], ["a.txt"])
        self.assertNotIn("Bcc", sent)

    def test_plain_http_sends_to_https(self):
        host = self.suite.told["http"]
        request = urllib.request.Request(f"http://{host}/")
        opener = urllib.request.build_opener(NoRedirect)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            opener.open(request, timeout=10)
        self.assertEqual(caught.exception.code, 301)
        self.assertEqual(caught.exception.headers["Location"], f"https://{self.suite.told['https']}/")
        caught.exception.close()

    def test_well_known(self):
        proof = base64.b64encode(f"{self.alice}:{self.passwords[self.alice]}".encode()).decode()
        request = urllib.request.Request(self.url() + "/.well-known/jmap", headers={"Authorization": "Basic " + proof})
        context = ssl.create_default_context(cafile=self.suite.told["ca_file"])
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            session = json.load(answer)
        self.assertEqual(session["username"], self.alice)
        self.assertTrue(session["apiUrl"].startswith(self.url()))


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


if __name__ == "__main__":
    harness.main()
