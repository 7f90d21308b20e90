# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restarts that nobody notices: thousands of clients of all kinds are busy, and see nothing of
systemctl restart; those that are between messages see nothing of kill -9 either, if asked for."""

import json
import re
import resource
import socket
import subprocess
import sys
import time

import check
from check import connect, journal, main_pid, properties, receive, run, systemctl, wait_for

CLIENTS = 9000
RESTARTS = 20
TAKEN_OVER = "5acf4879c06f4496b631b5623a5aa1eb"
IDLE = 200
LOAD = """
{more}
timeouts: {{ message = "60s"; }};
listeners: (
  {{ name = "length"; listen = [ "tcp://127.0.0.1:5201", "unix:length.sock" ];
     transforms = [ "upper" ]; }},
  {{ name = "datagrams"; listen = "udp://127.0.0.1:5206"; transforms = [ "upper" ]; }},
  {{ name = "line"; listen = "tcp://127.0.0.1:5202"; framing = "line"; transforms = [ "upper" ]; }},
  {{ name = "raw"; listen = "tcp://127.0.0.1:5203"; framing = "raw"; transforms = [ "upper" ]; }},
  {{ name = "chat"; listen = [ "tcp://127.0.0.1:5204", "unix:chat.sock" ]; service = "chat"; }},
  {{ name = "talk"; listen = "tcp://127.0.0.1:5205"; service = "chat"; dialect = "text";
     framing = "line"; }}
);
"""
ENDURE = ("/booted/tool_endure", "--seconds", "3600", "--length", "tcp://127.0.0.1:5201",
          "--line", "tcp://127.0.0.1:5202", "--raw", "tcp://127.0.0.1:5203",
          "--unix", "unix:/run/retort/length.sock", "--chat", "tcp://127.0.0.1:5204",
          "--udp", "udp://127.0.0.1:5206")


class Endure:
    """The load; report is what it saw, once it is left."""

    def __init__(self, clients):
        self.clients, self.report = clients, None

    def __enter__(self):
        self.load = subprocess.Popen([*ENDURE, "--clients", str(self.clients)], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.load.stdout.readline() != "ready\n":
            raise AssertionError("the load does not begin")
        return self

    def __exit__(self, *_):
        said, _ = self.load.communicate("\n", timeout=120)
        self.report = json.loads(said)


class Restart(check.Case):
    def setUp(self):
        super().setUp()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.clients = CLIENTS if most == resource.RLIM_INFINITY else min(CLIENTS, most - 500)

    def restart(self):
        before = main_pid()
        said = systemctl("restart", "retortd", status=None)
        self.assertEqual(properties("retortd", "ActiveState"), "active",
                         f"{said}\n{check.journal_text()}")
        self.assertNotEqual(main_pid(), before)

    def test_of_thousands_who_do_not_notice(self):
        self.serve(LOAD.format(more=""))
        self.mark_journal()
        with Endure(self.clients) as load:
            for _ in range(RESTARTS):
                self.restart()
                time.sleep(0.5)  # some more load, however much that is
        seen = load.report["all"]
        for fault in "dropped", "wrong", "unanswered", "refused", "left":
            self.assertEqual(seen[fault], 0, f"{fault}: {json.dumps(load.report)[:4000]}")
        carried = [int(re.search(r"took over (\d+)", entry["MESSAGE"])[1])
                   for entry in journal(f"MESSAGE_ID={TAKEN_OVER}")]
        self.assertEqual(len(carried), RESTARTS)
        self.assertGreater(min(carried), self.clients * 0.8)
        print(f"{RESTARTS} restarts with {self.clients} clients ({min(carried)} to {max(carried)} "
              f"connections), {seen['messages']} messages: nobody dropped, nothing wrong; longest "
              f"silence {seen['longest_ms']:.0f} ms", file=sys.stderr)

    def test_leaves_open_what_has_changed_once(self):
        """Sockets of another configuration are opened at a restart, and no more at the next."""
        for port in "5203", "5207":
            self.serve(LOAD.format(more="").replace("5203", port))
            # Of two changes at once only the first would be settled, and the other next time.
            wait_for(lambda: properties("retortd-settle.service", "ActiveState") == "inactive" and
                     "retortd.service" not in properties("retortd-raw.socket", "PartOf"),
                     "the generator has run again")
        open_before = [check.listening_inode(port) for port in (5201, 5207)]
        self.assertNotIn(None, open_before)
        self.restart()
        self.assertEqual([check.listening_inode(port) for port in (5201, 5207)], open_before)

    def test_says_how_many_it_carried_over(self):
        self.serve(LOAD.format(more=""))
        with connect(("127.0.0.1", 5202)) as client:
            client.sendall(b"abc\nde")
            self.assertEqual(receive(client, 4), b"ABC\n")
            self.restart()
            stats = json.loads(run(*check.RETORT, "--json", "status"))
            self.assertEqual(stats["restart"]["carried"], 1)
            self.assertFalse(stats["restart"]["crash"])
            client.sendall(b"f\n")
            self.assertEqual(receive(client, 4), b"DEF\n")

    def idle_clients(self):
        clients = [connect(("127.0.0.1", 5202)) for _ in range(IDLE)]
        for client in clients:
            client.sendall(b"before\n")
            self.assertEqual(receive(client, 7), b"BEFORE\n")
        return clients

    def assert_served(self, clients):
        for client in clients:
            client.sendall(b"after\n")
            self.assertEqual(receive(client, 6), b"AFTER\n")

    def kill(self):
        before = main_pid()
        systemctl("kill", "--signal=KILL", "--kill-who=main", "retortd")
        wait_for(lambda: main_pid() not in (0, before) and
                 properties("retortd", "ActiveState") == "active", "it is back")

    def test_outlives_a_kill_when_asked_to(self):
        self.serve(LOAD.format(more="crash_safe = true;"))
        clients = self.idle_clients()
        with connect(("127.0.0.1", 5205)) as talker:
            lines = talker.makefile("rw", newline="\n")
            print("/nick anna\n/join lobby", file=lines, flush=True)
            wait_for(lambda: "anna" in run(*check.RETORT, "who", "lobby"), "anna is in the lobby")
            for _ in range(3):
                self.kill()
                self.assert_served(clients)
                run(*check.RETORT, "say", "lobby", "still there?")
                while "still there?" not in lines.readline():
                    pass
                self.assertIn("anna", run(*check.RETORT, "who", "lobby"))
            self.restart()
            self.assert_served(clients)
        for client in clients:
            client.close()

    def test_outlives_a_kill_under_load(self):
        self.serve(LOAD.format(more="crash_safe = true;"))
        with Endure(1000) as load:
            for _ in range(3):
                self.kill()
                time.sleep(0.5)
        self.assertEqual(load.report["all"]["wrong"], 0, json.dumps(load.report)[:4000])

    def test_a_stop_is_no_restart(self):
        self.serve(LOAD.format(more=""))
        with connect(("127.0.0.1", 5202)) as client, connect(("127.0.0.1", 5204)) as talker:
            systemctl("stop", "retortd")
            self.assertEqual(receive(client, 100), b"error: shutting down\n")
            self.assertIn(b"closing", receive(talker, 1000))
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(properties("retortd", "NFileDescriptorStore"), "0")

    def test_a_wrong_configuration_hands_nothing_over(self):
        self.serve(LOAD.format(more=""))
        with connect(("127.0.0.1", 5202)) as client:
            check.configure("nonsense = 1;\n")
            systemctl("restart", "retortd", status=1)
            self.assertEqual(receive(client, 100), b"error: shutting down\n")
        check.configure(check.SAMPLE)
        systemctl("reset-failed", "retortd")


if __name__ == "__main__":
    socket.setdefaulttimeout(check.DEADLINE)
    sys.exit(check.main(check.Booted, Restart))
