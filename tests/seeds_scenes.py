# SPDX-License-Identifier: LGPL-2.1-or-later
"""Daemons that are brought into scenes and leave what the next process is to take up, for
tests/tool_seeds.py. Each leave_…() returns that, as tests/seeds_formats.py has it."""

import contextlib
import fcntl
import json
import mmap
import os
import re
import signal
import socket
import struct
import tempfile
import termios
import time
from pathlib import Path

from daemon import DEADLINE, RETORTD, TOP, Manager, Names
from seeds_formats import read_ledger, read_record


def config_of(fuzzer):
    """What the fuzzer's configuration says, but each listener has a Unix socket as well."""
    source = (TOP / "tests" / fuzzer).read_text(encoding="utf-8")
    literals = re.search(r"config\[\] =\n(.*?);\n", source, re.S).group(1)
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).replace('\\"', '"')
    return re.sub(r'name = "(\w+)";([^}]*)listen = "(tcp:[^"]*)";',
                  r'name = "\1";\2listen = [ "\3", "unix:\1.sock" ];', text)


def frame(text):
    return b"%-10d%b" % (len(text), text)


def request(op, **members):
    return json.dumps({"op": op, **members}, separators=(",", ":")).encode()


def demand(condition, what):
    """A scene that does not come about makes seeds that test nothing."""
    if not condition:
        raise AssertionError(f"the scene is not as it should be: {what}")


class Client:
    """What stands behind a connection."""

    def __init__(self, address, framing="length"):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(address)
        self.input = self.socket.makefile("rb")
        self.framing = framing
        self.sent = 0

    def send(self, data):
        self.socket.sendall(data)
        self.sent += len(data)

    def receive(self):
        if self.framing == "line":
            return self.input.readline()
        return self.input.read(abs(int(self.input.read(10))))

    def ask(self, op, **members):
        """Returns the reply; events come before."""
        self.send(frame(request(op, **members)))
        while "ok" not in (reply := json.loads(self.receive())):
            pass
        if not reply["ok"]:
            raise AssertionError(f"{op} {members}: {reply}")
        return reply

    def tell(self, line, answer):
        """Says a line, and waits for one that has answer in it."""
        self.send(line + b"\n")
        while answer not in (said := self.receive()):
            demand(said, "the daemon goes on")

    def close(self):
        self.input.close()
        self.socket.close()


class Scene:
    """A daemon that is to leave something. Its clients come in the order of their making."""

    def __init__(self, config):
        self.directory = tempfile.TemporaryDirectory()
        self.top = Path(self.directory.name)
        (self.top / "retortd.conf").write_text(config, encoding="utf-8")
        self.names = Names(self.top / "names", str(os.geteuid()))
        self.manager = Manager(self.top)
        self.clients = []
        self.process = self.manager.start(RETORTD, "-v", "-c", self.top / "retortd.conf",
                                          **self.names.environment())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.manager.close()
        self.directory.cleanup()

    def add(self, client):
        """Listeners have no order among them, so each is waited for."""
        self.clients.append(client)
        self.manager.await_log(": connected\n", len(self.clients))
        return client

    def connect(self, listener, framing="length"):
        """As a user, over a Unix socket."""
        return self.add(Client(str(self.top / f"{listener}.sock"), framing))

    def connect_guest(self, listener, framing="length"):
        """As nobody, over TCP."""
        found = re.search(rf"{listener}: listening on tcp://([\d.]+):(\d+)",
                          self.manager.read_log())
        return self.add(Client((found.group(1), int(found.group(2))), framing))

    def enter(self, nick, *rooms):
        client = self.connect_guest("chat")
        client.ask("hello", nick=nick)
        for room in rooms:
            client.ask("join", room=room)
        return client

    @contextlib.contextmanager
    def control(self):
        """A connection to the control socket that leaves nothing behind."""
        control = Client(str(self.top / "control.sock"))
        yield control
        gone = self.manager.read_log().count(" gone: ")
        control.close()
        self.manager.await_log(" gone: ", gone + 1)

    def await_taken(self):
        """Waits until the daemon has taken all that its clients have sent."""
        deadline = time.monotonic() + DEADLINE
        sent = {i + 1: client.sent for i, client in enumerate(self.clients)}
        with self.control() as control:
            while True:
                taken = {each["client"]: each["bytes_in"]
                         for each in control.ask("clients")["clients"]}
                if all(taken.get(number, count) == count for number, count in sent.items()):
                    return
                demand(time.monotonic() < deadline, f"{sent} sent, {taken} taken")

    def await_read(self):
        """Likewise while nobody is known, for Unix sockets."""
        deadline = time.monotonic() + DEADLINE
        for client in self.clients:
            while struct.unpack("i", fcntl.ioctl(client.socket, termios.TIOCOUTQ, bytes(4)))[0]:
                demand(time.monotonic() < deadline, "what was sent is not read")
                time.sleep(0.001)

    def read(self, name, read):
        """Returns what read() makes of the bytes that are stored under a name."""
        fd = next(fd for stored, fd in self.manager.stored if stored == name)
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as data:
            return read(data)

    def leave(self):
        """Has it hand over, and returns the record."""
        self.process.terminate()
        self.manager.await_end()
        return self.read("retort-state", read_record)


