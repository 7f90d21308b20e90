#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client of every socket tutorial: connect, sendall, recv(1024). For framing raw.

recv1024.py HOST PORT TEXT… prints the answer to each TEXT on a line.
"""

import socket
import sys


def main() -> None:
    host, port, texts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    with socket.create_connection((host, port), timeout=30) as connection:
        for text in texts:
            connection.sendall(text.encode())
            print(connection.recv(1024).decode())


if __name__ == "__main__":
    main()
