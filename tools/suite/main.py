"""tools/localserve: the whole suite on one machine. See tools/README.md."""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
import traceback

import accounts
import configs
import pki
import ports as port_table
import zone
from cluster import Cluster
from errors import SuiteError
from supervisor import Daemon, stop_all

HOST = "127.0.0.1"


def load_settings(path):
    """{daemon: what is changed of its configuration} of --settings."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as source:
            settings = json.load(source)
    except ValueError as error:
        raise SuiteError(f"{path}: {error}") from None
    known = isinstance(settings, dict) and not set(settings) - set(configs.START_ORDER)
    if not known or not all(isinstance(one, dict) for one in settings.values()):
        raise SuiteError(f"{path}: an object with settings of {', '.join(configs.START_ORDER)} is expected.")
    return settings


class Suite:
    """One suite in one folder: everything it needs is made where it is not there yet."""

    def __init__(self, root, options):
        self.root = root  # of the source tree
        self.dir = os.path.abspath(options.dir)
        self.options = options
        self.settings = load_settings(options.settings)
        self.cluster = None
        self.unbound = None
        self.daemons = []
        self.lock = None
        self.stopping = False

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # Start

    def start(self):
        for name in ("", "logs", "config", "secrets", "dns"):
            os.makedirs(self.path(name), mode=0o700 if name == "secrets" else 0o755, exist_ok=True)
        self._lock()
        try:
            os.remove(self.path("localserve.json"))  # not ready
        except FileNotFoundError:
            pass
        self.ports = port_table.choose(self.path("ports.json"), self.options.ports)
        port_table.check(self.ports, configs.used_ports(own_dns=self.options.dns is None))
        self.passwords = accounts.load_or_make(self.path("secrets", "accounts.json"))
        self._start_database()
        self._make_certificates()
        self._start_dns()
        self._start_daemons()
        self._write_description()

    def _lock(self):
        lock = open(self.path("lock"), "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise SuiteError(f"A suite is running in {self.dir} already: "
                             f"end it with tools/localserve --stop --dir {self.dir}.")
        self.lock = lock
        self.lock.truncate(0)
        self.lock.write(str(os.getpid()))
        self.lock.flush()

    def _make_certificates(self):
        config = self._write_config("acme", configs.acme(self))
        environment = {"GODWIT_DATABASE": self.conninfo[configs.role("acme")]}
        pki.bootstrap(configs.binary(self.root, "acme"), config, self.path("pki"), environment)
        self._write_config("godwitctl", configs.godwitctl(self))

    def _write_config(self, name, config):
        path = self.path("config", f"{name}.yaml")
        with open(path, "w") as out:
            json.dump(config, out, indent=1)  # JSON is YAML
        return path

    def _start_dns(self):
        if self.options.dns is not None:
            self.dns = self.options.dns
            return
        self.unbound = zone.Unbound(self.root, self.path("dns"), self.ports["dns"])
        self.unbound.start(zone.records(self.dkim_records))
        self.dns = f"{HOST}:{self.ports['dns']}"

    def _start_database(self):
        self.cluster = Cluster(self.dir)
        self.cluster.start()
        passwords = configs.role_passwords(self.path("secrets", "roles.json"))
        if not self.cluster.psql("SELECT 1 FROM pg_database WHERE datname = 'godwit'"):
            self.cluster.psql("CREATE DATABASE godwit TEMPLATE template0 ENCODING 'UTF8'")
        superuser = self.cluster.conninfo("postgres", self.cluster.superuser_password())
        control = accounts.Control(configs.binary(self.root, "godwitctl"), superuser)
        control.run("store", "migrate")
        # What a daemon may do stands in the migrations; how it logs in is the installation's.
        self.cluster.psql("".join(f"ALTER ROLE {role} LOGIN PASSWORD '{password}';\n"
                                  for role, password in passwords.items()), database="godwit")
        self.conninfo = {role: self.cluster.conninfo(role, password) for role, password in passwords.items()}
        accounts.create(control, self.passwords)
        self.dkim_records = accounts.dkim_records(control)

    def _start_daemons(self):
        for name in configs.START_ORDER:
            config = self._write_config(name, configs.changed(configs.MAKERS[name](self), self.settings.get(name, {})))
            command = [configs.binary(self.root, name), "--config", config]
            environment = {"GODWIT_DATABASE": self.conninfo.get(configs.role(name), "")}
            daemon = Daemon(name, command, self.path("logs", f"{name}.log"), self.metrics(name), environment)
            self.daemons.append(daemon)
            daemon.start()
        for daemon in self.daemons:
            daemon.wait_ready()

    @property
    def hostname(self):
        return zone.HOST

    def public(self, name):
        return f"{HOST}:{self.ports[name]}"

    def metrics(self, name):
        return f"{HOST}:{self.ports['metrics/' + name]}"

    def grpc(self, name):
        return f"{HOST}:{self.ports['grpc/' + name]}"

    # What is told to people and programs

    def description(self):
        names = [daemon.name for daemon in self.daemons]
        served = [name for name in port_table.PUBLIC if configs.SERVED_BY[name] in names]
        return {
            "domain": zone.DOMAIN,
            "accounts": self.passwords["accounts"],
            "admin": self.passwords["admin"],
            "ca_file": pki.ca_file(self.path("pki")),
            **{name: self.public(name) for name in served},
            "metrics": {name: self.metrics(name) for name in names},
            "grpc": {name: self.grpc(name) for name in names},
            "godwitctl": self.path("config", "godwitctl.yaml"),
            "dns": self.dns,
            "dkim": self.dkim_records,
            "postgres": self.conninfo["godwit_reader"],
            "pids": {daemon.name: daemon.process.pid for daemon in self.daemons},
            "postgres_pid": self.cluster.process.pid,
        }

    def _write_description(self):
        path = self.path("localserve.json")
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(self.description(), out, indent=1)
        os.rename(path + ".new", path)

    def table(self):
        told = self.description()
        rows = [(name, told[name], configs.MEANING[name]) for name in port_table.PUBLIC if name in told]
        rows += [(f"metrics of {name}", address, "Prometheus text at /metrics")
                 for name, address in told["metrics"].items()]
        rows += [("dns", told["dns"], "the names of " + told["domain"])]
        wide = max(len(row[0]) for row in rows)
        lines = [f"  {name:<{wide}}  {address:<16}  {meaning}" for name, address, meaning in rows]
        if "delivery-queue" in told["grpc"]:
            lines += ["", "  " + self._outbound()]
        lines += ["", "  Log in with one of these addresses and passwords:"]
        lines += [f"  {row['address']:<{wide}}  {row['password']}" for row in told["accounts"]]
        lines += [f"  {told['admin']['address']:<{wide}}  {told['admin']['password']}  (administrator)", "",
                  f"  Certificates are signed by {told['ca_file']}",
                  f"  The daemons answer: GODWITCTL_CONFIG={told['godwitctl']} godwitctl status",
                  f"  All of this for programs: {self.path('localserve.json')}",
                  f"  Logs: {self.path('logs')}"]
        return "\n".join(lines)

    def _outbound(self):
        kind = self.options.outbound
        if kind == "capture":
            return f"Mail for other domains never leaves this machine: it lies in {self.path('capture')}"
        if kind == "direct":
            return "Mail for other domains goes to their servers."
        return f"Mail for other domains goes to {kind.partition('=')[2]}."

    # Life and end

    def watch(self):
        """Until told to stop: restarts what dies, PostgreSQL and the DNS server too."""
        while not self.stopping:
            changed = [daemon for daemon in self.daemons if daemon.restart_if_dead()]
            if not self.cluster.alive() and not self.stopping and self._restart_cluster():
                changed.append(self.cluster)
            if changed:
                self._settle(changed)
                self._write_description()
            time.sleep(0.1)

    def _restart_cluster(self):
        """False when it has to be tried again: processes of the one before may hold its memory yet."""
        try:
            self.cluster.start()
        except SuiteError as error:
            print(f"localserve: {error}", file=sys.stderr, flush=True)
            return False
        return True

    def _revive(self, part):
        try:
            part.restart()
        except SuiteError as error:
            print(f"localserve: {error}", file=sys.stderr, flush=True)
            time.sleep(1)

    @staticmethod
    def _settle(changed):
        for daemon in changed:
            if isinstance(daemon, Daemon):
                try:
                    daemon.wait_ready()
                except SuiteError as error:
                    print(f"localserve: {error}", file=sys.stderr, flush=True)

    def stop(self):
        if self.lock is None:
            return  # what is in the folder belongs to another suite
        try:
            os.remove(self.path("localserve.json"))
        except FileNotFoundError:
            pass
        stop_all(self.daemons)
        for part in (self.unbound, self.cluster):
            if part is not None:
                part.stop()


def run(root, options, ready):
    suite = Suite(root, options)

    def on_signal(_number, _frame):
        suite.stopping = True
        # During the start there is nothing to wait for: unwind now, stop() ends what runs.
        if not suite.daemons or not os.path.exists(suite.path("localserve.json")):
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        suite.start()
        ready(suite.table())
        suite.watch()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        suite.stop()


def detach(root, options):
    """Runs the suite in the background; returns when it is ready, with its table printed."""
    reader, writer = os.pipe()
    if os.fork() > 0:
        os.close(writer)
        with os.fdopen(reader) as source:
            told = source.read()
        if not told.startswith("ready\n"):
            raise SuiteError(told or f"The suite ended; see {options.dir}/localserve.log.")
        print(told[len("ready\n"):])
        return
    os.setsid()
    os.close(reader)
    log = os.open(os.path.join(options.dir, "localserve.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def tell(text):
        nonlocal writer
        if writer is not None:
            os.write(writer, text.encode())
            os.close(writer)
            writer = None

    code = 0
    try:
        run(root, options, lambda table: tell("ready\n" + table))
    except SuiteError as error:
        tell(str(error))
        code = 1
    except Exception as error:  # the process ends here, whatever it was
        traceback.print_exc()
        tell(f"{error}; all of it is in {options.dir}/localserve.log.")
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def stop(directory):
    """Ends the suite that runs in `directory` and waits for its end."""
    path = os.path.join(directory, "lock")
    try:
        lock = open(path)
    except FileNotFoundError:
        raise SuiteError(f"No suite was ever started in {directory}.")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            print(f"No suite is running in {directory}.")
            return
        except OSError:
            os.kill(int(lock.read()), signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_SH)  # until it has let go
    print("Stopped.")


def outbound(text):
    """The value of --outbound, or an error for people."""
    mode, equals, smarthost = text.partition("=")
    host, colon, port = smarthost.rpartition(":")
    good = text in ("capture", "direct") or mode == "smarthost" and host and colon and port.isdigit()
    if not good:
        raise argparse.ArgumentTypeError("it is capture, direct or smarthost=HOST:PORT")
    return text


def main():
    parser = argparse.ArgumentParser(prog="tools/localserve", description="Godwit on one machine.")
    parser.add_argument("--dir", required=True, help="where everything is kept")
    parser.add_argument("--ports", type=int, metavar="BASE", help="use ports BASE, BASE+1, ...; else free ones")
    parser.add_argument("--dns", metavar="HOST:PORT", help="ask this DNS server instead of one of our own")
    parser.add_argument("--outbound", default="capture", metavar="capture|direct|smarthost=HOST:PORT", type=outbound,
                        help="where mail for other domains goes: into DIR/capture (the default), to their "
                        "servers, or to one server")
    parser.add_argument("--outbound-port", type=int, metavar="N", help="of other domains' servers instead of 25, for tests")
    parser.add_argument("--outbound-ca", metavar="FILE", help="trust anchors for them and for MTA-STS")
    parser.add_argument("--mta-sts-port", type=int, metavar="N", help="of web servers with MTA-STS policies, for tests")
    parser.add_argument("--certificate-lifetime", metavar="TIME",
                        help="how long a certificate is good, such as 5m; it is renewed after two thirds")
    parser.add_argument("--settings", metavar="FILE", help="JSON: {daemon: {setting: value}}, changes to their "
                        "configurations; lists are put behind what is there")
    parser.add_argument("--detach", action="store_true", help="return when all is ready")
    parser.add_argument("--stop", action="store_true", help="end the suite in --dir")
    options = parser.parse_args()
    options.dir = os.path.abspath(options.dir)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        if options.stop:
            stop(options.dir)
            return 0
        os.makedirs(options.dir, exist_ok=True)
        if options.detach:
            detach(root, options)
        else:
            run(root, options, lambda table: print(table + "\n\n  Ctrl-C ends it.", flush=True))
        return 0
    except SuiteError as error:
        print(f"localserve: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"localserve: {error.strerror}: {error.filename or options.dir}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
