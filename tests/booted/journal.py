# SPDX-License-Identifier: LGPL-2.1-or-later
"""A journal that stands still or is restarted: clients are served all the while, no entry that was
lost is passed over in silence, and the log goes on by itself."""

import os
import signal
import sys
import threading

import check
from check import (CONNECTED, DROP_INS, SAMPLE, answer, journal, main_pid, properties, receive,
                   systemctl, wait_for)

LOST = "c8a09c75779d4d4bbf7f599974f293d8"
ADDRESS = ("127.0.0.1", 33333)
MANY = 3000  # clients, whose entries are more than what anybody keeps
JOURNALD = "systemd-journald.service"


def serve_clients(n):
    for _ in range(n):
        if answer(ADDRESS, b"abc\n", 4) != b"cba\n":
            raise AssertionError("a client was not answered")


class Load:
    """Clients that come and go until it is left; it tells whether all were served."""

    def __enter__(self):
        self.ends = threading.Event()
        self.served, self.problem = 0, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        try:
            while not self.ends.is_set():
                serve_clients(1)
                self.served += 1
        except (OSError, AssertionError) as problem:
            self.problem = problem

    def wait_more(self):
        """Waits until further clients have been served."""
        before = self.served
        wait_for(lambda: self.served > before + 20 or self.problem, "clients are served")

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


class Journal(check.Case):
    def setUp(self):
        # How many entries there are depends on how fast everybody is; the journal is to take all.
        drop_in = DROP_INS / "retortd.service.d/journal.conf"
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text("[Service]\nLogRateLimitIntervalSec=0\n")
        self.serve('log_level = "debug";\n' + SAMPLE.replace("log_level =", "#log_level ="))
        super().setUp()
        self.pid = main_pid()

    def tearDown(self):
        state = main_pid(), properties("retortd", "NRestarts")
        super().tearDown()
        self.assertEqual(state, (self.pid, "0"))

    def assert_logs_again(self):
        """Somebody who comes now is in the log."""
        self.mark_journal()
        serve_clients(1)
        wait_for(lambda: journal(f"MESSAGE_ID={CONNECTED}", "RETORT_LISTENER=reverse"),
                 "a client is in the log")

    def test_a_journal_that_stands_still(self):
        journald = int(properties(JOURNALD, "MainPID"))
        with check.connect(ADDRESS) as connection:
            os.kill(journald, signal.SIGSTOP)
            try:
                serve_clients(MANY)
                connection.sendall(b"still there\n")
                self.assertEqual(receive(connection, 12), b"ereht llits\n")
                self.assertEqual(self.retort("health"), "healthy\n")
            finally:
                os.kill(journald, signal.SIGCONT)
        wait_for(lambda: journal(f"MESSAGE_ID={LOST}"), "it says what was lost")
        lost = journal(f"MESSAGE_ID={LOST}")[0]
        self.assertEqual((lost["PRIORITY"], lost["RETORT_REASON"]), ("4", "the journal took none"))
        self.assertRegex(lost["MESSAGE"], r"^\d+ entries could not be logged from .* to .* because "
                                          "the journal took none$")
        # Before that comes all that there was room for, in turn; behind it all that is new.
        clients = [int(entry["RETORT_CLIENT"]) for entry in journal(f"MESSAGE_ID={CONNECTED}")
                   if int(entry["__MONOTONIC_TIMESTAMP"]) < int(lost["__MONOTONIC_TIMESTAMP"])]
        self.assertGreater(len(clients), 100)
        self.assertEqual(clients, list(range(clients[0], clients[0] + len(clients))))
        self.assert_logs_again()

    def test_a_journal_that_is_restarted(self):
        with Load() as load:
            for _ in range(2):
                load.wait_more()
                systemctl("restart", JOURNALD)
            os.kill(int(properties(JOURNALD, "MainPID")), signal.SIGKILL)
            load.wait_more()
            wait_for(lambda: properties(JOURNALD, "ActiveState") == "active", "it is back")
            load.wait_more()
        self.assertIsNone(load.problem)
        self.assert_logs_again()

    def test_a_journal_that_stands_still_and_is_restarted(self):
        os.kill(int(properties(JOURNALD, "MainPID")), signal.SIGSTOP)
        serve_clients(MANY)
        systemctl("restart", JOURNALD)
        self.assert_logs_again()

    def test_a_journal_that_is_not_there(self):
        """Its socket as well: the next one is another."""
        sockets = "systemd-journald.socket", "systemd-journald-dev-log.socket"
        with Load() as load:
            load.wait_more()
            # An entry that arrives in between has the manager start it again instead.
            wait_for(lambda: "canceled" not in systemctl("stop", JOURNALD, *sockets, status=None),
                     "it is gone")
            load.wait_more()
            systemctl("start", *sockets, JOURNALD)
            load.wait_more()
        self.assertIsNone(load.problem)
        self.assert_logs_again()


if __name__ == "__main__":
    sys.exit(check.main(check.Booted, Journal))