CONFIG = config_of("fuzz_handover.c").replace('name = "ops";', 'name = "ops"; durable = false;')
REFUSING = CONFIG.replace(
    "listeners: (",
    'listeners: ({ name = "other"; framing = "length"; max_clients = 1; listen = "unix:other.sock";'
    " },")


def leave_nobody():
    with Scene(CONFIG) as scene:
        return scene.leave()


def leave_transforms():
    """Each framing between messages and in their middle; who broke the rules; who was silent."""
    with Scene(CONFIG) as scene:
        idle, part = scene.connect("length"), scene.connect_guest("length")
        line, raw = scene.connect_guest("line", "line"), scene.connect("raw")
        wrong, _ = scene.connect("length"), scene.connect_guest("line")
        idle.send(frame(b"ping"))
        idle.receive()
        part.send(frame(b"ping") + frame(b"hello, world")[:13])
        part.receive()
        line.send(b"one\ntwo\nthr")
        line.receive()
        line.receive()
        raw.send("grüß".encode()[:3])  # a character is cut
        raw.socket.recv(2)
        wrong.send(b"nothing of the kind")
        wrong.receive()
        scene.await_taken()
        record = scene.leave()
    demand(record["peers"][4]["reason"] == b"bad frame header", "a reason to end")
    demand(all(record["peers"][i]["input"] for i in (1, 2, 3)), "messages in their middle")
    return record


def leave_owing():
    """One does not read, and one does not either and has ended its side. Of what they are owed only
    the end is kept, as if the rest had been sent."""
    answers = 100  # more than the socket holds
    with Scene(CONFIG) as scene:
        stalled, closed = scene.connect("length"), scene.connect("length")
        for client in stalled, closed:
            client.send(answers * frame(bytes(4096)))
        stalled.send(b"12        hel")
        scene.await_taken()
        closed.socket.shutdown(socket.SHUT_WR)
        scene.await_taken()
        record = scene.leave()
    for peer in record["peers"]:
        demand(len(peer["output"]) > 64, "output")
        peer["output"] = peer["output"][-64:]
    demand(record["peers"][0]["input"] and record["peers"][1]["input_ended"], "input")
    return record


def leave_refused():
    """Its listener has enough with one, and is gone in the next process."""
    with Scene(REFUSING) as scene:
        scene.connect("other")
        scene.clients.append(Client(str(scene.top / "other.sock")))
        scene.clients[1].receive()
        record = scene.leave()
    demand([peer["reason"] for peer in record["peers"]] == [None, b"too many clients"], "a reason")
    return record


def leave_rooms():
    """Guests and a user in rooms of all kinds; one is being kicked out, two are in the middle of
    what they say."""
    with Scene(CONFIG) as scene:
        anna, ben = scene.enter("anna", "ops", "notes"), scene.enter("ben", "ops")
        carl, user = scene.enter("carl", "ops"), scene.connect("chat")
        user.ask("join", room="ops")
        dora = scene.connect_guest("talk", "line")
        dora.tell(b"/nick dora", b"dora")
        dora.tell(b"/join ops", b"ops")
        anna.ask("say", room="ops", text="hello", key="k1")
        ben.ask("say", room="@anna", text="psst")
        user.ask("say", room="@anna", text="from a user")
        dora.tell(b"hello there\n/who", b"carl")
        dora.send(b"unfin")
        ben.send(frame(request("ping"))[:15])
        with scene.control() as control:
            control.ask("kick", nick="carl", reason="out")
        carl.input.read()
        scene.await_taken()
        record = scene.leave()
    demand([person["nick"] for person in record["people"]][:3] == [b"anna", b"ben", b"carl"],
           "who is there")
    demand(record["clients"][2][0]["dismissed"], "one is kicked out")
    demand(all(room["log"] for room in record["rooms"] if not room["durable"]), "logs")
    return record


