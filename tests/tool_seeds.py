#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tool_seeds.py CORPUS: makes CORPUS/handover and CORPUS/ledger anew, the seeds of
tests/fuzz_handover.c and tests/fuzz_ledger.c. To be run whenever what a process leaves for the next
one changes, after tests/seeds_formats.py says the same as the daemon.

Seeds are what daemons have left in the scenes of tests/seeds_scenes.py, and the same changed in
what their names say. Those that are called taken-… the next process must take up, with all that is
in them: tests/fuzz_main.c demands that. In the environment are $RETORTD, and $RETORT_BUILD where
"make tests" has built, as for the tests.
"""

import copy
import sys
from pathlib import Path

from seeds_formats import FLUSHING, RAW, Data, write_ledger, write_raw, write_record
from seeds_scenes import LEFT, WAITING, WAITING_CONTROL, WAITING_LINES, demand, leave_killed

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
