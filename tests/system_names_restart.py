#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A restart while the name service does not answer: the connection of somebody whose name is not
known yet is handed over like all others, and the next process finds out who it is."""

import array
import grp
import os
import pwd
import select
import socket
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("RETORT_BUILD", TOP / "build"))
PRELOAD = BUILD / "tests" / "preload_names.so"
DEADLINE = 60  # seconds, for anything
GROUP = grp.getgrgid(os.getegid()).gr_name
HOLDS, HELD, KEY = 0, 4, 8  # where all is in the file that the preloaded library goes by

CONFIG = """
workers = 1;
timeouts: {{ drain = "{}"; }};
listeners: (
  {{ name = "line"; service = "chat"; framing = "line"; listen = "unix:line.sock"; }},
  {{ name = "echo"; framing = "length"; listen = "unix:echo.sock"; }}
);
chat: {{ admins = [ "@{}" ]; rooms: ( {{ name = "own"; members = [ "{}" ]; }} ); }};
"""

# A process cannot know its own $LISTEN_PID before it is there.
EXEC = ('import os, sys; fds = [int(fd) for fd in sys.argv[1].split(",") if fd]\n'
        'os.environ["LISTEN_PID"] = str(os.getpid())\n'
        'copies = [os.dup2(os.dup(fd), 1000 + i) for i, fd in enumerate(fds)]\n'
        'for i, fd in enumerate(copies): os.dup2(fd, 3 + i); os.close(fd)\n'
        'os.execv(sys.argv[2], sys.argv[2:])\n')


class Restart(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = Path(directory.name)
        self.names = self.top / "names"
        self.names.write_bytes(struct.pack("ii64s", 0, 0, str(os.geteuid()).encode()))
        self.me = pwd.getpwuid(os.geteuid()).pw_name
        self.conf = self.top / "retortd.conf"
        self.configure("100ms")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(str(self.top / "notify"))
        self.notify.settimeout(DEADLINE)
        self.stored = []  # pairs of a name and a descriptor
        self.log = open(self.top / "log", "w+", encoding="utf-8")
        self.addCleanup(self.log.close)

    def configure(self, drain):
        self.conf.write_text(CONFIG.format(drain, GROUP, self.me))

    def start(self):
        """Starts a daemon, with all that was stored, and waits until it serves."""
        fds, names = [fd for _, fd in self.stored], [name for name, _ in self.stored]
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.top / "notify"), "FDSTORE": "64",
                       "RUNTIME_DIRECTORY": str(self.top), "LISTEN_FDNAMES": ":".join(names),
                       "LISTEN_FDS": str(len(fds)), "STATE_DIRECTORY": str(self.top / "state"),
                       "LD_PRELOAD": str(PRELOAD), "RETORT_TEST_NAMES": str(self.names)}
        if not fds:
            del environment["LISTEN_FDS"], environment["LISTEN_FDNAMES"]
        daemon = subprocess.Popen(
            ["python3", "-c", EXEC, ",".join(map(str, fds)), BUILD / "retortd", "-v", "-c",
             self.conf],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=fds,
            env=environment)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        for fd in fds:
            os.close(fd)
        self.stored = []
        while "READY=1" not in self.receive():
            pass
        return daemon

    def receive(self):
        """Returns the lines of one notification; what is to be stored is."""
        text, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
        lines, fds = text.decode().split("\n"), array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
        name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
        for fd in fds:
            if "FDSTORE=1" in lines:
                self.stored.append((name, fd))
            else:
                os.close(fd)  # which is all that a barrier waits for
        return lines

    def hold(self, holds, key=None):
        with open(self.names, "r+b") as file:
            if key:
                file.seek(KEY)
                file.write(struct.pack("64s", key.encode()))
                file.flush()
            file.seek(HOLDS)
            file.write(struct.pack("i", holds))

    def await_held(self):
        deadline = time.monotonic() + DEADLINE
        while struct.unpack_from("i", self.names.read_bytes(), HELD)[0] == 0:
            self.assertLess(time.monotonic(), deadline, "the name service is not asked")
            time.sleep(0.001)

    def connect(self, name):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(DEADLINE)
        client.connect(str(self.top / name))
        return client

    def ask(self, client, request):
        client.sendall(request)
        reply = client.makefile(encoding="utf-8").readline()
        self.assertIn('"ok":true', reply)

    def read_log(self):
        return (self.top / "log").read_text(encoding="utf-8")

    def await_log(self, text):
        deadline = time.monotonic() + DEADLINE
        while text not in self.read_log():
            self.assertLess(time.monotonic(), deadline, f"it does not log {text}")
            time.sleep(0.001)

    def await_end(self, daemon):
        """Takes what it still has to say, until it has ended."""
        deadline = time.monotonic() + DEADLINE
        while daemon.poll() is None:
            self.assertLess(time.monotonic(), deadline, self.read_log())
            if select.select([self.notify], [], [], 0.01)[0]:
                self.receive()
        while select.select([self.notify], [], [], 0)[0]:
            self.receive()
        self.assertEqual(daemon.returncode, 0, self.read_log())

    def close_stored(self):
        for _, fd in self.stored:
            os.close(fd)

    def test_who_is_not_known_yet_is_handed_over(self):
        daemon = self.start()
        self.hold(1)
        client = self.connect("line.sock")
        self.await_held()

        daemon.terminate()
        self.await_end(daemon)
        self.assertIn("handed 1 connections", self.read_log())

        self.hold(0)
        self.names.write_bytes(struct.pack("ii64s", 0, 0, b""))
        daemon = self.start()
        self.ask(client, b'{"op":"join","room":"own","id":1}\n')  # where only this user may be
        daemon.terminate()
        self.await_end(daemon)
        self.close_stored()

    def test_the_last_to_come_back_is_one_who_has_gone(self):
        daemon = self.start()
        client, control = self.connect("line.sock"), self.connect("control.sock")
        self.ask(client, b'{"op":"join","room":"own"}\n')
        self.ask(control, b'{"op":"ping"}\n')
        self.hold(1, GROUP)
        control.sendall(b'{"op":"reload"}\n')
        self.await_held()
        control.close()
        self.await_log("gone: ")
        # The reload ends as the hub lets go; only then is the administrator forgotten.
        daemon.terminate()
        self.await_end(daemon)
        self.assertIn("handed 1 connections", self.read_log())
        self.hold(0)
        self.close_stored()

    def test_draining_has_its_time_when_nothing_can_be_handed_over(self):
        self.configure("1500ms")  # less than the name service is waited for
        frame = b"1000000   " + bytes(1000000)
        daemon = self.start()
        slow = self.connect("echo.sock")
        slow.sendall(frame)
        self.assertEqual(slow.recv(1, socket.MSG_PEEK), b"1")
        self.hold(1)
        asker = self.connect("line.sock")
        asker.sendall(b'{"op":"join","room":"own"}\n')
        self.await_held()

        daemon.terminate()
        while "STATUS=Handing over 2 clients" not in (lines := self.receive()):
            pass
        # Should drain be longer than TimeoutStopSec=, the manager would not let it come to that.
        self.assertIn("EXTEND_TIMEOUT_USEC=4000000", lines)
        while "STATUS=Stopping, 2 clients" not in self.receive():
            pass
        self.assertIn("not all that they had asked was answered in time", self.read_log())
        # It has been suspended for as long as it may drain, and begins to do so only now.
        answer = slow.makefile("rb").read()
        self.assertEqual(len(answer), len(frame) + len(b"-13       shutting down"))
        self.assertTrue(answer.startswith(frame))
        slow.close()
        self.hold(0)
        self.await_end(daemon)


if __name__ == "__main__":
    if os.environ.get("SANITIZE"):
        print("skipped: a checker has these calls of its own")
        raise SystemExit(77)
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
