#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion of names in bash: rooms and nicks come from a live server, the one of the command
line, and what it says is never taken for words of the shell."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from daemon import DEADLINE, RETORT, TOP, Daemon

CONFIG = """
listeners: ( { name = "chat"; service = "chat"; listen = [ "unix:chat.sock", "tcp://127.0.0.1:0" ]; } );
"""
passed = failed = 0

# What bash does when somebody presses Tab behind the line $1.
SCRIPT = f"""
source {TOP}/client/completion/retort.bash
COMP_LINE=$1 COMP_POINT=${{#1}}
read -r -a COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_WORDBREAKS=${{WORDBREAKS:-$COMP_WORDBREAKS}}
compopt() {{ :; }}
_retort
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def check(name, want, have):
    global passed, failed
    if want == have:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {name}: {have} instead of {want}")


def complete(line, directory, **variables):
    """What is offered for the line, in which RETORT stands for the program."""
    environment = {"PATH": os.environ["PATH"], "RUNTIME_DIRECTORY": str(directory), **variables}
    line = line.replace("RETORT", RETORT, 1)
    done = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash", line], env=environment,
                          cwd=directory, text=True, capture_output=True, timeout=DEADLINE,
                          check=False)
    check(f"what bash says to {line!r}", "", done.stderr)
    return sorted(word for word in done.stdout.split("\n") if word)


def frame(value):
    text = json.dumps(value).encode()
    return b"%-10d%s" % (len(text), text)


def read_frame(stream):
    return json.loads(stream.read(int(stream.read(10))))


def enter(directory, nick, *rooms):
    """A connection that is called so and in these rooms."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(str(directory / "chat.sock"))
    stream = client.makefile("rb")
    joins = [{"op": "join", "room": room} for room in rooms]
    for request in [{"op": "hello", "nick": nick}, *joins]:
        client.sendall(frame(request))
        while "ok" not in read_frame(stream):
            pass
    return client


def check_names(directory):
    with enter(directory, "anna", "ops", "ops-night", "builds"):
        check("a room", ["ops", "ops-night"], complete("RETORT say op", directory))
        check("all rooms", ["builds", "lobby", "ops", "ops-night"],
              complete("RETORT tail ", directory))
        check("the second room", ["builds"], complete("RETORT chat ops bu", directory))
        check("no second room to say it in", [], complete("RETORT say ops bu", directory))
        check("an option's room", ["ops-night"],
              complete("RETORT kick anna --room ops-", directory))
        check("somebody", ["anna"], complete("RETORT kick a", directory))
        # Where the sign divides words, what stands before it is there already.
        check("whom to say it", ["anna"], complete("RETORT say @a", directory))
        check("whom to say it, in one word", ["@anna"],
              complete("RETORT say @a", directory, WORDBREAKS=" \t\n"))
        check("nobody", [], complete("RETORT kick b", directory))

        elsewhere = directory / "state"
        for address in (f"-c unix:{directory}/chat.sock", f"--connect=unix:{directory}/chat.sock"):
            check(address, ["builds"], complete(f"RETORT {address} say b", elsewhere))


def check_hostile(directory):
    """A server whose rooms are commands and options, tabs and newlines."""
    rooms = ["$(touch caught)", "`touch caught`", "x;touch caught", "-rf", "fine"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "hostile"))
        listener.listen()
        listener.settimeout(DEADLINE)

        def serve():
            client, _ = listener.accept()
            with client, client.makefile("rb") as stream:
                request = read_frame(stream)
                client.sendall(frame({"id": request.get("id"), "ok": True, "rooms": [
                    {"room": room, "seq": 0, "members": 0, "topic": ""} for room in rooms]}))
                stream.read()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        offered = complete(f"RETORT -c unix:{directory}/hostile say ", directory)
        thread.join(DEADLINE)
    check("what a hostile server offers", sorted(
        ["\\$\\(touch\\ caught\\)", "\\`touch\\ caught\\`", "x\\;touch\\ caught", "-rf", "fine"]),
        offered)
    check("what it achieves", False, (directory / "caught").exists())


def main():
    with tempfile.TemporaryDirectory(prefix="retort-test-") as name:
        directory = Path(name)
        daemon = Daemon(directory, CONFIG)
        try:
            check_names(directory)
            check_hostile(directory)
        finally:
            daemon.stop()
        check("without a server", [], complete("RETORT say o", directory))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
