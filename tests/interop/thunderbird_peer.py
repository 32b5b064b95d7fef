"""Thunderbird of Debian in a private root (tools/peers), without a screen, with one IMAP account.

    thunderbird = Thunderbird(ROOT, folder, address, imaps_port)
    thunderbird.start()
    thunderbird.call("trust", ca_certificate)
    thunderbird.call("remember", password)
    thunderbird.call("messages", "INBOX")

`folder` keeps its profile between runs. call() runs a function of thunderbird_peer.js in the program
itself, by Marionette: the calls its own windows make. So no password is in a file of ours, and what
goes over the wire is what Thunderbird sends for a user's click.

It reaches nothing but loopback: for all else it must ask a proxy, at a port where nobody listens.
"""

import base64
import json
import os
import socket
import subprocess
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
PROFILE = "/srv/profile"  # inside the root

# One account as its account wizard would store it; the rest keeps it at home and from asking questions.
PREFERENCES = {
    "mail.accountmanager.accounts": "account1,account2",
    "mail.accountmanager.defaultaccount": "account1",
    "mail.accountmanager.localfoldersserver": "server2",
    "mail.account.account1.server": "server1",
    "mail.account.account1.identities": "id1",
    "mail.account.account2.server": "server2",
    "mail.server.server1.type": "imap",
    "mail.server.server1.hostname": "localhost",
    "mail.server.server1.name": "godwit",
    "mail.server.server1.socketType": 3,            # TLS from the first byte
    "mail.server.server1.authMethod": 3,           # the password itself
    "mail.server.server1.login_at_startup": False,
    "mail.server.server1.check_new_mail": False,    # new mail comes by IDLE or not at all
    "mail.server.server1.use_idle": True,
    "mail.server.server2.type": "none",
    "mail.server.server2.hostname": "Local Folders",
    "mail.server.server2.userName": "nobody",
    "mail.server.server2.name": "Local Folders",
    "mail.identity.id1.fullName": "Ann Example",
    "mail.identity.id1.valid": True,
    "mail.identity.id1.showSaveMsgDlg": False,
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.biff.show_tray_icon": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False,
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "calendar.registerToastNotifications": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "datareporting.healthreport.uploadEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "marionette.port": 0,                       # a free one, see MarionetteActivePort
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.proxy.type": 1,
    "network.proxy.failover_direct": False,
    "network.proxy.allow_bypass": False,
    "network.proxy.socks": "127.0.0.1",
    "network.proxy.socks_port": 1,
    "network.proxy.socks_version": 5,
    "network.proxy.socks_remote_dns": True,
    "network.proxy.no_proxies_on": "localhost,127.0.0.1",
    "network.trr.mode": 5,
    "remote.prefs.recommended": True,
    "security.remote_settings.intermediates.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Failed(Exception):
    """Thunderbird said that it could not do what it was asked for."""


class Marionette:
    """Mozilla's protocol to drive a program: frames LENGTH:JSON over TCP, one answer a command."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=90)
        self.stream = self.socket.makefile("rb")
        self.number = 0
        self._read()  # its greeting

    def _read(self):
        length = b""
        while not length.endswith(b":"):
            octet = self.stream.read(1)
            if not octet:
                raise ConnectionError("Thunderbird closed Marionette's connection")
            length += octet
        return json.loads(self.stream.read(int(length[:-1])))

    def command(self, name, **parameters):
        self.number += 1
        frame = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(frame), frame))
        _, number, error, result = self._read()
        if number != self.number:
            raise ConnectionError(f"Marionette answers {number}, not {self.number}")
        if error:
            raise Failed(f"{name}: {error['error']}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def close(self):
        self.stream.close()
        self.socket.close()


class Thunderbird:
    def __init__(self, root, folder, address, port, preferences=None):
        self.peers = os.path.join(root, "tools", "peers")
        self.profile = os.path.join(folder, "profile")
        self.output = os.path.join(folder, "thunderbird.out")
        os.makedirs(self.profile, exist_ok=True)
        self.process = None
        self.marionette = None
        with open(os.path.join(HERE, "thunderbird_peer.js"), encoding="utf-8") as source:
            self.functions = source.read()
        home = f"imap://{urllib.parse.quote(address, safe='')}@localhost"
        self._write_preferences({"mail.server.server1.userName": address, "mail.server.server1.port": port,
                                 "mail.identity.id1.useremail": address,
                                 "mail.identity.id1.draft_folder": home + "/Drafts",
                                 **(preferences or {})})

    def _write_preferences(self, more):
        """user.js wins over what the program itself keeps in prefs.js."""
        with open(os.path.join(self.profile, "user.js"), "w", encoding="utf-8") as out:
            for name, value in {**PREFERENCES, **more}.items():
                out.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")

    def start(self):
        for leftover in ("MarionetteActivePort", "lock", ".parentlock"):
            path = os.path.join(self.profile, leftover)
            if os.path.lexists(path):
                os.unlink(path)
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [self.peers, "--bind", f"{self.profile}:{PROFILE}", "--run", "thunderbird", "--",
                 "env", "HOME=/tmp", "MOZ_LOG=IMAP:3,timestamp,append", f"MOZ_LOG_FILE={PROFILE}/imap",
                 "MOZ_CRASHREPORTER_DISABLE=1", "/usr/lib/thunderbird/thunderbird", "--headless", "--no-remote",
                 "--profile", PROFILE, "--marionette", "--remote-allow-system-access"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self.marionette = Marionette(self._port())
        self.marionette.command("WebDriver:NewSession", acceptInsecureCerts=False, unhandledPromptBehavior="accept")
        self.marionette.command("Marionette:SetContext", value="chrome")
        self.marionette.command("WebDriver:SetTimeouts", script=60000)

    def _port(self):
        path = os.path.join(self.profile, "MarionetteActivePort")
        deadline = time.monotonic() + 90
        while True:
            try:
                with open(path, encoding="ascii") as source:
                    return int(source.read())
            except (FileNotFoundError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.output, encoding="utf-8", errors="replace") as source:
                    raise AssertionError("Thunderbird did not start: " + source.read()[-2000:])
            time.sleep(0.05)

    def call(self, function, *arguments):
        """What a function of thunderbird_peer.js gives. A question that is open gets a yes before."""
        script = (self.functions + "\nconst done = arguments[arguments.length - 1];\n"
                  f"peer.{function}(...arguments[0]).then(value => done({{ value }}),"
                  " error => done({ error: `${error} ${error.stack || ''}` }));")
        answer = self.marionette.command("WebDriver:ExecuteAsyncScript", script=script, args=[list(arguments)],
                                         sandbox="system", newSandbox=True)["value"]
        if answer is None:
            raise Failed(f"{function}{arguments}: Thunderbird asks a question")
        if "error" in answer:
            raise Failed(f"{function}{arguments}: {answer['error']}")
        return answer.get("value")

    def trust(self, ca_file):
        with open(ca_file, encoding="ascii") as source:
            text = source.read()
        body = text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END CERTIFICATE-----")[0]
        self.call("trust", base64.b64encode(base64.b64decode(body)).decode())

    def imap_log(self):
        """What it said and heard, as it tells it itself."""
        text = ""
        for name in sorted(os.listdir(self.profile)):
            if name.startswith("imap") and "moz_log" in name:
                with open(os.path.join(self.profile, name), encoding="utf-8", errors="replace") as source:
                    text += source.read()
        return text

    def stop(self):
        """Ends as a user's quit does, so that its folders' databases are whole."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None and self.marionette is not None:
                self.marionette.command("Marionette:Quit", flags=["eForceQuit"])
                self.process.wait(30)
        finally:
            if self.marionette is not None:
                self.marionette.close()
                self.marionette = None
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(30)
            self.process = None
