#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators are told: the reply to stats, retort status for a person, and its metrics,
which Prometheus' own promtool has to take without a complaint. First of a daemon that is busy and
refuses much, then what a daemon could say that this one does not."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from daemon import DEADLINE, RETORT, TOP, Daemon, environment_of

BUSY = """
workers = 2;
timeouts: { drain = "10min"; };
listeners: (
  { name = "..."; listen = "tcp://127.0.0.1:0"; framing = "line"; transforms = [ "upper" ];
    max_message = 64; },
  { name = "0-few_X"; listen = "unix:a \\"b\\\\c ü.sock"; max_clients = 1; },
  { name = "datagrams"; listen = [ "udp://127.0.0.1:0", "tcp://127.0.0.1:0" ]; },
  { name = "idle"; listen = "unix:idle.sock"; framing = "raw"; },
  { name = "chat"; service = "chat"; listen = [ "unix:chat.sock", "tcp://127.0.0.1:0" ]; }
);
"""
TALK = """
listeners: (
  { name = "chat"; service = "chat"; listen = "unix:chat.sock"; },
  { name = "guests"; service = "chat"; listen = "tcp://127.0.0.1:0"; },
  { name = "talk"; service = "chat"; dialect = "text"; framing = "line";
    listen = "tcp://127.0.0.1:0"; },
  { name = "echo"; listen = "unix:echo.sock"; }
);
chat: { rate: { messages = 1; burst = 1; }; };
"""
SILENT = 'listeners: ( { name = "echo"; listen = "unix:echo.sock"; } );'


def frame(text):
    return b"%-10d%s" % (len(text), text)


def promtool(*arguments, text=""):
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                          timeout=DEADLINE, check=False)


