# SPDX-License-Identifier: LGPL-2.1-or-later
"""More than one retortd: each instance has its configuration, sockets, state and control socket, and
what is done to one of them leaves the others alone."""

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

import check
from check import (CONF, DROP_INS, answer, connect, journal, listening_inode, properties, receive,
                   refuses, run, stop, systemctl)

ETC = CONF.parent
ONE, TWO = "one", "two-x_Y"
TEXT = """
listeners: (
  {{ name = "line"; listen = [ "tcp://localhost:{port}", "unix:line.sock" ]; framing = "line";
    transforms = [ "{transform}" ]; }},
  {{ name = "chat"; service = "chat"; listen = "unix:chat.sock"; }}{more}
);
"""


def text(port, transform="upper", more=""):
    return TEXT.format(port=port, transform=transform, more=f", {more}" if more else "")


def listener(port, name="more"):
    return f'{{ name = "{name}"; listen = "tcp://localhost:{port}"; framing = "line"; }}'


def configure(name, content):
    file = ETC / f"retortd@{name}.conf.new"
    file.write_text(content)
    file.replace(ETC / f"retortd@{name}.conf")


def serve(name, content):
    """Has a configuration served, as an administrator does."""
    configure(name, content)
    systemctl("daemon-reload")
    systemctl("restart", f"retortd@{name}")


def retort(name, *words, status=0):
    return run(*check.RETORT, "--instance", name, *words, status=status)


def main_pid(name):
    return int(properties(f"retortd@{name}", "MainPID"))


def generator_says():
    """What the generator says to the kernel's log, which is not there, and so to us."""
    with tempfile.TemporaryDirectory() as directory:
        return run("/usr/lib/systemd/system-generators/retortd-generator", directory,
                   env={**os.environ, "SYSTEMD_SCOPE": "system"})


