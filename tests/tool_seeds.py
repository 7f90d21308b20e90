#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tool_seeds.py CORPUS: makes CORPUS/handover and CORPUS/ledger anew, the seeds of
tests/fuzz_handover.c and tests/fuzz_ledger.c. To be run whenever what a process leaves for the next
one changes, after FORMATS below say the same as the daemon.

Seeds that are called plain-… are what a daemon has left in a scene that it was brought into, and
what comes next must take them up whole: tests/fuzz_main.c demands that. The others are such seeds,
changed in what their names say. In the environment are $RETORTD, and $RETORT_BUILD with
tests/preload_names.so, as for the tests.
"""

import contextlib
import copy
import fcntl
import json
import mmap
import os
import re
import signal
import socket
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from daemon import DEADLINE, RETORTD, TOP, Manager, Names

# ---- FORMATS: how the daemon writes it down ----
#
# A record (daemon/record.h) has no names, so its things have them here, in their order.


class Number:
    @staticmethod
    def read(reader):
        return reader.number()

    @staticmethod
    def write(value):
        return struct.pack("=Q", value)


class Data:
    """Bytes or a text; None is no text."""

    NONE = 2**64 - 1

    @staticmethod
    def read(reader):
        length = reader.number()
        return None if length == Data.NONE else reader.take(length)

    @staticmethod
    def write(value):
        if value is None:
            return Number.write(Data.NONE)
        return Number.write(len(value)) + value


class Fields:
    def __init__(self, **shapes):
        self.shapes = shapes

    def read(self, reader):
        return {name: shape.read(reader) for name, shape in self.shapes.items()}

    def write(self, value):
        return b"".join(shape.write(value[name]) for name, shape in self.shapes.items())


class Counted:
    """A number, and as many things; also of what is there or is not, 1 or 0."""

    def __init__(self, shape):
        self.shape = shape

    def read(self, reader):
        return [self.shape.read(reader) for _ in range(reader.number())]

    def write(self, values):
        return Number.write(len(values)) + b"".join(map(self.shape.write, values))


class Log:
    """Of a room in memory; None is an entry that is no longer known."""

    @staticmethod
    def read(reader):
        log = {name: reader.number() for name in ("first", "oldest", "newest")}
        log["entries"] = [ENTRY.read(reader) if reader.number() else None
                          for _ in range(log["first"], log["newest"] + 1)]
        return log

    @staticmethod
    def write(log):
        return (b"".join(Number.write(log[name]) for name in ("first", "oldest", "newest")) +
                b"".join(Number.write(1) + ENTRY.write(entry) if entry else Number.write(0)
                         for entry in log["entries"]))


class Reader:
    def __init__(self, data):
        self.rest = data

    def take(self, length):
        if length > len(self.rest):
            raise ValueError("the record is not what FORMATS say")
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def number(self):
        return struct.unpack("=Q", self.take(8))[0]


def numbers(names):
    return {name: Number for name in names.split()}


HEADER = struct.Struct("=6Q")  # magic, version, length, checksum, n_clients, handover
SOCKET = Fields(listener=Data, endpoint=Data, made=Data)
CHAT = Fields(**numbers("proven uid"), groups=Data, unit=Data,
              **numbers("dialect framing control max_message"), room=Data, quits=Number,
              places=Counted(Fields(**numbers("room cursor"))))
PEER = Fields(listener=Data, **numbers("service id"), name=Data, state=Number, reason=Data,
              **numbers("input_ended owes_reading admitted finishing last_byte active since "
                        "bytes_in bytes_out messages scanned"),
              input=Data, output=Data, **numbers("framing detects"), chat=Counted(CHAT))
PERSON = Fields(nick=Data, user=Data, **numbers("since has_spoken"))
ENTRY = Fields(time=Number, sender=Data, key=Data, nick=Data, user=Data, unit=Data, text=Data)
ROOM = Fields(**numbers("number durable n_members"), name=Data, folded=Data, topic=Data,
              direct=Number, user_1=Data, guest_1=Number, user_2=Data, guest_2=Number,
              log=Counted(Log))
CLIENT = Fields(**numbers("since tokens tokens_time"), end=Data, dismissed=Number,
                presences=Counted(Fields(**numbers("room since order"))))
FLUSHING = 1  # a state
RAW = 0  # a framing

LEDGER = struct.Struct("=9Q")
LEDGER_NAMES = ("magic version entry_size n_entries seat_size n_seats unused_entry unused_seat "
                "last_client").split()
LEDGER_ENTRY = struct.Struct("=Q6B2x20s65sB160s160s160s160s2x")
LEDGER_ENTRY_NAMES = ("id idle over elsewhere service framing dialect name listener nick nick_0 "
                      "nick_1 user room").split()
LEDGER_SEAT = struct.Struct("=4Q")
LEDGER_SEAT_NAMES = "id room order cursor".split()


def read_clients(reader):
    """Those of one person, until a number is 0."""
    clients = []
    while number := reader.number():
        clients.append({"id": number, **CLIENT.read(reader)})
    return clients


def read_record(data):
    n = HEADER.unpack_from(data)[4]
    reader = Reader(data[HEADER.size:])
    record = {"began": reader.number(), "last_client": reader.number(),
              "sockets": Counted(SOCKET).read(reader),
              "peers": [PEER.read(reader) for _ in range(n)]}
    hub = Reader(Data.read(reader))
    record["people"] = Counted(PERSON).read(hub)
    record["rooms"] = Counted(ROOM).read(hub)
    record["clients"] = [read_clients(hub) for _ in record["people"]]
    if reader.rest or hub.rest:
        raise ValueError("the record has more than FORMATS say")
    if write_record(record)[1:] != data[HEADER.size:]:
        raise ValueError("FORMATS are read and written differently")
    return record


def write_record(record):
    """As fuzz_handover.c takes it."""
    hub = Counted(PERSON).write(record["people"]) + Counted(ROOM).write(record["rooms"])
    for clients in record["clients"]:
        for client in clients:
            hub += Number.write(client["id"]) + CLIENT.write(client)
        hub += Number.write(0)
    return (bytes([len(record["peers"])]) + Number.write(record["began"]) +
            Number.write(record["last_client"]) + Counted(SOCKET).write(record["sockets"]) +
            b"".join(map(PEER.write, record["peers"])) + Data.write(hub))


def read_ledger(data):
    """With as much of it as was ever used."""
    ledger = dict(zip(LEDGER_NAMES, LEDGER.unpack_from(data)))
    if (ledger["entry_size"], ledger["seat_size"]) != (LEDGER_ENTRY.size, LEDGER_SEAT.size):
        raise ValueError("the ledger is not what FORMATS say")
    seats = LEDGER.size + ledger["n_entries"] * LEDGER_ENTRY.size
    ledger["entries"] = [
        dict(zip(LEDGER_ENTRY_NAMES,
                 LEDGER_ENTRY.unpack_from(data, LEDGER.size + i * LEDGER_ENTRY.size)))
        for i in range(1, ledger["unused_entry"])]
    ledger["seats"] = [
        dict(zip(LEDGER_SEAT_NAMES, LEDGER_SEAT.unpack_from(data, seats + i * LEDGER_SEAT.size)))
        for i in range(1, ledger["unused_seat"])]
    return ledger


def write_labels(labels):
    """Of connections: the number of each, and that of its entry."""
    return bytes([len(labels)]) + b"".join(map(bytes, labels))


def labels_of(ledger):
    return [(entry["id"], i + 1) for i, entry in enumerate(ledger["entries"])]


def write_things(ledger):
    return (b"".join(LEDGER_ENTRY.pack(*entry.values()) for entry in ledger["entries"]),
            b"".join(LEDGER_SEAT.pack(*seat.values()) for seat in ledger["seats"]))


def write_ledger(ledger, labels=None):
    """As fuzz_ledger.c takes it, which makes the header."""
    entries, seats = write_things(ledger)
    n = len(ledger["entries"])
    return (b"\0" + write_labels(labels or labels_of(ledger)) +
            bytes([n - 1, n, len(ledger["seats"]), ledger["last_client"]]) + entries + seats)


def write_raw(ledger, **header):
    """Likewise, with a header, as small as it can be."""
    entries, seats = write_things(ledger)
    n_entries = len(ledger["entries"]) + 1
    n_seats = n_entries * (ledger["n_seats"] // ledger["n_entries"])
    values = {**ledger, "n_entries": n_entries, "n_seats": n_seats, **header}
    return (b"\1" + write_labels(labels_of(ledger)) +
            LEDGER.pack(*(values[name] for name in LEDGER_NAMES)) + bytes(LEDGER_ENTRY.size) +
            entries + bytes(LEDGER_SEAT.size) +
            seats.ljust((n_seats - 1) * LEDGER_SEAT.size, b"\0"))


# ---- a daemon that is brought into a scene ----


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
    """Each framing between messages and in the middle of one; who broke the rules; who was silent."""
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


# ---- records that are changed ----

CHANGES = []  # the scene, the name of a seed, and the function that makes it


def of(scene, taken=False):
    """A record of that scene is changed by a function that is called like the seed."""
    def remember(function):
        name = function.__name__.replace("_", "-")
        CHANGES.append((scene, f"taken-{name}" if taken else name, function))
        return function
    return remember


@of("transforms")
def number_zero(record):
    record["peers"][0]["id"] = 0


@of("transforms")
def numbers_beyond_the_last(record):
    record["last_client"] = 0


@of("transforms")
def finishing_without_reason(record):
    record["peers"][0].update(finishing=1, since=1)


@of("transforms")
def flushing_since_never(record):
    record["peers"][0].update(state=FLUSHING, output=b"waiting")


@of("transforms")
def transform_with_chat(record):
    record["peers"][0]["chat"] = [new_chat()]


@of("owing", taken=True)
def owed_and_ending(record):
    """As at a reload that has taken the listener away, and after a time-out."""
    finishing, flushing = record["peers"]
    finishing.update(finishing=1, since=finishing["active"], reason=b"this listener is gone",
                     last_byte=finishing["bytes_in"] + 10, owes_reading=1)
    flushing.update(state=FLUSHING, since=flushing["active"], reason=b"timed out", input_ended=0)


@of("rooms", taken=True)
def behind(record):
    for peer in record["peers"]:
        for place in peer["chat"][0]["places"]:
            place["cursor"] = 0


@of("rooms", taken=True)
def requests_that_wait(record):
    """As after so much output that no more was taken."""
    record["peers"][0].update(input=WAITING, owes_reading=1, scanned=0)
    record["peers"][4].update(input=WAITING_LINES, owes_reading=1, scanned=0)


@of("rooms", taken=True)
def one_has_not_come(record):
    del record["peers"][0]


@of("rooms", taken=True)
def tokens(record):
    for client in all_clients(record):
        client["tokens"] = Data.NONE


@of("rooms", taken=True)
def stumps(record):
    """Of each log two more at its beginning are forgotten, of one of them its key is not."""
    for log in all_logs(record):
        first = log["entries"][0]
        stump = {**first, "sender": b"@root", "key": b"key", "nick": b"", "user": None,
                 "unit": None, "text": b""}
        log["entries"] = [None, stump, first, first, *log["entries"]]
        log.update(first=3, oldest=5, newest=len(log["entries"]) + 2)


@of("rooms", taken=True)
def ended_in_a_message(record):
    """Its listener is gone, and what it sent of a message will never be whole."""
    record["peers"][1]["listener"] = b"other"


@of("rooms")
def log_from_zero(record):
    all_logs(record)[0].update(first=0, oldest=0, newest=len(all_logs(record)[0]["entries"]) - 1)


@of("rooms")
def log_at_the_end_of_numbers(record):
    log = all_logs(record)[0]
    log.update(first=2**64 - 2, oldest=2**64 - 2, newest=2**64 - 2, entries=log["entries"][:1])


@of("rooms", taken=True)
def log_of_the_last_numbers(record):
    log = all_logs(record)[0]
    log.update(first=2**40 - 1, oldest=2**40 - 1, newest=2**40 - 1, entries=log["entries"][:1])


@of("rooms")
def same_nick_twice(record):
    record["people"][1]["nick"] = record["people"][0]["nick"]


@of("rooms")
def same_user_twice(record):
    for person in record["people"]:
        person["user"] = record["people"][3]["user"]


@of("rooms")
def same_number_twice(record):
    record["peers"][1]["id"] = record["peers"][0]["id"]


@of("rooms", taken=True)
def same_order_twice(record):
    for client in all_clients(record):
        for presence in client["presences"]:
            presence["order"] = 1


@of("rooms")
def chat_number_zero(record):
    record["peers"][0]["id"] = 0


@of("rooms")
def chat_finishing_without_reason(record):
    record["peers"][0]["finishing"] = 1


@of("rooms")
def chat_without_chat(record):
    record["peers"][0].update(chat=[], input=WAITING[:22])


@of("rooms")
def chat_raw(record):
    record["peers"][0]["framing"] = record["peers"][0]["chat"][0]["framing"] = RAW


@of("rooms")
def two_framings(record):
    record["peers"][0]["chat"][0]["framing"] = RAW


@of("direct")
def framing_to_detect(record):
    record["peers"][1].update(detects=1, input=b"abc\n")


@of("direct")
def twice_in_a_room(record):
    for client in all_clients(record):
        client["presences"] += client["presences"]


@of("direct")
def same_room_twice(record):
    """By two numbers."""
    room = {**record["rooms"][-1], "number": record["rooms"][-1]["number"] + 1}
    record["rooms"].append(room)
    for client in all_clients(record):
        client["presences"].append({"room": room["number"], "since": 5, "order": 5})


@of("unknown", taken=True)
def unknown_that_wait(record):
    for peer, waiting in zip(record["peers"], (WAITING, WAITING_LINES, WAITING_CONTROL)):
        peer.update(input=waiting, detects=0)


@of("control", taken=True)
def control_that_waits(record):
    for peer in record["peers"]:
        peer["input"] = WAITING_CONTROL


@of("control")
def control_in_framing_raw(record):
    record["peers"][0]["framing"] = RAW


def all_clients(record):
    return [client for clients in record["clients"] for client in clients]


def all_logs(record):
    return [log for room in record["rooms"] for log in room["log"]]


def new_chat():
    return {"proven": 0, "uid": 0, "groups": b"", "unit": None, "dialect": 0, "framing": 2,
            "control": 0, "max_message": 4096, "room": None, "quits": 0,
            "places": [{"room": 1, "cursor": 0}]}


def make_handovers():
    """Returns seeds by their names."""
    records = {name: leave() for name, leave in LEFT.items()}
    seeds = {f"taken-{name}": write_record(record) for name, record in records.items()}
    for scene, name, function in CHANGES:
        record = copy.deepcopy(records[scene])
        function(record)
        demand(write_record(record) != seeds[f"taken-{scene}"], f"{name} changes nothing")
        seeds[name] = write_record(record)
    return seeds


# ---- ledgers ----


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
        return scene.read("retort-ledger", read_ledger)


def is_idle(ledger):
    return (len(ledger["entries"]), len(ledger["seats"])) == (5, 4) and \
        all(entry["idle"] for entry in ledger["entries"])


def with_entries(ledger, *changes, **change):
    """A copy in which the first entries, or all of them, say something else."""
    changes = changes or [change] * len(ledger["entries"])
    entries = copy.deepcopy(ledger["entries"])
    for entry, update in zip(entries, changes):
        entry.update(update)
    return {**ledger, "entries": entries}


def with_seats(ledger, **change):
    return {**ledger, "seats": [{**seat, **change} for seat in ledger["seats"]]}


def make_ledgers():
    ledger = leave_killed()
    n = ledger["unused_entry"]
    endless = {"listener": b"A" * 65, "nick_0": b"A" * 160, "nick_1": b"A" * 160,
               "user": b"A" * 160, "room": b"A" * 160}
    return {
        "nothing": bytes(6),
        "taken-killed": write_ledger(ledger),
        "absent": write_ledger(with_entries(ledger, {"idle": 0}, {}, {"idle": 0})),
        "busy-over-elsewhere": write_ledger(
            with_entries(ledger, {"idle": 0}, {"over": 1}, {"elsewhere": 1})),
        "bits-that-are-none": write_ledger(
            with_entries(ledger, {"idle": 2}, {"over": 200}, {"elsewhere": 77}, {"nick": 9})),
        "kinds-that-are-none": write_ledger(
            with_entries(ledger, service=9, framing=9, dialect=9)),
        "no-ends-of-strings": write_ledger(with_entries(ledger, **endless)),
        "one-nick": write_ledger(with_entries(ledger, nick_0=b"anna", nick_1=b"anna")),
        "one-user": write_ledger(with_entries(ledger, user=b"root")),
        "one-number": write_ledger(with_entries(ledger, id=1), [(1, i) for i in range(1, n)]),
        "one-order": write_ledger(with_seats(ledger, order=1)),
        "one-seat": write_ledger(with_seats(ledger, id=2)),
        "rooms-that-are-none": write_ledger(with_seats(ledger, room=2**64 - 1)),
        "wrong-labels": write_ledger(ledger, [(number, n - number) for number in range(1, n + 1)]),
        "taken-raw": write_raw(ledger),
        "raw-beyond": write_raw(ledger, unused_entry=n + 1),
        "raw-cut": write_raw(ledger)[:512],
        "raw-last-client": write_raw(ledger, last_client=2**64 - 1),
        "raw-many-entries": write_raw(ledger, n_entries=2**63),
        "raw-many-seats": write_raw(ledger, n_entries=2**62, n_seats=0, unused_seat=0),
        "raw-none-used": write_raw(ledger, unused_entry=0),
        "raw-other-version": write_raw(ledger, version=ledger["version"] - 1),
    }


def write_seeds(directory, seeds):
    """In place of all that is there."""
    for old in directory.iterdir():
        old.unlink()
    for name, seed in seeds.items():
        (directory / name).write_bytes(seed)
    print(f"{directory}: {len(seeds)} seeds")


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: tool_seeds.py CORPUS")
    corpus = Path(sys.argv[1])
    seeds = {"handover": make_handovers(), "ledger": make_ledgers()}  # all, before any is replaced
    for name, made in seeds.items():
        write_seeds(corpus / name, made)


if __name__ == "__main__":
    main()
