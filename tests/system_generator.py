#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""retortd-generator as the service manager runs it: what it writes and says, that systemd-analyze
finds nothing wrong with the units, and that no configuration makes it fail or take long."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("RETORT_BUILD", TOP / "build"))
GENERATOR = BUILD / "retortd-generator"
DEADLINE = 60  # seconds, for anything

EVERYTHING = """
listeners: (
  { name = "a-b_C.9"; listen = [ "tcp://127.0.0.1:80", "tcp://[::1]:80", "udp://127.0.0.1:80" ]; },
  { name = "all"; listen = [ "tcp://*:90", "tcp://[::]:91", "udp://0.0.0.0:92" ]; },
  { name = "later"; listen = [ "tcp://192.0.2.1:93", "tcp://[2001:db8::1]:93" ]; },
  { name = "..."; listen = [ "unix:x/100%n.sock", "unix:/srv/a b.sock", "unix:@abstract%" ];
    mode = "0660"; user = "root"; group = "root"; }
);
"""


class Generator(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.top = Path(self.directory.name)
        self.out = self.top / "out"
        self.out.mkdir()

    def generate(self, text, arguments=None, status=0):
        """Runs the generator on a configuration of this text; returns what it says."""
        conf = self.top / "retortd.conf"
        if text is not None:
            conf.write_text(text)
        if arguments is None:
            arguments = [self.out, self.top / "early", self.top / "late"]
        environment = {name: value for name, value in os.environ.items() if name != "SYSTEMD_SCOPE"}
        done = subprocess.run([GENERATOR, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE, check=False,
                              env={**environment, "RETORTD_CONFIG": str(conf)})
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def written(self):
        return sorted(str(path.relative_to(self.out)) for path in self.out.rglob("*")
                      if path.is_file())

    def test_writes_units_and_a_drop_in(self):
        self.assertEqual(self.generate(EVERYTHING), "")
        self.assertEqual(self.written(), [
            "retortd-....socket", "retortd-a-b_C.9.socket", "retortd-all.socket",
            "retortd-all:ipv6.socket", "retortd-later.socket",
            "retortd.service.d/50-sockets.conf"])
        self.assertEqual((self.out / "retortd.service.d/50-sockets.conf").read_text().split()[5:],
                         [f"Sockets=retortd-{name}.socket"
                          for name in ("a-b_C.9", "all", "all:ipv6", "later", "...")])
        for path in self.out.glob("*.socket"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o644)
        # What it has written is written anew.
        self.generate('listeners: ( { name = "all"; listen = "unix:x"; } );')
        self.assertIn("ListenStream=/run/retort/x\n",
                      (self.out / "retortd-all.socket").read_text())

    def instance(self, name, text):
        """Writes the configuration of an instance."""
        path = self.top / f"retortd@{name}.conf"
        path.write_text(text)
        return path

    def test_writes_units_of_instances(self):
        one = 'listeners: ( { name = "a"; listen = "unix:a"; }, { name = "b"; listen = "unix:b"; } );'
        self.instance("x", one)
        self.instance("y-1", 'listeners: ( { name = "a"; listen = [ "tcp://*:1", "tcp://[::]:2" ]; } );')
        self.assertEqual(self.generate('listeners: ( { name = "a"; listen = "unix:a"; } );'), "")
        self.assertEqual(self.written(), [
            "retortd-a.socket", "retortd-a:ipv6@y-1.socket", "retortd-a@x.socket",
            "retortd-a@y-1.socket", "retortd-b@x.socket", "retortd.service.d/50-sockets.conf",
            "retortd@x.service.d/50-sockets.conf", "retortd@y-1.service.d/50-sockets.conf"])
        unit = (self.out / "retortd-a@x.socket").read_text()
        for line in ("Service=retortd@x.service", "ListenStream=/run/retort-x/a",
                     "StopPropagatedFrom=retortd-sockets@x.target",
                     f"SourcePath={self.top}/retortd@x.conf"):
            self.assertIn(line + "\n", unit)

    def test_says_what_two_services_are_both_to_have(self):
        text = 'listeners: ( { name = "a"; listen = "tcp://127.0.0.1:1"; } );'
        self.instance("x", text)
        self.instance("y", text.replace("127.0.0.1:1", "127.0.0.1:2"))
        said = self.generate(text)
        self.assertEqual(len(said.splitlines()), 1)
        self.assertIn("retortd@x.conf:1: listener \"a\": retortd@x cannot have tcp://127.0.0.1:1 "
                      "while retortd has tcp://127.0.0.1:1", said)
        # They are right as long as not both run.
        self.assertIn("ListenStream=127.0.0.1:1\n",
                      (self.out / "retortd-a@x.socket").read_text())

    def test_keeps_instances_apart(self):
        self.instance("bad", "listeners: (")
        self.instance("good", 'listeners: ( { name = "a"; listen = "unix:a"; } );')
        said = self.generate("workers = -1;")
        self.assertIn("retortd@bad.conf:1: ", said)
        self.assertIn("retortd.conf:1: workers", said)
        self.assertIn("retortd@good.service.d/50-sockets.conf", self.written())
        self.assertIn("retortd.service.d/50-sockets.conf", self.written())
        self.assertNotIn("retortd@bad.service.d/50-sockets.conf", self.written())
        # Not even a file that cannot be read concerns the others.
        (self.top / "retortd@dir.conf").mkdir()
        self.instance("a b", "")
        said = self.generate("", status=1)
        self.assertIn("retortd@dir.conf", said)
        self.assertIn("retortd@a b.conf: the name of an instance has", said)
        self.assertIn("retortd.service.d/50-sockets.conf", self.written())

    def test_units_please_systemd(self):
        self.instance("x-1", EVERYTHING.replace(":9", ":10").replace("/srv", "/opt")
                      .replace(":80", ":180").replace("@abs", "@other"))
        self.assertEqual(self.generate(EVERYTHING), "")
        service = self.out / "retortd.service"
        for name in "retortd.service", "retortd@.service":
            (self.out / name).write_text("[Service]\nExecStart=/bin/true\n")
        # A colon means something else to systemd-analyze.
        for path in self.out.glob("*:*.socket"):
            path.rename(str(path).replace(":", "_"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                               *self.out.glob("*.socket"), service], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE,
                              check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_keeps_what_it_can(self):
        said = self.generate('workers = -1;\nlisteners: (\n'
                             '  { name = "a"; listen = "tcp://nowhere.invalid:80"; },\n'
                             '  { name = "b"; listen = "unix:b"; } );')
        self.assertIn("retortd.conf:1: workers is -1", said)
        self.assertIn('retortd.conf:3: listener "a": the service manager cannot open', said)
        self.assertEqual(len(said.splitlines()), 2)
        self.assertEqual(self.written(), ["retortd-b.socket", "retortd.service.d/50-sockets.conf"])

    def test_asks_nobody_who_the_users_are(self):
        """They may be known to a service that the service manager has still to start."""
        listener = 'listeners: ( { name = "a"; listen = "unix:a"; user = "%s"; group = "%s"; } );'
        self.assertEqual(self.generate(listener % ("nobody-knows-it", "of a domain 100%")), "")
        unit = (self.out / "retortd-a.socket").read_text()
        self.assertIn("\nSocketUser=nobody-knows-it\nSocketGroup=of a domain 100%%\n", unit)
        # But what is no name at all breaks no unit.
        (self.out / "retortd-a.socket").unlink()
        for name in "", "-1", "4294967295", "a:b", "a/b", " a", "a ", r"a\nListenStream=9", "4 \t":
            with self.subTest(name=name):
                said = self.generate(listener % (name, "root"))
                self.assertIn('retortd.conf:1: user "', said)
                self.assertNotIn("retortd-a.socket", self.written())

    def test_is_harmless_on_a_broken_file(self):
        for text in "listeners: (", "\0\1\2" * 1000, "{" * 100000, "@include \"/dev/zero\"\n":
            with self.subTest(text=text[:20]):
                said = self.generate(text)
                self.assertRegex(said, r"^retortd-generator: .*retortd\.conf:\d+: ")
                self.assertEqual(self.written(), [])

    def test_says_little_of_much(self):
        said = self.generate("".join(f"unknown_{i} = 1;\n" for i in range(100)))
        self.assertEqual(len(said.splitlines()), 21)
        self.assertIn("'retortd --test'", said.splitlines()[-1])
        self.assertIn("retortd-upper.socket", self.written())

    def test_says_what_it_cannot_do(self):
        self.assertIn("there is no such file", self.generate(None, status=1))
        self.assertEqual(self.written(), [])
        self.assertIn("nowhere", self.generate("", [self.top / "nowhere"], status=1))
        self.assertIn("Usage:", self.generate("", [], status=64))
        self.assertIn("Usage:", self.generate("", ["--what", self.out], status=64))

    def test_tells_about_itself(self):
        self.assertRegex(self.generate("", ["--version"]), r"^retortd-generator \d")
        self.assertIn("RETORTD_CONFIG", self.generate("", ["--help"]))


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
