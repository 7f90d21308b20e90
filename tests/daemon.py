# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon under test, for the tests in Python."""

import os
import socket
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
RETORTD = os.environ.get("RETORTD", str(TOP / "build/retortd"))
RETORT = os.environ.get("RETORT", str(TOP / "build/retort"))
DEADLINE = 120 if os.environ.get("SANITIZE") else 60  # seconds, for anything


def environment_of(directory):
    """In it, a client finds the daemon whose directory that is."""
    environment = dict(os.environ, RUNTIME_DIRECTORY=str(directory),
                       STATE_DIRECTORY=str(Path(directory) / "state"))
    environment.pop("RETORT_ADDRESS", None)
    return environment


class Daemon:
    """A daemon that serves. In its directory, which is there, are configuration, state, sockets and
    log."""

    def __init__(self, directory, configuration, *arguments):
        self.directory = Path(directory)
        config = self.directory / "retortd.conf"
        config.write_text(configuration)
        notify_path = str(self.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
                open(self.directory / "log", "w", encoding="utf-8") as log:
            notify.bind(notify_path)
            notify.settimeout(DEADLINE)
            self.process = subprocess.Popen(
                [RETORTD, "-c", str(config), *arguments], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=dict(environment_of(directory), NOTIFY_SOCKET=notify_path))
            while b"READY=1" not in notify.recv(4096).split(b"\n"):
                pass

    def log(self):
        return (self.directory / "log").read_text(encoding="utf-8")

    def stop(self):
        """Ends it; it must have nothing to complain of."""
        self.process.terminate()
        status = self.process.wait(DEADLINE)
        if status != 0:
            raise AssertionError(f"the daemon's exit status is {status}\n{self.log()}")
