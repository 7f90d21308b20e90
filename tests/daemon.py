# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon under test, for the tests in Python."""

import array
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
RETORTD = os.environ.get("RETORTD", str(TOP / "build/retortd"))
RETORT = os.environ.get("RETORT", str(TOP / "build/retort"))
DEADLINE = 120 if os.environ.get("SANITIZE") else 60  # seconds, for anything

# A process cannot know its own $LISTEN_PID before it is there.
EXEC = ('import os, sys; fds = [int(fd) for fd in sys.argv[1].split(",") if fd]\n'
        'os.environ["LISTEN_PID"] = str(os.getpid())\n'
        'copies = [os.dup2(os.dup(fd), 1000 + i) for i, fd in enumerate(fds)]\n'
        'for i, fd in enumerate(copies): os.dup2(fd, 3 + i); os.close(fd)\n'
        'os.execv(sys.argv[2], sys.argv[2:])\n')


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


class Manager:
    """A service manager, as far as it starts a daemon, hears from it, and stores what it is to keep
    for the next one. In its directory, which is there, are state, sockets and log."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.stored = []  # pairs of a name and a descriptor
        self.process = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.directory / "notify"))
        self.log = open(self.directory / "log", "w", encoding="utf-8")

    def start(self, *command, **environment):
        """Starts a daemon, with all that was stored, and waits until it serves."""
        fds, names = [fd for _, fd in self.stored], [name for name, _ in self.stored]
        inherited = {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)} if fds else {}
        self.process = subprocess.Popen(
            ["python3", "-c", EXEC, ",".join(map(str, fds)), *command], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, pass_fds=fds,
            env={**environment_of(self.directory), "FDSTORE": "64",
                 "NOTIFY_SOCKET": str(self.directory / "notify"), **inherited, **environment})
        self.close_stored()
        while "READY=1" not in self.receive():
            pass
        return self.process

    def has_news(self, seconds):
        """Waits that long at most until there is a notification."""
        return bool(select.select([self.notify], [], [], seconds)[0])

    def receive(self):
        """Returns the lines of one notification; what is to be stored is, and what is not to be any
        more is dropped."""
        deadline = time.monotonic() + DEADLINE
        while not self.has_news(0.01):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"the daemon says nothing any more\n{self.read_log()}")
        text, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
        lines, fds = text.decode().split("\n"), array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
        name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
        if "FDSTOREREMOVE=1" in lines:
            self.close_stored(name)
        for fd in fds:
            if "FDSTORE=1" in lines:
                self.stored.append((name, fd))
            else:
                os.close(fd)  # which is all that a barrier waits for
        return lines

    def await_end(self, status=0):
        """Takes what the daemon still has to say, until it has ended."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"the daemon does not end\n{self.read_log()}")
            if self.has_news(0.01):
                self.receive()
        while self.has_news(0):
            self.receive()
        if self.process.returncode != status:
            raise AssertionError(f"the daemon's exit status is {self.process.returncode}\n"
                                 f"{self.read_log()}")

    def read_log(self):
        return (self.directory / "log").read_text(encoding="utf-8")

    def await_log(self, text, times=1):
        deadline = time.monotonic() + DEADLINE
        while self.read_log().count(text) < times:
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not log {text}\n{self.read_log()}")
            time.sleep(0.001)

    def close_stored(self, name=None):
        """Drops what is stored under a name, or all."""
        for stored, fd in self.stored:
            if name in (None, stored):
                os.close(fd)
        self.stored = [pair for pair in self.stored if name not in (None, pair[0])]

    def close(self):
        """Ends it, with its daemon if there still is one."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.close_stored()
        self.notify.close()
        self.log.close()


class Names:
    """The name service of a daemon that tests/preload_names.c is in, where it stands how the file
    looks that both go by."""

    PRELOAD = Path(os.environ.get("RETORT_BUILD", TOP / "build")) / "tests" / "preload_names.so"

    def __init__(self, path, key):
        """Nothing is held yet; then what is asked for key, or for any when it is "*"."""
        self.path = Path(path)
        self.forget(key)

    def environment(self):
        return {"LD_PRELOAD": str(self.PRELOAD), "RETORT_TEST_NAMES": str(self.path)}

    def forget(self, key=""):
        """Begins anew: nobody waits, nor did ever."""
        self.path.write_bytes(struct.pack("ii64si", 0, 0, key.encode(), 0))

    def hold(self, holds, key=None):
        with open(self.path, "r+b") as file:
            if key:
                file.seek(8)
                file.write(struct.pack("64s", key.encode()))
                file.flush()
            file.seek(0)
            file.write(struct.pack("i", holds))

    def await_held(self):
        deadline = time.monotonic() + DEADLINE
        while struct.unpack_from("i", self.path.read_bytes(), 4)[0] == 0:
            if time.monotonic() > deadline:
                raise AssertionError("the name service is not asked")
            time.sleep(0.001)
