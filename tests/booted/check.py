#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""retortd at home in systemd: runs in a booted service manager of its own (see run) and drives the
installed service as an administrator does, with systemctl, journalctl and retort."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

DEADLINE = 30  # seconds, for anything
RETORT = ("retort", "--timeout", str(DEADLINE - 5))
CONF = Path("/etc/retort/retortd.conf")
DROP_INS = Path("/run/systemd/system")
SAMPLE = CONF.read_text()
REMEDY = "'systemctl daemon-reload && systemctl restart retortd'"
LISTENING = "2cdee123486f499ab9abd07a935e72da"  # MESSAGE_IDs, as in the catalog
ELSEWHERE = "41cf36bac0b947dba30870aba4b9834d"
CANNOT_LISTEN = "de8f7af1faa64da6821dff069ac44c92"
CONNECTED = "75a00667784d422784296710207bda7f"
GONE = "1d1d92cca5d44864bc187504a4348900"
MALFORMED = "413b6a6b497f4f9cbb262fbbdc5a505d"
CONFIG_PROBLEM = "78e5e6503e8f41238fc8a1f6ff3682f9"
SMALL = """
listeners: (
  {{ name = "a"; listen = [ {a} ]; framing = "line"; {more} }},
  {{ name = "b"; listen = "tcp://localhost:5002"; framing = "line"; }},
  {{ name = "chat"; service = "chat"; listen = "unix:chat.sock"; }}
);
"""


def run(*command, status=0, **options):
    """Runs a command to its end; returns what it prints."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False,
                          **options)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n"
                             f"{done.stdout}")
    return done.stdout


def systemctl(*words, status=0):
    return run("systemctl", "--no-pager", *words, status=status)


def properties(unit, *names):
    """Properties of a unit; of one alone its value."""
    lines = systemctl("show", unit, *(f"--property={name}" for name in names)).splitlines()
    values = dict(line.split("=", 1) for line in lines)
    return values[names[0]] if len(names) == 1 else values


def main_pid():
    return int(properties("retortd", "MainPID"))


def wait_for(condition, what):
    """Returns what condition() does, once that is true."""
    deadline = time.monotonic() + DEADLINE
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {DEADLINE} s\n{journal_text()}")
        time.sleep(0.02)
    return result


def stop(instance=""):
    """Stops a service with its sockets, for which systemctl does not wait."""
    systemctl("stop", f"retortd{instance}")
    wait_stopped(instance)


def wait_stopped(instance=""):
    units = f"retortd{instance}.*", f"retortd-*{instance}.socket"
    wait_for(lambda: "" == systemctl("list-units", "--no-legend", "--state=active,activating,"
                                     "deactivating", *units), f"all of {units} is stopped")


def configure(text):
    """Replaces the configuration at once: a generator may run at any time."""
    file = CONF.with_name("retortd.conf.new")
    file.write_text(text)
    file.replace(CONF)


def journal_text():
    return run("journalctl", "--no-pager", "--output=cat", "--lines=60")


def journal(*matches, unit="retortd"):
    """The entries of a unit, unless the matches say which, since the test began."""
    run("journalctl", "--sync")
    said = run("journalctl", "--no-pager", "--output=json", "--boot",
               *([f"--unit={unit}"] if unit else []), *matches)
    entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [entry for entry in entries if int(entry["__MONOTONIC_TIMESTAMP"]) > Case.began]


def connect(address):
    """A connection to an IP address and port, or to a path."""
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(address)
        return connection
    return socket.create_connection(address, timeout=DEADLINE)


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def answer(address, request, size):
    with connect(address) as connection:
        connection.sendall(request)
        return receive(connection, size)


def refuses(address):
    try:
        connect(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def listening_inode(port):
    """The inode of the socket that listens at a port of 127.0.0.1; None: there is none."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == f"0100007F:{port:04X}" and words[3] == "0A":
            return words[9]
    return None


def small(a='"tcp://localhost:5001"', more=""):
    return SMALL.format(a=a, more=more)


