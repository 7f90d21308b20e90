# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the daemon writes down what it leaves for the next process, for tests/tool_seeds.py: to be
changed with daemon/peer_handover.c, hub_handover.c, history_memory.c and ledger.h. A record
(daemon/record.h) has no names, so its things have them here, in their order."""

import struct


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
            raise ValueError("the record is not what seeds_formats.py says")
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
        raise ValueError("the record has more than seeds_formats.py says")
    if write_record(record)[1:] != data[HEADER.size:]:
        raise ValueError("the record is read and written differently")
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
        raise ValueError("the ledger is not what seeds_formats.py says")
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