class Instances(check.Case):
    def setUp(self):
        super().setUp()
        self.untouched = properties("retortd", "MainPID"), listening_inode(9090)

    def tearDown(self):
        # Whatever becomes of an instance, the service without a name goes on.
        untouched = properties("retortd", "MainPID"), listening_inode(9090)
        for file in DROP_INS.glob("retortd*.d/*"):
            file.unlink()
        for file in ETC.glob("retortd@*.conf"):
            file.unlink()
        for name in ONE, TWO:
            systemctl("disable", "--now", f"retortd@{name}")
            check.wait_stopped(f"@{name}")
        systemctl("reset-failed")
        systemctl("daemon-reload")
        for directory in Path("/var/lib/private").glob("retort-*"):
            shutil.rmtree(directory)
        self.assertEqual(untouched, self.untouched)

    def test_serve_side_by_side(self):
        configure(ONE, text(5101, "upper"))
        configure(TWO, text(5102, "reverse"))
        systemctl("daemon-reload")
        for name in ONE, TWO:
            systemctl("enable", "--now", f"retortd@{name}")
            self.assertEqual(systemctl("is-active", f"retortd@{name}").strip(), "active")
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
        self.assertEqual(answer(("127.0.0.1", 5102), b"abc\n", 4), b"cba\n")
        self.assertEqual(answer(f"/run/retort-{ONE}/line.sock", b"abc\n", 4), b"ABC\n")
        self.assertEqual(answer(f"/run/retort-{TWO}/line.sock", b"abc\n", 4), b"cba\n")
        # Each has rooms of its own, which outlast it.
        retort(ONE, "say", "lobby", "in the first")
        retort(TWO, "say", "lobby", "in the second")
        systemctl("restart", f"retortd@{ONE}", f"retortd@{TWO}")
        self.assertIn("in the first", retort(ONE, "tail", "lobby"))
        self.assertNotIn("in the second", retort(ONE, "tail", "lobby"))
        self.assertIn("in the second", retort(TWO, "tail", "lobby"))
        self.assertNotIn("in the first", run(*check.RETORT, "tail", "lobby"))
        for name in ONE, TWO:
            self.assertEqual(retort(name, "health"), "healthy\n")
            self.assertEqual(run(*check.RETORT, "health", "--control",
                                 f"/run/retort-{name}/control.sock"), "healthy\n")
            state = os.stat(f"/var/lib/private/retort-{name}")
            self.assertEqual(state.st_mode & 0o777, 0o700)
        self.assertEqual(len({int(re.search(r"\nUid:\t(\d+)", Path(f"/proc/{pid}/status")
                                            .read_text())[1])
                              for pid in (main_pid(ONE), main_pid(TWO), check.main_pid())}), 3)

    def test_are_locked_in_as_the_other(self):
        serve(ONE, text(5101))
        run("systemd-analyze", "security", "--no-pager", "--threshold=5", f"retortd@{ONE}.service")
        alike = ("CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies",
                 "PrivateNetwork", "NoNewPrivileges", "ProtectSystem", "WatchdogUSec", "Restart")
        self.assertEqual(properties(f"retortd@{ONE}", *alike), properties("retortd", *alike))
        units = [f"retortd@{ONE}.service", f"retortd@{ONE}.socket", f"retortd-sockets@{ONE}.target",
                 *Path("/run/systemd/generator").glob("retortd-*@*.socket")]
        self.assertEqual(len(units), 5)
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", *units), "")

    def test_reload(self):
        serve(ONE, text(5101))
        pid = main_pid(ONE)
        with connect(("127.0.0.1", 5101)) as connection:
            configure(ONE, text(5101, "reverse"))
            systemctl("reload", f"retortd@{ONE}")
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"cba\n")
            configure(ONE, text(5101) + "nonsense = 1;\n")
            systemctl("reload", f"retortd@{ONE}", status=1)
            self.assertIn(f"retortd@{ONE}.conf:7: ", retort(ONE, "reload", status=1))
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"cba\n")
        self.assertEqual(main_pid(ONE), pid)

    def test_are_told_what_takes_the_service_manager(self):
        serve(ONE, text(5101))
        configure(ONE, text(5103))
        told = retort(ONE, "reload", status=1)
        self.assertIn(f"'systemctl daemon-reload && systemctl restart retortd@{ONE}'", told)
        configure(ONE, "crash_safe = true;\n" + text(5101))
        told = retort(ONE, "reload", status=1)
        self.assertIn(f"retortd@{ONE}.conf:1: crash_safe: ", told)
        self.assertIn(f"'systemctl restart retortd@{ONE}'", told)

    def test_change_their_listeners(self):
        serve(ONE, text(5101, more=listener(5103)))
        inode = listening_inode(5103)
        serve(ONE, text(5104, more=listener(5103)))
        self.assertTrue(refuses(("127.0.0.1", 5101)))
        self.assertEqual(answer(("127.0.0.1", 5104), b"abc\n", 4), b"ABC\n")
        self.assertEqual(listening_inode(5103), inode)
        serve(ONE, text(5104))
        self.assertTrue(refuses(("127.0.0.1", 5103)))
        self.assertEqual(properties(f"retortd-more@{ONE}.socket", "ActiveState"), "inactive")
        serve(ONE, text(5104, more=listener(5103)))
        self.assertEqual(answer(("127.0.0.1", 5103), b"abc\n", 4), b"abc\n")

    def test_keep_their_sockets_when_the_file_is_wrong(self):
        serve(ONE, text(5101))
        inode = listening_inode(5101)
        for content in "listeners: (", text(5101) + "nonsense = 1;", text(99999):
            configure(ONE, content)
            systemctl("daemon-reload")
            self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
            self.assertIn(f"retortd@{ONE}.conf: the sockets of retortd@{ONE} stay as they were",
                          generator_says())
        # Nor is another one's wrong file a reason to lose them.
        configure(ONE, text(5101))
        configure(TWO, "listeners: (")
        systemctl("daemon-reload")
        systemctl("restart", f"retortd@{ONE}")
        self.assertEqual(listening_inode(5101), inode)
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")

    def test_keep_their_sockets_when_the_file_is_gone(self):
        serve(ONE, text(5101))
        (ETC / f"retortd@{ONE}.conf").unlink()
        for _ in range(2):
            systemctl("daemon-reload")
            self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
        stop(f"@{ONE}")
        systemctl("daemon-reload")
        self.assertEqual(list(Path("/run/systemd/generator").glob("retortd*@*")), [])
        systemctl("status", f"retortd-line@{ONE}.socket", status=4)  # there is no such unit

    def test_keep_their_clients_at_a_restart(self):
        serve(ONE, text(5101))
        with connect(("127.0.0.1", 5101)) as connection:
            connection.sendall(b"abc\n")
            self.assertEqual(receive(connection, 4), b"ABC\n")
            systemctl("restart", f"retortd@{ONE}")
            connection.sendall(b"def\n")
            self.assertEqual(receive(connection, 4), b"DEF\n")

    def test_outlive_a_crash(self):
        serve(ONE, text(5101))
        inode, pid = listening_inode(5101), main_pid(ONE)
        systemctl("kill", "--signal=KILL", f"retortd@{ONE}")
        check.wait_for(lambda: main_pid(ONE) not in (0, pid), "the next process")
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
        self.assertEqual(listening_inode(5101), inode)

    def test_stop_with_their_sockets(self):
        serve(ONE, text(5101))
        serve(TWO, text(5102))
        stop(f"@{ONE}")
        self.assertTrue(refuses(("127.0.0.1", 5101)))
        for path in "line.sock", "chat.sock", "control.sock":
            self.assertTrue(refuses(f"/run/retort-{ONE}/{path}"))
        self.assertEqual(answer(("127.0.0.1", 5102), b"abc\n", 4), b"ABC\n")

    def test_cannot_share_an_address(self):
        serve(ONE, text(5101))
        configure(TWO, text(5101, "reverse"))
        systemctl("daemon-reload")
        self.assertIn(f'retortd@{TWO}.conf:3: listener "line": retortd@{TWO} cannot have '
                      f"tcp://127.0.0.1:5101 while retortd@{ONE} has tcp://127.0.0.1:5101",
                      generator_says())
        systemctl("start", f"retortd@{TWO}", status=1)
        # A process that the manager forks says it, and may be gone before the journal knows of
        # which unit it was, so that "systemctl status" may be without it.
        said = [entry["MESSAGE"] for entry in journal(f"UNIT=retortd-line@{TWO}.socket", unit=None)]
        self.assertTrue([text for text in said if "Address already in use" in text], said)
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
        # They take turns.
        stop(f"@{ONE}")
        systemctl("reset-failed")
        systemctl("restart", f"retortd@{TWO}")
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"cba\n")

    def test_without_a_file_do_not_start(self):
        def says_why():
            systemctl("start", f"retortd@{ONE}", status=1)
            said = "\n".join(entry["MESSAGE"] for entry in journal(unit=f"retortd@{ONE}"))
            return f"/etc/retort/retortd@{ONE}.conf" in said

        # It waits for the journal to see of which unit it is, but not for ever.
        check.wait_for(says_why, "the journal has the reason")

    def test_have_access_lists(self):
        """One for all listeners of an instance, and none for those of another."""
        listen = '"tcp://*:5103", "tcp://[::]:5104"'
        drop_in = DROP_INS / f"retortd-@{ONE}.socket.d/access.conf"
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text("[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.1\n")
        serve(TWO, text(5102, more=f'{{ name = "all"; listen = "tcp://[::1]:5105"; '
                                   'framing = "line"; }'))
        serve(ONE, text(5101, more=f'{{ name = "all"; listen = [ {listen} ]; framing = "line"; }}'))
        self.assertEqual(answer(("127.0.0.1", 5101), b"abc\n", 4), b"ABC\n")
        self.assertEqual(answer(("127.0.0.1", 5103), b"abc\n", 4), b"abc\n")
        self.assertEqual(answer(("::1", 5105), b"abc\n", 4), b"abc\n")
        for port in 5103, 5104:
            with socket.socket(socket.AF_INET6) as connection:
                connection.settimeout(0.3)
                with self.assertRaises(OSError):
                    connection.connect(("::1", port))