class Case(unittest.TestCase):
    """Each test begins with the sample configuration being served."""

    began = 0  # microseconds of CLOCK_MONOTONIC

    def setUp(self):
        self.mark_journal()

    @staticmethod
    def mark_journal():
        """Has journal() begin here: its times are those at which entries were read."""
        run("journalctl", "--sync")
        Case.began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    def serve(self, text):
        """Has another configuration served, as an administrator does."""
        configure(text)
        systemctl("daemon-reload")
        systemctl("restart", "retortd")

    def tearDown(self):
        for drop_in in DROP_INS.glob("retortd*.d/*"):
            drop_in.unlink()
        stop()
        systemctl("reset-failed")
        configure(SAMPLE)
        systemctl("daemon-reload")
        systemctl("start", "retortd")

    def retort(self, *words, status=0):
        return run(*RETORT, *words, status=status)


class Booted(Case):
    # ---- start, sandbox ----

    def test_00_came_up_at_boot(self):
        """The first of all: nobody has started it but the service manager."""
        self.assertEqual(systemctl("is-enabled", "retortd").strip(), "enabled")
        self.assertEqual(systemctl("is-active", "retortd").strip(), "active")
        self.assertEqual(properties("retortd", "NRestarts"), "0")
        self.assertEqual(self.retort("health"), "healthy\n")
        self.assertIn("5 listeners", properties("retortd", "StatusText"))
        for name in "upper", "reverse", "echo", "chat", "talk":
            self.assertEqual(properties(f"retortd-{name}.socket", "ActiveState"), "active")

    def test_serves_all_kinds_of_sockets(self):
        for host in "127.0.0.1", "::1":
            self.assertEqual(answer((host, 9090), b"hello", 5), b"HELLO")
            self.assertEqual(answer((host, 33333), b"abc\n", 4), b"cba\n")
            self.assertIn(" 0% lost", self.retort("-c", f"udp://[{host}]:7007" if ":" in host else
                                                 f"udp://{host}:7007", "ping", "-n", "3",
                                                 "-i", "0.01"))
        self.assertIn("lobby", self.retort("rooms"))
        self.assertIn("lobby", self.retort("-c", "tcp://localhost:1243", "rooms"))

    def test_dual_stack_low_ports_and_owners(self):
        self.serve("""listeners: (
            { name = "all"; listen = [ "tcp://*:80", "tcp://[::]:81", "udp://*:80" ];
              framing = "line"; },
            { name = "later"; listen = "tcp://192.0.2.1:82"; framing = "line"; },
            { name = "mine"; listen = [ "unix:x/mine%.sock", "unix:@mine" ]; framing = "line";
              mode = "0640"; user = "daemon"; group = "adm"; } );""")
        for host in "127.0.0.1", "::1":
            self.assertEqual(answer((host, 80), b"abc\n", 4), b"abc\n")
        self.assertEqual(answer(("::1", 81), b"abc\n", 4), b"abc\n")
        self.assertTrue(refuses(("127.0.0.1", 81)))
        status = os.stat("/run/retort/x/mine%.sock")
        self.assertEqual((oct(status.st_mode), status.st_uid, status.st_gid),
                         ("0o140640", 1, 4))
        for path in "/run/retort/x/mine%.sock", "\0mine":
            self.assertEqual(answer(path, b"abc\n", 4), b"abc\n")
        # Nobody has this address yet. When somebody has, it is served.
        run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
        self.addCleanup(run, "ip", "address", "del", "192.0.2.1/32", "dev", "lo")
        self.assertEqual(answer(("192.0.2.1", 82), b"abc\n", 4), b"abc\n")

    def test_is_locked_in(self):
        pid = main_pid()
        status = Path(f"/proc/{pid}/status").read_text()
        self.assertRegex(status, r"\nNoNewPrivs:\t1\n")
        self.assertRegex(status, r"\nSeccomp:\t2\n")
        self.assertRegex(status, r"\nCapBnd:\t0+\n")
        self.assertNotRegex(status, r"\nUid:\t0\t")
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/1/ns/net"))
        run("systemd-analyze", "security", "--no-pager", "--threshold=5", "retortd.service")
        self.assertEqual(os.stat("/var/lib/private/retort").st_mode & 0o777, 0o700)

    def test_units_please_systemd(self):
        units = ["retortd.service", "retortd.socket", "retortd-sockets.target",
                 *Path("/run/systemd/generator").glob("retortd*.socket")]
        self.assertEqual(len(units), 8)
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", *units), "")

    def edit(self, unit, text):
        """Answers "systemctl edit" with this text, as an administrator does; until the test ends."""
        editor = Path("/run/editor")
        editor.write_text(f"#!/bin/sh\ncat >\"$1\" <<'END'\n{text}END\n")
        editor.chmod(0o755)
        self.addCleanup(systemctl, "revert", unit)
        terminal, slave = os.openpty()  # it wants one
        try:
            done = subprocess.run(["systemctl", "edit", unit], stdin=slave, stdout=slave,
                                  stderr=slave, timeout=DEADLINE, check=False,
                                  env={**os.environ, "SYSTEMD_EDITOR": str(editor)})
            if done.returncode != 0:
                self.fail(os.read(terminal, 10000).decode())
        finally:
            os.close(terminal)
            os.close(slave)

    def reaches(self, host, port=9090):
        """Whether a packet gets through soon: the kernel drops what an access list is against."""
        try:
            socket.create_connection((host, port), timeout=0.3).close()
        except (TimeoutError, PermissionError):
            return False
        return True

    def test_obeys_an_access_list_of_the_kernel(self):
        with connect(("::1", 9090)) as connection:
            connection.settimeout(0.3)
            self.edit("retortd-upper.socket",
                      "[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.1 192.0.2.0/24\n")
            # At once, and whoever is connected is no exception.
            with self.assertRaises((TimeoutError, PermissionError)):
                connection.sendall(b"hello")
                connection.recv(5)
        self.assertFalse(self.reaches("::1"))
        self.assertEqual(answer(("127.0.0.1", 9090), b"hello", 5), b"HELLO")
        # It is this listener's alone.
        wait_for(lambda: self.reaches("::1", 33333), "another one is reached")
        # It stays with the listener.
        systemctl("restart", "retortd")
        self.assertFalse(self.reaches("::1"))
        stop()
        systemctl("start", "retortd")
        self.assertFalse(self.reaches("::1"))
        systemctl("revert", "retortd-upper.socket")
        systemctl("daemon-reload")
        wait_for(lambda: self.reaches("::1"), "it is open to all again")

    def test_obeys_an_access_list_for_all_listeners(self):
        drop_in = DROP_INS / "retortd-.socket.d/access.conf"
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text("[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.1\n")
        stop()
        self.serve('listeners: ( { name = "a"; listen = [ "tcp://*:5001", "tcp://[::]:5002" ]; } );')
        wait_for(lambda: self.reaches("127.0.0.1", 5001), "it is reached")
        for port in 5001, 5002:
            self.assertFalse(self.reaches("::1", port))

    # ---- chat ----

    def test_knows_the_units_of_peers(self):
        run("systemd-run", "--quiet", "--wait", "--unit=deploy", "-p", "DynamicUser=yes",
            "retort", "say", "lobby", "a new version")
        said = json.loads(self.retort("--json", "tail", "lobby", "-n", "1"))
        self.assertEqual((said["text"], said["unit"]), ("a new version", "deploy.service"))
        run("systemd-run", "--quiet", "--unit=watcher", "retort", "tail", "lobby", "-f")
        self.addCleanup(systemctl, "stop", "watcher")
        wait_for(lambda: '"watcher.service"' in self.retort("--json", "who", "lobby"),
                 "the watcher is in the room")
        self.assertEqual(self.retort("who", "lobby").split()[0], "root")

    def test_lets_root_and_nobody_else_administrate(self):
        self.assertIn("retortd", self.retort("status"))
        for command in "status", "reload", "clients":
            said = run("setpriv", "--reuid=1", "--regid=1", "--clear-groups", "retort", command,
                       status=77)
            self.assertIn("not_allowed", said)

    # ---- reload ----

    def test_reloads(self):
        self.serve(small())
        with connect(("127.0.0.1", 5001)) as connection:
            configure(small(more='greeting = "hi"; transforms = [ "upper" ];'))
            systemctl("reload", "retortd")
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"ABC\n")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 7), b"hi\nABC\n")
        self.assertEqual(self.retort("reload"), "the configuration is in effect\n")

    def test_refuses_a_wrong_configuration(self):
        self.serve(small())
        pid = main_pid()
        with connect(("127.0.0.1", 5001)) as connection:
            configure(small() + "\n\nnonsense = 1;\nworkers = -1;\n")
            self.mark_journal()
            line = len(CONF.read_text().splitlines()) - 1
            self.assertIn("Job for retortd.service failed", systemctl("reload", "retortd",
                                                                      status=1))
            said = [entry["MESSAGE"] for entry in journal(f"MESSAGE_ID={CONFIG_PROBLEM}")]
            self.assertEqual(len(said), 2)
            self.assertTrue(said[0].startswith(f"{CONF}:{line}: "), said)
            # Whoever asks is told as well.
            told = self.retort("reload", status=1)
            self.assertIn(f"not_reloaded: {CONF}:{line}: ", told)
            self.assertIn("and more", told)
            self.assertIn(f"{CONF}:{line}: ", systemctl("status", "--full", "retortd"))
            # The old one goes on being served.
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"abc\n")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")
        self.assertEqual((main_pid(), self.retort("health")), (pid, "healthy\n"))

    def test_says_what_takes_the_service_manager(self):
        self.serve(small())
        for text, why in (
                (small('"tcp://localhost:5003"'), f'{CONF}:3: listen, mode, user or group of '
                                                  'listener "a" has changed'),
                (small().replace('"b"', '"c"'), f'{CONF}:4: listener "c" is new'),
                (re.sub(r"  { name = \"b\".*\n", "", small()), f'{CONF}: listener "b" is gone')):
            configure(text)
            told = self.retort("reload", status=1)
            self.assertIn(why, told)
            self.assertIn(REMEDY, told)
            systemctl("reload", "retortd", status=1)
            self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")

    def test_does_it_with_two_commands(self):
        self.serve(small())
        b, chat = listening_inode(5002), os.stat("/run/retort/chat.sock").st_ino
        # An address is another, one is new, and a listener is gone.
        self.serve(small('"tcp://localhost:5003", "unix:a.sock"'))
        self.assertTrue(refuses(("127.0.0.1", 5001)))
        self.assertEqual(answer(("127.0.0.1", 5003), b"abc\n", 4), b"abc\n")
        self.assertEqual(answer("/run/retort/a.sock", b"abc\n", 4), b"abc\n")
        # Permissions are others.
        self.serve(small('"tcp://localhost:5003", "unix:a.sock"', 'mode = "0600";'))
        self.assertEqual(os.stat("/run/retort/a.sock").st_mode & 0o777, 0o600)
        self.assertEqual(answer("/run/retort/a.sock", b"abc\n", 4), b"abc\n")
        # Nobody was refused by the others meanwhile: they have never been closed.
        self.assertEqual((listening_inode(5002), os.stat("/run/retort/chat.sock").st_ino),
                         (b, chat))
        # A wildcard takes IPv4 as well, or does no longer, or again.
        for host, takes in ("*", True), ("[::]", False), ("*", True):
            self.serve(small(f'"tcp://{host}:5004"'))
            self.assertEqual(answer(("::1", 5004), b"abc\n", 4), b"abc\n")
            self.assertEqual(refuses(("127.0.0.1", 5004)), not takes)
            self.assertEqual(listening_inode(5002), b)
        self.serve('listeners: ( { name = "b"; listen = "tcp://localhost:5002"; } );')
        self.assertEqual(listening_inode(5002), b)
        self.assertTrue(refuses(("127.0.0.1", 5003)))
        self.assertEqual(self.retort("health"), "healthy\n")

    def test_keeps_its_sockets_when_the_file_is_wrong(self):
        """Another package's daemon-reload must not cost this one its sockets."""
        self.serve(small())
        inode = listening_inode(5001)
        for text in "listeners: (", small() + "nonsense = 1;", small("17"):
            configure(text)
            systemctl("daemon-reload")
            self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")
        configure(small())
        systemctl("restart", "retortd")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")
        self.assertEqual(listening_inode(5001), inode)

    def test_keeps_nobody_waiting_for_a_group(self):
        """Whoever knows it may have to ask the service manager, which waits for the generator."""
        listener = '{ name = "file"; listen = "unix:file.sock"; framing = "line"; group = "GROUP"; }, '
        text = small().replace("listeners: (", "listeners: (" + listener)
        self.serve(text.replace("GROUP", "daemon"))
        inode = listening_inode(5001)
        CONF.write_text(text.replace("GROUP", "nobody-knows-it"))
        systemctl("daemon-reload")
        self.assertIn('group "nobody-knows-it" does not exist', self.retort("reload", status=1))
        CONF.write_text(text.replace("GROUP", "daemon"))
        systemctl("daemon-reload")
        systemctl("restart", "retortd")
        self.assertEqual(answer("/run/retort/file.sock", b"abc\n", 4), b"abc\n")
        self.assertEqual(listening_inode(5001), inode)

    def test_says_where_to_look_when_a_port_is_taken(self):
        with socket.create_server(("127.0.0.1", 5001)):
            CONF.write_text(small())
            systemctl("daemon-reload")
            systemctl("restart", "retortd", status=1)
            said = [entry["MESSAGE"] for entry in journal(f"MESSAGE_ID={CANNOT_LISTEN}")]
            self.assertTrue(said[0].startswith("a: the service manager has not opened tcp://"
                                               "127.0.0.1:5001: 'systemctl status "
                                               "retortd-a.socket' says why"), said)
            self.assertIn("Address already in use",
                          systemctl("status", "retortd-a.socket", status=None))
        stop()
        systemctl("reset-failed")
        systemctl("start", "retortd")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")

    def test_says_when_the_manager_was_not_told(self):
        """Whoever restarts it after an edit, and nothing else, is not to think that all is well."""
        self.serve(small())
        systemctl("daemon-reload")  # else the one that follows such a restart may come late
        wait_for(lambda: "retortd-settle" not in systemctl("list-jobs") and
                 properties("retortd-settle.service", "ActiveState") == "inactive",
                 "all is settled")
        CONF.write_text(small('"tcp://localhost:5003"'))
        systemctl("restart", "retortd")
        said = [entry["MESSAGE"] for entry in journal(f"MESSAGE_ID={ELSEWHERE}")]
        self.assertEqual(said, ["a: the service manager has opened sockets for it, but not at "
                                f"tcp://localhost:5003: {REMEDY} does it"])
        self.assertTrue(refuses(("127.0.0.1", 5003)))
        self.mark_journal()
        self.serve(small('"tcp://localhost:5003", "tcp://*:5004", "tcp://[::]:5005", '
                         '"udp://*:5004", "unix:a.sock", "unix:@a", "unix:/run/retort/b.sock"'))
        self.assertEqual(answer(("127.0.0.1", 5003), b"abc\n", 4), b"abc\n")
        self.assertEqual(journal(f"MESSAGE_ID={ELSEWHERE}"), [])

    def test_minds_going_back_and_forth(self):
        """Between the two commands there may be any number of the first."""
        self.serve(small())
        for a in "tcp://localhost:5003", "tcp://localhost:5001":
            configure(small(f'"{a}"'))
            systemctl("daemon-reload")
        systemctl("restart", "retortd")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")
        # A listener goes, and comes again, with the service stopped meanwhile.
        self.serve(small().replace('"a"', '"c"'))
        stop()
        configure(small())
        systemctl("daemon-reload")
        systemctl("start", "retortd")
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")

    # ---- restart, crash, stop ----

    def test_restarts_without_closing_a_socket(self):
        inode = listening_inode(9090)
        self.retort("say", "lobby", "before the restart")
        pid = main_pid()
        systemctl("restart", "retortd")
        self.assertNotEqual(main_pid(), pid)
        self.assertEqual(listening_inode(9090), inode)
        self.assertEqual(answer(("127.0.0.1", 9090), b"hello", 5), b"HELLO")
        self.assertIn("before the restart", self.retort("tail", "lobby", "-n", "1"))

    def test_comes_back_after_a_crash(self):
        inode = listening_inode(9090)
        self.retort("say", "lobby", "before the crash")
        pid = main_pid()
        systemctl("kill", "--signal=KILL", "retortd")
        wait_for(lambda: main_pid() not in (0, pid), "the next process")
        # Whoever comes meanwhile waits, and is served.
        self.assertEqual(answer(("127.0.0.1", 9090), b"hello", 5), b"HELLO")
        self.assertEqual(listening_inode(9090), inode)
        self.assertIn("before the crash", self.retort("tail", "lobby", "-n", "1"))

    def test_stops_with_its_sockets(self):
        with connect(("127.0.0.1", 33333)) as connection:
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"cba\n")
            command = subprocess.Popen(["systemctl", "stop", "retortd"])
            self.addCleanup(command.wait, DEADLINE)
            self.assertEqual(receive(connection, 100), b"error: shutting down\n")
        self.assertEqual(command.wait(DEADLINE), 0)
        wait_stopped()
        for address in ("127.0.0.1", 33333), "/run/retort/chat.sock":
            self.assertTrue(refuses(address))
        for unit in "retortd", "retortd.socket", "retortd-chat.socket":
            self.assertEqual(properties(unit, "ActiveState", "Result"),
                             {"ActiveState": "inactive", "Result": "success"})

    def test_does_not_try_again_what_cannot_work(self):
        configure(small() + "nonsense = 1;\n")
        systemctl("daemon-reload")

        def problems():
            self.mark_journal()
            systemctl("restart", "retortd", status=1)
            self.assertEqual(properties("retortd", "ExecMainStatus", "NRestarts", "ActiveState"),
                             {"ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"})
            return journal(f"MESSAGE_ID={CONFIG_PROBLEM}")

        # The daemon waits for the journal to see of which unit it is, but not for ever.
        said = wait_for(problems, "the journal has the reason")
        self.assertTrue(said[0]["MESSAGE"].startswith(f"{CONF}:7: "))
        # Repaired, it starts without further ado.
        self.serve(small())
        self.assertEqual(answer(("127.0.0.1", 5001), b"abc\n", 4), b"abc\n")

    # ---- journal ----

    def test_tells_the_journal(self):
        self.serve(small())
        entries = [entry for entry in journal(f"MESSAGE_ID={LISTENING}")
                   if entry["RETORT_LISTENER"] == "chat"]
        self.assertEqual(len(entries), 1)
        self.assertEqual((entries[0]["PRIORITY"], entries[0]["_SYSTEMD_UNIT"]),
                         ("6", "retortd.service"))
        self.assertIn("unix:/run/retort/chat.sock", entries[0]["MESSAGE"])
        with connect("/run/retort/chat.sock") as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while connection.recv(1000):
                pass
        wait_for(lambda: journal(f"MESSAGE_ID={MALFORMED}"), "the entry")
        entry = journal(f"MESSAGE_ID={MALFORMED}")[0]
        self.assertEqual((entry["RETORT_LISTENER"], entry["PRIORITY"]), ("chat", "5"))
        self.assertEqual(entry["RETORT_PEER"], f"unix:pid={os.getpid()}")

    def test_tells_the_story_of_a_connection(self):
        drop_in = DROP_INS / "retortd.service.d/verbose.conf"
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/sbin/retortd --verbose\n")
        self.serve(SAMPLE)
        with connect(("127.0.0.1", 33333)) as connection:
            connection.sendall(b"a secret\n")
            self.assertEqual(receive(connection, 9), b"terces a\n")
        wait_for(lambda: journal(f"MESSAGE_ID={GONE}"), "the entry")
        client = journal(f"MESSAGE_ID={GONE}")[0]["RETORT_CLIENT"]
        story = journal(f"RETORT_CLIENT={client}")
        self.assertEqual([entry["MESSAGE_ID"] for entry in story], [CONNECTED, GONE])
        self.assertEqual({entry["RETORT_LISTENER"] for entry in story}, {"reverse"})
        self.assertEqual((story[1]["RETORT_BYTES_IN"], story[1]["RETORT_BYTES_OUT"],
                          story[1]["RETORT_MESSAGES"]), ("9", "9", "1"))
        self.assertNotIn("secret", json.dumps(journal()))

    def test_explains_itself(self):
        run("journalctl", "--update-catalog")
        said = run("journalctl", "--no-pager", "--catalog", f"MESSAGE_ID={LISTENING}",
                   "--lines=1")
        self.assertRegex(said, r"Subject: Listener .* listens\n")
        self.assertIn("Documentation: man:retortd(8)", said)


def main(*cases):
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite(test for case in cases for test in load(case))
    wanted = sys.argv[1:]
    if wanted:
        suite = unittest.TestSuite(test for test in suite
                                   if any(word in test.id() for word in wanted))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len({test.id() for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - bad} passed, {bad} failed")
    return 1 if bad or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main(Booted))
