#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of the installed service: start, reload, stop and restart, what ends it and what brings
it back, who administers it, and what outlasts its being installed anew. Runs after check.py."""

import ctypes
import errno
import fcntl
import grp
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import check
from check import (CONF, DROP_INS, SAMPLE, answer, connect, journal, listening_inode, main_pid,
                   properties, receive, run, small, stop, systemctl, wait_for)

LINE = ("127.0.0.1", 5001)  # of small(): an echo, by line
STATE = Path("/var/lib/private/retort")
PRESET = Path("/usr/lib/systemd/system-preset/50-retort.preset")
STOPPING = "9948f99b2dd541fba11aae3b9c12b4f1"
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # __WALL of waitpid(2)


def signals():
    """What the daemon said of the signals that ended it, since the test began."""
    # The journal may not know any more of which unit a process was that is gone.
    return [entry["MESSAGE"] for entry in journal(f"MESSAGE_ID={STOPPING}", unit=None)]


def tree_of(path):
    """All regular files of the package below a directory."""
    return [file for file in Path(path).rglob("retort*") if file.is_file()]


class Deaf:
    """A client that says things and reads nothing, until no more is taken from it: not even when
    the one worker has answered another client after that again and again."""

    def __init__(self, address):
        self.connection, self.other = connect(address), connect(address)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.setblocking(False)
        stuck = 0
        while stuck < 50:
            try:
                self.connection.send(b"x" * 999 + b"\n")
                stuck = 0
            except BlockingIOError:
                self.other.sendall(b"abc\n")
                if receive(self.other, 4) != b"abc\n":
                    raise AssertionError("another client was not answered") from None
                stuck += 1

    def close(self):
        self.connection.close()
        self.other.close()


class Lifecycle(check.Case):
    def drop_in(self, text):
        """Adds to the service's settings, until the test is over."""
        file = DROP_INS / "retortd.service.d/lifecycle.conf"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[Service]\n" + text)
        systemctl("daemon-reload")

    def have_deaf_client(self, drain):
        self.serve("workers = 1;\n" +
                   small(more=f'timeouts: {{ drain = "{drain}"; message = 0; }};'))
        client = Deaf(LINE)
        self.addCleanup(client.close)
        return client

    # ---- what the service manager is told ----

    def test_is_ready_only_when_it_serves(self):
        gate = Path("/run/gate.conf")
        os.mkfifo(gate, 0o644)
        self.addCleanup(gate.unlink)
        stop()
        self.drop_in(f"ExecStart=\nExecStart=/usr/sbin/retortd --config {gate}\n")
        systemctl("start", "--no-block", "retortd")
        with open(gate, "w", encoding="utf-8") as configuration:  # the daemon has opened it
            with connect(("127.0.0.1", 9090)) as connection:
                connection.sendall(b"hello")
                connection.setblocking(False)
                self.assertEqual(properties("retortd", "ActiveState", "SubState"),
                                 {"ActiveState": "activating", "SubState": "start"})
                self.assertRaises(BlockingIOError, connection.recv, 1)
                configuration.write(SAMPLE)
                configuration.close()
                systemctl("start", "retortd")
                # Nothing is waited for: when the command is done, everything is.
                self.assertEqual(self.retort("health"), "healthy\n")
                connection.settimeout(check.DEADLINE)
                self.assertEqual(receive(connection, 5), b"HELLO")

    def test_says_how_it_is(self):
        with connect(("127.0.0.1", 9090)), connect("/run/retort/chat.sock"):
            wait_for(lambda: properties("retortd", "StatusText").startswith("2 clients, 1 rooms, "),
                     "a status with the clients")
        self.assertIn("2 clients, 1 rooms", systemctl("status", "retortd"))

    def test_says_that_it_reloads(self):
        text = CONF.read_text()
        CONF.unlink()
        os.mkfifo(CONF)
        try:
            systemctl("kill", "--signal=HUP", "retortd")
            with open(CONF, "w", encoding="utf-8") as configuration:  # the daemon has opened it
                wait_for(lambda: properties("retortd", "ActiveState") == "reloading", "reloading")
                configuration.write(text)
            wait_for(lambda: properties("retortd", "ActiveState") == "active", "the end of it")
        finally:
            CONF.unlink()
            CONF.write_text(text)

    def test_says_that_it_stops(self):
        client, other = self.have_deaf_client("5min"), Deaf(LINE)
        systemctl("stop", "--no-block", "retortd")
        wait_for(lambda: properties("retortd", "StatusText") == "Stopping, 4 clients", "stopping")
        self.assertEqual(properties("retortd", "ActiveState"), "deactivating")
        # It goes on to say so.
        other.close()
        wait_for(lambda: properties("retortd", "StatusText") == "Stopping, 2 clients", "two are left")
        # It waits for these, and no longer.
        client.close()
        wait_for(lambda: properties("retortd", "ActiveState") == "inactive", "the end")
        self.assertEqual(properties("retortd", "Result"), "success")

    # ---- stop and restart ----

    def test_knows_a_restart_from_a_stop(self):
        for command in "restart", "try-restart", "condrestart":
            pid = main_pid()
            systemctl(command, "retortd")
            self.assertNotEqual(main_pid(), pid)
        self.assertNotIn("signal INT", " ".join(signals()))
        systemctl("stop", "retortd")
        self.assertIn("stopping by signal INT", signals())

    def test_knows_it_in_the_middle_of_a_reload(self):
        self.drop_in("ExecReload=\nExecReload=+/bin/sleep infinity\n")
        for command, signal in ("restart", "TERM"), ("stop", "INT"):
            systemctl("reload", "--no-block", "retortd")
            wait_for(lambda: properties("retortd", "ActiveState") == "reloading", "reloading")
            self.mark_journal()
            systemctl(command, "retortd")
            self.assertEqual("signal INT" in " ".join(signals()), signal == "INT")

    def stop_and_measure(self):
        """Stops the service; returns how many seconds that took."""
        began = time.monotonic()
        systemctl("stop", "retortd")
        took = time.monotonic() - began
        self.assertEqual(properties("retortd", "ActiveState", "Result"),
                         {"ActiveState": "inactive", "Result": "success"})
        return took

    def test_drains_no_longer_than_it_may(self):
        self.have_deaf_client("1s")
        self.assertGreaterEqual(self.stop_and_measure(), 1)

    def test_drains_longer_than_the_service_manager_waits(self):
        self.drop_in("TimeoutStopSec=4s\n")
        self.have_deaf_client("5s")
        self.assertGreaterEqual(self.stop_and_measure(), 5)
        self.assertNotIn("timed out", " ".join(entry["MESSAGE"] for entry in journal()))

    # ---- what is tried again ----

    def hold(self, name):
        """Stops one thread of the daemon; returns the numbers of the process and the thread, or
        None when the process has ended meanwhile."""
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        pid = wait_for(main_pid, "a process")
        try:
            threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
                       if (task / "comm").read_text().strip() == name]
        except (FileNotFoundError, ProcessLookupError):
            return None
        if not threads:
            return None
        for request in PTRACE_SEIZE, PTRACE_INTERRUPT:
            if ptrace(request, threads[0], None, None) != 0:
                self.assertEqual(ctypes.get_errno(), errno.ESRCH)
                return None
        os.waitpid(threads[0], WALL)
        return pid, threads[0]

    def test_is_started_anew_when_a_thread_is_stuck(self):
        self.drop_in("WatchdogSec=2s\n")
        systemctl("restart", "retortd")
        inode = listening_inode(9090)
        for name in "worker", "hub":
            # On a machine that is slow enough it is started anew without us.
            pid, thread = wait_for(lambda name=name: self.hold(name), f"the {name} is held")
            # Its end is told to whoever holds it first.
            wait_for(lambda thread=thread: os.waitpid(thread, WALL | os.WNOHANG) != (0, 0),
                     "its end")
            wait_for(lambda pid=pid: main_pid() not in (0, pid), "the next process")
            self.assertEqual(answer(("127.0.0.1", 9090), b"hello", 5), b"HELLO")
        self.assertEqual(listening_inode(9090), inode)
        run("journalctl", "--sync")
        self.assertIn("Watchdog timeout", run("journalctl", "--output=cat", "--unit=retortd"))

    def test_does_not_try_again_what_stays_wrong(self):
        for words, status in (("--nonsense", "64"), ("--config /nowhere", "78"),
                              ("-l tcp://localhost:80", "77")):
            with self.subTest(status=status):
                self.drop_in(f"ExecStart=\nExecStart=/usr/sbin/retortd {words}\n"
                             "RestrictAddressFamilies=AF_INET AF_INET6\nIPAddressDeny=\n")
                systemctl("restart", "retortd", status=1)
                self.assertEqual(properties("retortd", "ExecMainStatus", "NRestarts",
                                            "ActiveState", "Result"),
                                 {"ExecMainStatus": status, "NRestarts": "0",
                                  "ActiveState": "failed", "Result": "exit-code"})

    def test_tries_again_what_may_get_right(self):
        systemctl("stop", "retortd")
        with open(STATE / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            systemctl("start", "--no-block", "retortd")
            wait_for(lambda: int(properties("retortd", "NRestarts")) >= 2, "further tries")
        wait_for(lambda: properties("retortd", "ActiveState") == "active", "the service")
        self.assertEqual(self.retort("health"), "healthy\n")

    def test_does_not_try_for_ever(self):
        self.assertEqual(properties("retortd", "StartLimitIntervalUSec", "StartLimitBurst"),
                         {"StartLimitIntervalUSec": "30s", "StartLimitBurst": "50"})
        # Where a machine is too slow for so many in that time, it is tried for ever.
        self.drop_in("[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=5\n")
        systemctl("stop", "retortd")
        systemctl("reset-failed", "retortd")
        with open(STATE / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            systemctl("start", "--no-block", "retortd")
            wait_for(lambda: properties("retortd", "ActiveState") == "failed", "the end")
        self.assertEqual(properties("retortd", "ExecMainStatus"), "69")
        self.assertIn("Start request repeated too quickly", check.journal_text())
        systemctl("reset-failed", "retortd")
        systemctl("start", "retortd")
        self.assertEqual(self.retort("health"), "healthy\n")

    # ---- who and what may ----

    def test_knows_its_administrators(self):
        run("systemd-sysusers")
        self.addCleanup(run, "groupdel", "retort-admin")
        number = grp.getgrnam("retort-admin").gr_gid
        nobody = ("setpriv", "--reuid=1", "--regid=1", "--clear-groups", "retort")
        member = ("setpriv", "--reuid=1", "--regid=1", f"--groups={number}", "retort")
        systemctl("restart", "retortd")
        for command in "status", "clients", "reload", "health":
            run(*nobody, command, status=77)
            run(*member, command)
        # Only there: who is in charge of what is said is chat.admins' to say.
        run(*member, "-c", "unix:/run/retort/chat.sock", "clients", status=77)

    def test_gets_secrets_as_credentials(self):
        secret = Path("/etc/retort/secret")
        secret.write_text("a key\n")
        secret.chmod(0o600)
        self.addCleanup(secret.unlink)
        self.drop_in(f"LoadCredential=key:{secret}\n")
        systemctl("restart", "retortd")
        self.assertEqual(self.retort("health"), "healthy\n")
        process = Path(f"/proc/{main_pid()}")
        environment = dict(entry.split("=", 1) for entry in
                           (process / "environ").read_text().split("\0") if entry)
        file = process / "root" / environment["CREDENTIALS_DIRECTORY"].lstrip("/") / "key"
        self.assertEqual(file.read_text(), "a key\n")
        self.assertEqual((file.stat().st_uid, file.stat().st_mode & 0o777),
                         (process.stat().st_uid, 0o400))

    # ---- the package ----

    def test_does_not_begin_by_being_installed(self):
        self.addCleanup(systemctl, "enable", "retortd")
        systemctl("preset", "retortd")
        self.assertEqual(systemctl("is-enabled", "retortd", status=1).strip(), "disabled")

    def test_keeps_its_state_when_it_is_installed_anew(self):
        self.retort("say", "lobby", "before the upgrade")
        # An upgrade: another file with the program's name, then the commands of a package.
        program = Path("/usr/sbin/retortd")
        shutil.copy2(program, "/usr/sbin/retortd.new")
        os.replace("/usr/sbin/retortd.new", program)
        systemctl("daemon-reload")
        systemctl("try-restart", "retortd")
        self.assertIn("before the upgrade", self.retort("tail", "lobby", "-n", "1"))
        # A removal, and another installation, for which the system has another user number.
        systemctl("disable", "--now", "retortd")
        package = [file for path in ("/usr/lib/systemd", "/usr/sbin") for file in tree_of(path)]
        self.assertGreater(len(package), 5)
        for file in package:
            file.rename(f"{file}.removed")
        systemctl("daemon-reload")
        self.assertEqual(properties("retortd", "LoadState"), "not-found")
        for path in STATE, *STATE.rglob("*"):
            os.chown(path, 64999, 64999)
        for file in package:
            Path(f"{file}.removed").rename(file)
        systemctl("daemon-reload")
        systemctl("enable", "--now", "retortd")
        self.assertIn("before the upgrade", self.retort("tail", "lobby", "-n", "1"))
        self.assertEqual(self.retort("say", "lobby", "after it"), "")


if __name__ == "__main__":
    sys.exit(check.main(check.Booted, Lifecycle))
