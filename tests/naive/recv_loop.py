#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sends standard input, shuts down, and reads with recv(1024) until the end. For any framing.

recv_loop.py HOST PORT, or recv_loop.py PATH for a Unix socket.
"""

import socket
import sys


def main() -> None:
    if len(sys.argv) == 2:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(sys.argv[1])
    else:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    connection.settimeout(30)
    connection.sendall(sys.stdin.buffer.read())
    connection.shutdown(socket.SHUT_WR)
    while data := connection.recv(1024):
        sys.stdout.buffer.write(data)
    connection.close()


if __name__ == "__main__":
    main()
