#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A restart while the name service does not answer: the connection of somebody whose name is not
known yet is handed over like all others, and the next process finds out who it is."""

import grp
import os
import pwd
import socket
import tempfile
import unittest
from pathlib import Path

from daemon import DEADLINE, RETORTD, Manager, Names

GROUP = grp.getgrgid(os.getegid()).gr_name

CONFIG = """
workers = 1;
timeouts: {{ drain = "{}"; }};
listeners: (
  {{ name = "line"; service = "chat"; framing = "line"; listen = "unix:line.sock"; }},
  {{ name = "echo"; framing = "length"; listen = "unix:echo.sock"; }}
);
chat: {{ admins = [ "@{}" ]; rooms: ( {{ name = "own"; members = [ "{}" ]; }} ); }};
"""


class Restart(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.top = Path(directory.name)
        self.names = Names(self.top / "names", str(os.geteuid()))
        self.me = pwd.getpwuid(os.geteuid()).pw_name
        self.conf = self.top / "retortd.conf"
        self.configure("100ms")
        self.manager = Manager(self.top)
        self.addCleanup(self.manager.close)

    def configure(self, drain):
        self.conf.write_text(CONFIG.format(drain, GROUP, self.me))

    def start(self):
        return self.manager.start(RETORTD, "-v", "-c", self.conf, **self.names.environment())

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

    def test_who_is_not_known_yet_is_handed_over(self):
        daemon = self.start()
        self.names.hold(1)
        client = self.connect("line.sock")
        self.names.await_held()

        daemon.terminate()
        self.manager.await_end()
        self.assertIn("handed 1 connections", self.manager.read_log())

        self.names.hold(0)
        self.names.forget()
        daemon = self.start()
        self.ask(client, b'{"op":"join","room":"own","id":1}\n')  # where only this user may be
        daemon.terminate()
        self.manager.await_end()

    def test_the_last_to_come_back_is_one_who_has_gone(self):
        daemon = self.start()
        client, control = self.connect("line.sock"), self.connect("control.sock")
        self.ask(client, b'{"op":"join","room":"own"}\n')
        self.ask(control, b'{"op":"ping"}\n')
        self.names.hold(1, GROUP)
        control.sendall(b'{"op":"reload"}\n')
        self.names.await_held()
        control.close()
        self.manager.await_log("gone: ")
        # The reload ends as the hub lets go; only then is the administrator forgotten.
        daemon.terminate()
        self.manager.await_end()
        self.assertIn("handed 1 connections", self.manager.read_log())
        self.names.hold(0)

    def test_draining_has_its_time_when_nothing_can_be_handed_over(self):
        self.configure("1500ms")  # less than the name service is waited for
        frame = b"1000000   " + bytes(1000000)
        daemon = self.start()
        slow = self.connect("echo.sock")
        slow.sendall(frame)
        self.assertEqual(slow.recv(1, socket.MSG_PEEK), b"1")
        self.names.hold(1)
        asker = self.connect("line.sock")
        asker.sendall(b'{"op":"join","room":"own"}\n')
        self.names.await_held()

        daemon.terminate()
        while "STATUS=Handing over 2 clients" not in (lines := self.manager.receive()):
            pass
        # Should drain be longer than TimeoutStopSec=, the manager would not let it come to that.
        self.assertIn("EXTEND_TIMEOUT_USEC=4000000", lines)
        while "STATUS=Stopping, 2 clients" not in self.manager.receive():
            pass
        self.assertIn("not all that they had asked was answered in time", self.manager.read_log())
        # It has been suspended for as long as it may drain, and begins to do so only now.
        answer = slow.makefile("rb").read()
        self.assertEqual(len(answer), len(frame) + len(b"-13       shutting down"))
        self.assertTrue(answer.startswith(frame))
        slow.close()
        self.names.hold(0)
        self.manager.await_end()


if __name__ == "__main__":
    if os.environ.get("SANITIZE"):
        print("skipped: a checker has these calls of its own")
        raise SystemExit(77)
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
