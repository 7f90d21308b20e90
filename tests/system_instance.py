#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""retort --instance NAME: whom it means, and that it never means anybody else."""

import subprocess
import tempfile
import unittest

from daemon import DEADLINE, RETORT, Daemon, environment_of

CONFIG = 'listeners: ( { name = "chat"; service = "chat"; listen = "unix:chat.sock"; } );'
NOBODY = "no-such_Instance"  # a right name


class Instance(unittest.TestCase):
    """Beside a retortd that has no name."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.addClassCleanup(Daemon(directory.name, CONFIG).stop)
        cls.environment = dict(environment_of(directory.name),
                               RETORT_ADDRESS=f"unix:{directory.name}/chat.sock")

    def retort(self, *words, status=0):
        done = subprocess.run([RETORT, *words], env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def test_reaches_no_other(self):
        self.assertEqual(self.retort("health"), "healthy\n")
        self.retort("rooms")
        for words, path in (("health",), "control"), (("reload",), "control"), (("rooms",), "chat"):
            for line in ("--instance", NOBODY, *words), (*words, f"--instance={NOBODY}"):
                said = self.retort(*line, status=69)
                self.assertIn(f"unix:/run/retort-{NOBODY}/{path}.sock", said)
                self.assertIn(f"systemctl start retortd@{NOBODY}", said)
        said = self.retort("--instance", NOBODY, "-c", "unix:other.sock", "rooms", status=69)
        self.assertIn(f"unix:/run/retort-{NOBODY}/other.sock", said)

    def test_takes_names_only(self):
        for name in "", "a/b", "..", "a.b", "a@b", "a b", "\u00e4", "x" * 24:
            self.assertIn("the name of an instance has 1 to 23",
                          self.retort("--instance", name, "health", status=64))
        self.retort("--instance", "x" * 23, "health", status=69)

    def test_has_addresses_of_its_own_only(self):
        for address in "tcp://localhost:1243", "unix:/chat.sock", "unix:@chat":
            self.assertIn("relative Unix socket",
                          self.retort("--instance", NOBODY, "-c", address, "rooms", status=64))
        self.assertIn("exclude each other", self.retort("--instance", NOBODY, "health",
                                                        "--control", "/x", status=64))


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    raise SystemExit(bool(bad))
