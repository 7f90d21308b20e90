#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""retort --instance NAME: whom it means, and that it never means anybody else."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("RETORT_BUILD", Path(__file__).resolve().parent.parent / "build"))
NOBODY = "no-such_Instance"  # a right name
DEADLINE = 60  # seconds, for anything


class Instance(unittest.TestCase):
    """Beside a retortd that has no name."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.environment = dict(os.environ, RUNTIME_DIRECTORY=directory.name,
                               STATE_DIRECTORY=f"{directory.name}/state",
                               RETORT_ADDRESS=f"unix:{directory.name}/chat.sock")
        cls.server = subprocess.Popen([BUILD / "retortd", "-l", "unix:chat.sock", "--service",
                                       "chat"], env=cls.environment, stdin=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.server.stderr.close)
        cls.addClassCleanup(cls.server.wait, DEADLINE)
        cls.addClassCleanup(cls.server.terminate)
        for line in cls.server.stderr:
            if "ready" in line or "listening" in line:
                break

    def retort(self, *words, status=0):
        done = subprocess.run([BUILD / "retort", *words], env=self.environment,
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