def leave_direct():
    with Scene(CONFIG) as scene:
        scene.enter("anna")
        scene.enter("ben").ask("say", room="@anna", text="psst")
        scene.connect("chat").ask("say", room="@anna", text="from a user")
        record = scene.leave()
    demand([room["direct"] for room in record["rooms"]] == [0, 1, 1], "direct rooms")
    return record


def leave_control():
    """One connection has still to show its framing, and a room has forgotten some of its log, but
    for keys."""
    with Scene(CONFIG) as scene:
        control, _ = scene.connect("control"), scene.connect("control")
        anna = scene.enter("anna", "ops")
        control.ask("ping")
        for i in range(25):
            anna.ask("say", room="ops", text=f"line {i}", key=str(i))
        scene.await_taken()
        record = scene.leave()
    demand([peer["detects"] for peer in record["peers"]] == [0, 1, 0], "a framing to detect")
    demand(record["rooms"][0]["log"][0]["oldest"] == 6, "a log that is cut")
    return record


WAITING = b"".join(map(frame, [
    request("who", id=1), request("rooms"), request("say", room="ops", text="kept"),
    request("join", room="new", since=0), request("history", room="ops"),
    request("topic", room="ops", text="other"), request("leave", room="ops"),
    request("hello", nick="eve")])) + frame(request("ping"))[:15]
WAITING_LINES = b"said before\n/who\n/join new\n/msg @anna hi\n/quit\nunheard\n"
WAITING_CONTROL = b"".join(frame(request(op)) for op in ("stats", "clients", "health"))


def leave_unknown():
    """The name service does not answer, so nobody knows yet who they are."""
    with Scene(CONFIG) as scene:
        scene.names.hold(1)
        for listener in "chat", "talk", "control":
            scene.connect(listener)
        scene.names.await_held()
        record = scene.leave()
        scene.names.hold(0)
    demand(not record["people"] and len(record["peers"]) == 3, "nobody is known")
    return record


def leave_waiting():
    """Likewise, and they have asked for more than is taken up before the first answer."""
    with Scene(CONFIG) as scene:
        scene.names.hold(1)
        scene.connect("chat").send(WAITING)
        scene.connect("talk").send(12 * b"/who\n" + b"unfin")
        scene.connect("control").send(WAITING_CONTROL)
        scene.names.await_held()
        scene.await_read()
        record = scene.leave()
        scene.names.hold(0)
    demand(len(record["peers"]) == 3 and all(peer["input"] for peer in record["peers"]),
           "requests that wait")
    return record


LEFT = {"nobody": leave_nobody, "transforms": leave_transforms, "owing": leave_owing,
        "refused-gone-listener": leave_refused, "rooms": leave_rooms, "direct": leave_direct,
        "control": leave_control, "unknown": leave_unknown, "waiting": leave_waiting}


def leave_killed():
    """Five connections between messages, four of them in a room, of a daemon that is killed."""
    config = config_of("fuzz_ledger.c")
    with Scene(f"crash_safe = true; {config}") as scene:
        length = scene.connect_guest("length")
        length.send(frame(b"ping"))
        length.receive()
        scene.connect("chat").ask("join", room="ops")
        scene.enter("anna", "ops")
        dora = scene.connect_guest("talk", "line")
        dora.tell(b"/nick dora", b"dora")
        dora.tell(b"/join ops", b"ops")
        scene.enter("ben", "ops").ask("say", room="ops", text="hello")
        deadline = time.monotonic() + DEADLINE
        while not is_idle(ledger := scene.read("retort-ledger", read_ledger)):
            demand(time.monotonic() < deadline, f"not idle: {ledger}")
            time.sleep(0.001)
        scene.process.send_signal(signal.SIGKILL)
        scene.manager.await_end(-signal.SIGKILL)
        ledger = scene.read("retort-ledger", read_ledger)
    demand(is_idle(ledger), "nobody is in the middle of anything")
    return ledger


def is_idle(ledger):
    return (len(ledger["entries"]), len(ledger["seats"])) == (5, 4) and \
        all(entry["idle"] for entry in ledger["entries"])