def parse(text):
    """The values of metrics by name and labels; each must be there once."""
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            if series in values:
                raise AssertionError(f"twice: {series}")
            values[series] = float(value)
    return values


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="retort-status-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.environment = dict(environment_of(directory.name), TZ="UTC")

    def start(self, configuration):
        """Starts a daemon, and waits until it serves."""
        self.daemon = Daemon(self.directory, configuration)
        self.addCleanup(self.daemon.stop)

    def retort(self, *arguments, status=0):
        done = subprocess.run([RETORT, *arguments], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def on_terminal(self, *arguments):
        """What is printed on a terminal."""
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen([RETORT, *arguments], env=self.environment, stdout=theirs,
                                       stdin=subprocess.DEVNULL)
            os.close(theirs)
            text = b""
            while True:
                self.assertTrue(select.select([ours], [], [], DEADLINE)[0], "it prints nothing")
                try:
                    text += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            self.assertEqual(process.wait(DEADLINE), 0)
        finally:
            os.close(ours)
        return text.decode().replace("\r\n", "\n")

    def stats(self):
        text = self.retort("status", "--json")
        self.assertEqual(text.count("\n"), 1)
        return json.loads(text)

    def metrics(self):
        """The metrics, once everybody who reads such things has taken them."""
        text = self.retort("status", "--openmetrics")
        done = promtool("check", "metrics", text=text)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), text)
        self.check_openmetrics(text)
        return parse(text)

    def check_openmetrics(self, text):
        """Prometheus' reader of OpenMetrics; for this use of it every value needs a time."""
        self.assertTrue(text.endswith("\n# EOF\n"))
        file = self.directory / "openmetrics"
        file.write_text("".join(line if line.startswith("#") else line[:-1] + " 1700000000\n"
                                for line in text.splitlines(keepends=True)))
        done = promtool("tsdb", "create-blocks-from", "openmetrics", str(file),
                        str(self.directory / "blocks"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        # What it does not look at: heads stand once, and before their values, which are together.
        heads = re.findall(r"^# (HELP|TYPE) (\S+) ", text, re.M)
        self.assertEqual(len(heads), len(set(heads)))
        groups = [re.sub(r"_(sum|count)$", "", line.split(" ")[0].split("{")[0])
                  for line in text.splitlines() if not line.startswith("#")]
        order = [name for i, name in enumerate(groups) if i == 0 or groups[i - 1] != name]
        self.assertEqual(order, [name for kind, name in heads if kind == "TYPE"])
        for name, unit in re.findall(r"^# UNIT (\S+) (\S+)$", text, re.M):
            self.assertTrue(name.endswith(f"_{unit}"))


class Serving(Case):
    """A daemon whose listeners clients connect to."""

    CONFIGURATION = ""

    def setUp(self):
        super().setUp()
        self.before = int(time.time() * 1000)
        self.start(self.CONFIGURATION)
        self.sockets = []
        self.addCleanup(lambda: [each.close() for each in self.sockets])
        self.listeners = self.named(self.stats())

    @staticmethod
    def named(stats):
        return {listener["name"]: listener for listener in stats["listeners"]}

    def connect(self, name, scheme="tcp"):
        """A connection to a listener, by what stats tells of it."""
        address = next(address for address in self.listeners[name]["addresses"]
                       if address.startswith(scheme + ":"))
        if scheme == "unix":
            client = socket.socket(socket.AF_UNIX)
            where = address.removeprefix("unix:")
        else:
            kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
            client = socket.socket(socket.AF_INET, kind)
            where = ("127.0.0.1", int(address.rpartition(":")[2]))
        client.settimeout(DEADLINE)
        client.connect(where)
        self.sockets.append(client)
        return client

    def wait(self, come_true):
        deadline = time.monotonic() + DEADLINE
        while not come_true(stats := self.stats()):
            self.assertLess(time.monotonic(), deadline, f"never came true: {stats}")
            time.sleep(0.02)
        return stats


class Busy(Serving):
    """A daemon that has much to tell."""

    CONFIGURATION = BUSY

    def ask(self, client, request, answer):
        client.sendall(request)
        received = b""
        while len(received) < len(answer):
            received += client.recv(4096) or self.fail(f"only {received!r}")
        self.assertEqual(received, answer)

    def be_refused(self, client, request):
        client.sendall(request)
        while client.recv(4096):
            pass
        client.close()

    def work(self):
        """Has every listener but one do something, or refuse it."""
        line = self.connect("...")
        self.ask(line, b"one\ntwo\n", b"ONE\nTWO\n")
        self.be_refused(self.connect("..."), b"x" * 65 + b"\n")
        few = self.connect("0-few_X", "unix")
        self.ask(few, frame(b"x"), frame(b"x"))
        for _ in range(2):
            self.be_refused(self.connect("0-few_X", "unix"), b"")
        self.ask(self.connect("datagrams", "udp"), b"x", b"x")
        self.be_refused(self.connect("datagrams"), b"GET / HTTP/1.1\r\n")
        self.retort("say", "lobby", "one", "two", "three")
        # A client has gone when it is counted no more.
        self.wait(lambda stats: [each["clients"] for each in stats["listeners"]] ==
                  [1, 1, 0, 0, 0, 1])

    def test_stats(self):
        self.work()
        stats = self.stats()
        self.assertTrue(self.before <= stats["started"] <= int(time.time() * 1000))
        self.assertLessEqual(stats["uptime"], (time.time() * 1000 - stats["started"]) / 1000 + 1)
        self.assertIsNone(stats["restart"])
        listeners = self.named(stats)
        self.assertEqual(list(listeners),
                         ["...", "0-few_X", "datagrams", "idle", "chat", "(control)"])
        self.assertEqual(
            [re.sub(r":[1-9]\d*$", ":PORT", address).replace(str(self.directory), "")
             for listener in stats["listeners"] for address in listener["addresses"]],
            ["tcp://127.0.0.1:PORT", 'unix:/a "b\\c ü.sock', "udp://127.0.0.1:PORT",
             "tcp://127.0.0.1:PORT", "unix:/idle.sock", "unix:/chat.sock", "tcp://127.0.0.1:PORT",
             "unix:/control.sock"])
        self.assertEqual(
            {name: listener["refused"] for name, listener in listeners.items()},
            {"...": {"messages longer than max_message": 1},
             "0-few_X": {"refused by max_clients": 2}, "datagrams": {"bad frame headers": 1},
             "idle": {}, "chat": {}, "(control)": {}})
        self.assertEqual(sum(listener["messages"] for listener in stats["listeners"]),
                         stats["messages"])
        self.assertEqual((listeners["..."]["bytes_in"], listeners["idle"]["bytes_in"]), (74, 0))
        for name in stats["refused"]:
            self.assertIn(name, stats["reasons"].values())
        self.assertEqual(len(stats["workers"]), 2)
        self.assertEqual(sum(each["datagram_sockets"] for each in stats["workers"]), 1)
        # Those of "..." and "0-few_X", and the one that asks.
        self.assertEqual(sum(each["connections"] for each in stats["workers"]), 3)

    def test_everything_is_documented(self):
        self.work()
        page = (TOP / "man/retort-protocol.7").read_text()
        section = re.search(r"^\.It Cm stats\n(.*?)^\.Ss ", page, re.M | re.S)[1]

        def names_in(value):
            if isinstance(value, list):
                return set().union(*map(names_in, value))
            if not isinstance(value, dict):
                return set()
            return set(value).union(*(names_in(member) for name, member in value.items()
                                      if name not in ("refused", "refused_requests", "reasons")))

        names = names_in(self.stats())
        self.assertLessEqual({"commit_microseconds", "mean", "addresses", "restart"}, names)
        for name in names:
            self.assertRegex(section, rf"(?m)^\.(It )?Va .*\b{name}\b")

    def test_storage(self):
        self.assertEqual(self.stats()["storage"]["last_commit"], None)
        before = int(time.time() * 1000)
        self.retort("say", "lobby", "one", "two", "three")
        first = self.stats()["storage"]
        self.assertEqual((first["messages"], first["failed_commits"]), (3, 0))
        self.assertTrue(1 <= first["commits"] <= 4)
        self.assertTrue(before <= first["last_commit"] <= int(time.time() * 1000))
        self.retort("say", "lobby", "four")
        second = self.stats()["storage"]
        self.assertEqual(second["messages"], 4)
        self.assertGreater(second["commits"], first["commits"])
        self.assertGreaterEqual(second["last_commit"], first["last_commit"])
        took = second["commit_microseconds"]
        self.assertTrue(0 < took["mean"] <= took["max"] < took["total"])
        self.assertEqual(took["mean"], took["total"] // second["commits"])
        for member, file in (("database_bytes", "rooms.db"), ("wal_bytes", "rooms.db-wal")):
            self.assertEqual(second[member], (self.directory / "state" / file).stat().st_size)

    def test_rates(self):
        line = self.connect("...")

        def is_told(stats):
            self.ask(line, b"a\n" * 100, b"A\n" * 100)
            return self.named(stats)["..."]["messages_per_second"] > 0

        stats = self.wait(is_told)
        self.assertGreaterEqual(stats["messages_per_second"],
                                self.named(stats)["..."]["messages_per_second"])
        self.assertEqual(self.named(stats)["idle"]["messages_per_second"], 0)
        self.assertRegex(self.retort("status"), r"(?m)^\.\.\.\ttransform\t1\t\d+\t[1-9]\d*\t")

    def test_for_a_person(self):
        self.work()
        shown = self.on_terminal("status")
        day = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"
        self.assertRegex(shown, rf"\Aretortd \S+, up \d+\w+, since {day}\n")
        self.assertNotIn("restart", shown)
        self.assertRegex(shown, r"\nlog +[1-9]\d* bytes, and [1-9]\d* of write-ahead log; "
                                r"3 messages since the start\n")
        self.assertRegex(shown, r"\ncommits +[1-9]\d*, \d+\.\d ms each, \d+\.\d ms at most, "
                                rf"the last {day}\n")
        self.assertRegex(shown, r"\nLISTENER +SERVICE +CLIENTS +MESSAGES +MSG/S +IN +OUT +REFUSED "
                                r"+ADDRESSES\n")
        self.assertRegex(shown, r"\n0-few_X +transform +1 +1 +0 +11 +\d+ +2 +"
                                r'unix:/\S+/a "b\\c ü\.sock\n')
        self.assertRegex(shown, r"\ndatagrams +transform( +\d+){6} +udp://127\.0\.0\.1:\d+ "
                                r"tcp://127\.0\.0\.1:\d+\n")
        self.assertRegex(shown, r"\nREFUSED BY +TIMES +WHAT\n"
                                r"\.\.\. +1 +messages longer than max_message\n"
                                r"0-few_X +2 +refused by max_clients\n"
                                r"datagrams +1 +bad frame headers\n\n")
        self.assertRegex(shown, r"\nWORKER +CONNECTIONS +DATAGRAM SOCKETS\n1 +\d+ +[01]\n"
                                r"2 +\d+ +[01]\n")

    def test_metrics(self):
        self.work()
        self.retort("ban", "somebody")
        before, told, after = self.stats(), self.metrics(), self.stats()

        def expect(series, of):
            self.assertIn(series, told)
            self.assertTrue(of(before) <= told[series] <= of(after), series)

        version = before["version"]
        self.assertEqual(told[f'retort_build_info{{version="{version}"}}'], 1)
        self.assertEqual(told["retort_start_time_seconds"], before["started"] / 1000)
        self.assertEqual(told['retort_sanctions{kind="ban"}'], 1)
        self.assertEqual(told['retort_sanctions{kind="mute"}'], 0)
        for series, member in (("uptime_seconds", "uptime"), ("clients", "clients"),
                               ("rooms", "rooms"), ("people", "people"),
                               ("messages_total", "messages"),
                               ("received_bytes_total", "bytes_in"),
                               ("sent_bytes_total", "bytes_out"),
                               ("accepted_clients_total", "accepted")):
            expect(f"retort_{series}", lambda stats, member=member: stats[member])
        for series, member in (("database_bytes", "database_bytes"), ("wal_bytes", "wal_bytes"),
                               ("messages_total", "messages"), ("commit_seconds_count", "commits"),
                               ("failed_commits_total", "failed_commits")):
            expect(f"retort_storage_{series}",
                   lambda stats, member=member: stats["storage"][member])
        expect("retort_storage_last_commit_timestamp_seconds",
               lambda stats: stats["storage"]["last_commit"] / 1000)
        for series, member in (("commit_seconds_sum", "total"), ("longest_commit_seconds", "max")):
            expect(f"retort_storage_{series}",
                   lambda stats, member=member:
                   stats["storage"]["commit_microseconds"][member] / 1e6)
        for name in self.named(before):
            for series, member in (("clients", "clients"), ("messages_total", "messages"),
                                   ("received_bytes_total", "bytes_in"),
                                   ("sent_bytes_total", "bytes_out"),
                                   ("accepted_clients_total", "accepted")):
                expect(f'retort_listener_{series}{{listener="{name}"}}',
                       lambda stats, name=name, member=member: self.named(stats)[name][member])
            for reason, words in before["reasons"].items():
                expect(f'retort_listener_refusals_total{{listener="{name}",reason="{reason}"}}',
                       lambda stats, name=name, words=words:
                       self.named(stats)[name]["refused"].get(words, 0))
        self.assertEqual(told['retort_refusals_total{reason="max_clients"}'], 2)
        self.assertIn('retort_listener_info{listener="0-few_X",service="transform",address="unix:'
                      f'{self.directory}/a \\"b\\\\c ü.sock"}}', told)
        self.assertEqual(sum(value for series, value in told.items()
                             if series.startswith("retort_listener_info{")), 8)
        for i, worker in enumerate(before["workers"], 1):
            self.assertEqual(told[f'retort_worker_datagram_sockets{{worker="{i}"}}'],
                             worker["datagram_sockets"])
        self.assertEqual(sum(told[f'retort_worker_connections{{worker="{i}"}}'] for i in (1, 2)), 3)

    def test_listener_that_comes_again(self):
        """A reload removes a listener, and the next one brings it back while the first waits for
        its client to leave."""
        client = self.connect("0-few_X", "unix")
        self.ask(client, frame(b"x"), frame(b"x"))
        config = self.directory / "retortd.conf"
        config.write_text(re.sub(r'(?m)^ .*0-few_X.*\n', "", BUSY))
        self.retort("reload")
        config.write_text(BUSY)
        self.retort("reload")
        names = [listener["name"] for listener in self.stats()["listeners"]]
        self.assertEqual(names.count("0-few_X"), 2)
        self.assertEqual(self.metrics()['retort_listener_messages_total{listener="0-few_X"}'], 1)


class Refusing(Serving):
    """A daemon that refuses requests of those who talk, each with its error."""

    CONFIGURATION = TALK
    REFUSED = {
        "chat": {"no_such_room": 1}, "talk": {"unknown_op": 2, "not_member": 1},
        "guests": {"bad_json": 1, "bad_request": 1, "unknown_op": 1, "bad_name": 1,
                   "not_allowed": 2, "muted": 1, "slow_down": 3, "too_long": 1},
        "(control)": {"no_such_nick": 1, "not_reloaded": 1}}

    def request(self, client, request, error=None):
        """Makes a request as it is, or as JSON; the next reply is ok, or this error."""
        client.sendall(frame(request if isinstance(request, bytes) else
                             json.dumps(request).encode()))
        stream = client.makefile("rb")
        while "ok" not in (reply := json.loads(stream.read(int(stream.read(10))))):
            pass  # an event
        self.assertEqual((reply["ok"], reply.get("error")), (error is None, error), reply)

    def refuse(self):
        guest = self.connect("guests")
        self.request(guest, b"x", "bad_json")
        self.request(guest, {"op": "say"}, "bad_request")
        self.request(guest, {"op": "dance"}, "unknown_op")
        self.request(guest, {"op": "hello", "nick": "a b"}, "bad_name")
        self.request(guest, {"op": "hello", "nick": "anna"})
        self.request(guest, {"op": "join", "room": "lobby"})
        for _ in range(2):
            self.request(guest, {"op": "stats"}, "not_allowed")
        said = {"op": "say", "room": "lobby", "text": "x"}
        # What comes in one piece is said at one moment.
        guest.sendall(4 * frame(json.dumps(said).encode()))
        stream = guest.makefile("rb")
        replies = []
        while len(replies) < 4:
            told = json.loads(stream.read(int(stream.read(10))))
            replies += [told.get("error")] if "ok" in told else []
        self.assertEqual(replies, [None] + 3 * ["slow_down"])
        self.request(guest, {**said, "text": "x" * ((1 << 20) - 512)}, "too_long")
        self.retort("mute", "anna")
        self.request(guest, said, "muted")
        talker = self.connect("talk")
        talker.sendall(b"/dance\n/sing\nhello\n/quit\n")
        while talker.recv(4096):
            pass
        self.assertIn("no_such_room", self.retort("tail", "nowhere", status=1))
        self.assertIn("no_such_nick", self.retort("kick", "nobody", status=1))
        config = self.directory / "retortd.conf"
        config.write_text("nonsense = 1;")
        self.assertIn("not_reloaded", self.retort("reload", status=1))

    def test_refused_requests(self):
        self.refuse()
        told = self.wait(lambda stats: self.named(stats)["talk"]["clients"] == 0)
        listeners = self.named(told)
        self.assertNotIn("refused_requests", listeners["echo"])
        for name, errors in self.REFUSED.items():
            self.assertEqual({error: n for error, n in listeners[name]["refused_requests"].items()
                              if n > 0}, errors, name)
        # All that the protocol knows, whether there were any or not.
        page = (TOP / "man/retort-protocol.7").read_text()
        for error, n in told["refused_requests"].items():
            self.assertRegex(page, rf"(?m)^\.It Cm {error}$")
            self.assertEqual(n, sum(errors.get(error, 0) for errors in self.REFUSED.values()))
        self.assertEqual(listeners["guests"]["refused"], {"messages that were not JSON": 1})

        metrics = self.metrics()
        for error, n in told["refused_requests"].items():
            self.assertEqual(metrics[f'retort_refused_requests_total{{reason="{error}"}}'], n)
            for name, errors in self.REFUSED.items():
                self.assertEqual(metrics["retort_listener_refused_requests_total"
                                         f'{{listener="{name}",reason="{error}"}}'],
                                 errors.get(error, 0))
        self.assertNotIn("retort_listener_refused_requests_total"
                         '{listener="echo",reason="muted"}', metrics)

        shown = re.search(r"\nREQUESTS REFUSED BY +TIMES +ERROR\n(.*?)\n\n",
                          self.on_terminal("status"), re.S)[1]
        self.assertEqual(
            sorted(tuple(line.split()) for line in shown.splitlines()),
            sorted((name, str(n), error) for name, errors in self.REFUSED.items()
                   for error, n in errors.items()))

        self.daemon.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + DEADLINE
        while "(control): summary: requests" not in (log := (self.directory / "log").read_text()):
            self.assertLess(time.monotonic(), deadline, log)
            time.sleep(0.02)
        self.assertIn(" summary: requests refused: bad_json: 1, ", log)
        self.assertIn(" talk: summary: requests refused: unknown_op: 2, not_member: 1\n", log)
        self.assertNotIn(" echo: summary: requests", log)


class Silent(Case):
    """A daemon without chat."""

    def test_no_storage(self):
        self.start(SILENT)
        self.assertIsNone(self.stats()["storage"])
        self.assertNotIn("retort_storage", "".join(self.metrics()))
        self.assertNotRegex(self.retort("status"), r"(?m)^(log|commits)")


class Told(Case):
    """What another daemon says, or one that followed another."""

    def test_options(self):
        self.assertIn("--openmetrics",
                      self.retort("status", "--openmetrics", "--json", status=64))
        for command in "clients", "health", "reload":
            self.retort(command, "--openmetrics", status=64)

    def serve(self, stats, times):
        """Answers so many clients with this."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for _ in range(times):
                    client, _ = self.listener.accept()
                    with client, client.makefile("rb") as stream:
                        request = json.loads(stream.read(int(stream.read(10))))
                        answer = {"id": request.get("id"), "ok": True, **stats}
                        client.sendall(frame(json.dumps(answer).encode()))
                        stream.read()
                status = 0
            finally:
                os._exit(status)
        return pid

    def told(self, stats):
        """What is shown to a person, in a pipe and on a terminal, and as metrics."""
        with socket.socket(socket.AF_UNIX) as self.listener:
            path = self.directory / "control.sock"
            self.listener.bind(str(path))
            self.listener.listen()
            pid = self.serve(stats, 3)
            try:
                answers = (self.retort("status"), self.on_terminal("status"), self.metrics())
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                raise
            finally:
                os.waitpid(pid, 0)
                path.unlink()
        return answers

    def test_restart(self):
        restart = {"at": 1700000000789, "carried": 9000, "lost": 2, "crash": False}
        shown, _, metrics = self.told({"restart": restart})
        self.assertIn("\nrestart   2023-11-14 22:13:20, 9000 clients carried over, 2 lost\n",
                      shown)
        self.assertEqual({name: value for name, value in metrics.items() if "restart" in name},
                         {"retort_restart_timestamp_seconds": 1700000000.789,
                          "retort_restart_carried_clients": 9000,
                          "retort_restart_lost_clients": 2, "retort_restart_after_crash": 0})
        shown, _, metrics = self.told({"restart": {**restart, "carried": 1, "crash": True}})
        self.assertIn("\nrestart   2023-11-14 22:13:20 after a crash, 1 client carried over, "
                      "2 lost\n", shown)
        self.assertEqual(metrics["retort_restart_after_crash"], 1)

    def test_failed_commits(self):
        shown = self.told({"storage": {"commits": 0, "failed_commits": 3, "last_commit": None}})[0]
        self.assertIn("\ncommits   0; 3 failed\n", shown)

    def test_older_daemon(self):
        shown, _, metrics = self.told({
            "version": "0.0.9", "uptime": 61, "clients": 2, "rooms": 1, "messages": 7,
            "bytes_in": 8, "bytes_out": 9, "messages_per_second": 1, "bans": [], "mutes": [],
            "listeners": [{"name": "echo", "service": "transform", "clients": 2, "messages": 7}]})
        self.assertEqual(shown, "retortd 0.0.9, up 1min 1s\nclients   2\nrooms     1\n"
                                "messages  7, 1 a second\nbytes     8 in, 9 out\n\n"
                                "echo\ttransform\t2\t7\t0\t0\t0\t0\t\n")
        self.assertEqual(metrics["retort_messages_total"], 7)
        self.assertNotIn("retort_start_time_seconds", metrics)

    def test_names(self):
        """Names that no configuration can have, one of them twice."""
        odd = 'a"b\\c\nd\x1b[1m\t}é,='
        reasons = {"idle": "closed for idleness", "r\"": "\\"}
        listener = {"name": odd, "service": "chat", "clients": 1, "messages": 2, "bytes_in": 3,
                    "bytes_out": 4, "accepted": 5, "addresses": [],
                    "refused": {"closed for idleness": 6}}
        piped, shown, metrics = self.told({
            "version": "1\x1b]0;x\x07\"", "reasons": reasons, "refused": {"\\": 9},
            "listeners": [listener, {"name": "", "service": ""}, 7, None,
                          {**listener, "addresses": ["unix:\x1b\"", "tcp://*:1"],
                           "refused": {"\\": 8}}], "workers": [None, {"connections": "x"}]})
        for text in piped, shown:
            self.assertNotRegex(text, r"[\x00-\x08\x0b-\x1f\x7f]")
        label = 'a\\"b\\\\c^Jd^[[1m\t}é,='
        self.assertEqual(metrics[f'retort_listener_clients{{listener="{label}"}}'], 2)
        self.assertEqual(metrics[f'retort_listener_received_bytes_total{{listener="{label}"}}'], 6)
        for reason, n in ("idle", 6), ('r\\"', 8):
            self.assertEqual(metrics["retort_listener_refusals_total"
                                     f'{{listener="{label}",reason="{reason}"}}'], n)
        self.assertEqual(metrics['retort_refusals_total{reason="r\\""}'], 9)
        self.assertIn(f'retort_listener_info{{listener="{label}",service="chat",'
                      'address="unix:^[\\""}', metrics)


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
